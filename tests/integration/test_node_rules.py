"""Who may be an approved node, and who says so: a kubelet, a labelling controller, an administrator and the operator try."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from sovereign.api.meta import FACT_DOMAIN, FACT_IDENTITY, FACT_JURISDICTION, FACT_PROVIDER, FACT_REGION
from sovereign.plan.inventory import Node, Subjects
from testbed import Cluster
from tests.integration.actors import operator
from tests.integration.api import Answer, Api
from tests.integration.conftest import TEST_LABEL, Kubectl, make_namespace
from tests.integration.enforcement import (
    Enforcement,
    assert_no_type_warnings,
    enforce,
    eventually,
    make_policy,
    names,
    node,
    settings,
)

pytestmark = pytest.mark.integration

NODE, OTHER = "gpu-fr-1", "gpu-us-1"
WRITER = "fleet-writer"
LABELLER = "fleet-labeller"


@dataclass(frozen=True)
class Guarded:
    """A policy in force, and people."""

    enforcement: Enforcement
    admin: Api
    labeller: Api
    """Who may change every field of nodes, and is nobody of whom the installation knows."""
    writer: Api
    """Likewise, for an installation that names it."""
    kubelet: Api

    listed: str
    """A name on the list of this policy alone."""


def refused(answer: Answer, *words: str) -> None:
    """That it was refused in a way that lets a kubelet go on. Of several policies about one node the answer names one."""
    assert (answer.code, answer.body["reason"]) == (403, "Forbidden"), answer.body
    for word in ("policy ", *words):
        assert word in answer.message


@pytest.fixture(scope="module")
def guarded(api: Api, kubectl: Kubectl, cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Guarded]:
    """One policy for all tests of this module, which leave nothing behind: they try dry."""
    worker = getattr(request.config, "workerinput", {}).get("workerid", "one")
    name = make_namespace(api, kubectl, f"nodes-{worker}", {TEST_LABEL: f"nodes-{worker}"})
    listed = f"listed-{worker}"
    also = [Node(listed, labels={FACT_JURISDICTION: "FR"})]
    enforcement = enforce(api, make_policy(api, name), name, settings(api), also)
    kubelet = Api.of(cluster.client_certificate(f"system:node:{NODE}", ["system:nodes"]))
    yield Guarded(enforcement, api, _with_nodes(api, name, LABELLER), _with_nodes(api, name, WRITER), kubelet, listed)
    enforcement.remove()
    for kind in ("clusterrolebindings", "clusterroles"):
        for user in (LABELLER, WRITER):
            api.request("DELETE", f"/apis/rbac.authorization.k8s.io/v1/{kind}/{name}-{user}")
    kubectl("delete", "namespace", name, "--wait=false")


def _with_nodes(api: Api, prefix: str, user: str) -> Api:
    """A user who may write every part of nodes, as a controller of clouds or of hardware features may."""
    group = "rbac.authorization.k8s.io"
    meta = {"name": f"{prefix}-{user}"}
    rules = [{"apiGroups": [""], "resources": ["nodes", "nodes/status"], "verbs": ["*"]}]
    subjects = [{"apiGroup": group, "kind": "User", "name": user}]
    role = {"apiGroup": group, "kind": "ClusterRole", "name": meta["name"]}
    for manifest in (
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": meta, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": meta,
            "roleRef": role,
            "subjects": subjects,
        },
    ):
        answer = api.create(manifest)
        assert answer.ok, answer.message
    found = api.as_user(user)
    eventually(lambda: found.request("GET", "/api/v1/nodes"), lambda answer: answer.ok)
    return found


def labelled(
    who: Api, labels: dict[str, str | None], *, name: str = NODE, part: str = "", method: str = "PATCH"
) -> Answer:
    """Try, dry, to change labels of a node."""
    body: dict[str, Any] = {"metadata": {"labels": labels}}
    if method == "APPLY":
        body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
    return who.request(method, f"/api/v1/nodes/{name}{part}", body, dryRun="All")


# --- names --------------------------------------------------------------------------------------------


def test_nobody_creates_a_node_under_an_approved_name(guarded: Guarded, cluster: Cluster) -> None:
    """Row 4: neither the machine's own kubelet, which starts this way and goes on after Forbidden, nor an administrator."""
    own = Api.of(cluster.client_certificate(f"system:node:{guarded.listed}", ["system:nodes"]))
    eventually(
        lambda: guarded.admin.create(node(guarded.listed), dry_run=True), names(guarded.enforcement, "-nodecreate")
    )
    for who in (own, guarded.admin, guarded.labeller, operator(guarded.admin)):
        answer = who.create(node(guarded.listed), dry_run=True)
        refused(
            answer, f"{guarded.enforcement.policy.name}: node {guarded.listed} is approved", "delete its Node and wait"
        )
    refused(guarded.kubelet.create(node(NODE), dry_run=True), f"node {NODE} is approved")


def test_a_node_under_another_name_is_created(guarded: Guarded, cluster: Cluster) -> None:
    fresh = Api.of(cluster.client_certificate("system:node:fresh", ["system:nodes"]))
    answer = fresh.create(node("fresh", **{"topology.kubernetes.io/region": "fr-par"}), dry_run=True)
    assert answer.ok, answer.message


# --- facts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["", "/status"])
@pytest.mark.parametrize("method", ["PATCH", "APPLY"])
@pytest.mark.parametrize("key", [FACT_JURISDICTION, FACT_REGION, FACT_PROVIDER, f"{FACT_DOMAIN}/anything"])
def test_who_is_not_named_sets_no_fact(guarded: Guarded, key: str, method: str, part: str) -> None:
    """Row 4 and row 5: whatever rights to nodes a controller has, and through the status subresource too."""
    answer = labelled(guarded.labeller, {key: "XX"}, method=method, part=part)
    refused(answer, f"label {key}", "nodeFacts.writers")
    written = labelled(guarded.admin, {key: "XX"}, method=method, part=part)
    assert written.ok, written.message


def test_who_is_not_named_takes_no_fact_off_and_creates_no_node_with_one(guarded: Guarded) -> None:
    refused(labelled(guarded.labeller, {FACT_JURISDICTION: None}), FACT_JURISDICTION)
    refused(guarded.labeller.create(node("new", **{FACT_JURISDICTION: "FR"}), dry_run=True), FACT_JURISDICTION)
    assert guarded.admin.create(node("new", **{FACT_JURISDICTION: "FR"}), dry_run=True).ok


def test_who_is_named_may(guarded: Guarded, api: Api, namespace: str) -> None:
    """In Audit, where each policy warns for itself: that of this test lets the user whom its installation names."""
    using = msgspec.structs.replace(settings(api), node_facts_writers=Subjects(users=(WRITER,)))
    enforcement = enforce(api, make_policy(api, namespace, enforcement="Audit"), namespace, using)
    warns = names(enforcement, "-nodefacts")
    assert warns(labelled(guarded.labeller, {FACT_REGION: "x"}))
    assert warns(labelled(guarded.admin, {FACT_REGION: "x"}))
    assert not warns(labelled(guarded.writer, {FACT_REGION: "x"}))
    assert not warns(labelled(operator(api), {FACT_REGION: "x"}))
    enforcement.remove()


def test_other_labels_and_the_rest_of_a_node_are_everybodys(guarded: Guarded) -> None:
    for answer in (
        labelled(guarded.labeller, {"a": "b"}),
        labelled(guarded.labeller, {"example.node-restriction.kubernetes.io/unheard-of": "gold"}),
        guarded.labeller.request("PATCH", f"/api/v1/nodes/{NODE}", {"spec": {"unschedulable": True}}, dryRun="All"),
    ):
        assert answer.ok, answer.message


def test_all_labels_at_once_are_facts_too(guarded: Guarded) -> None:
    answer = guarded.labeller.request("PATCH", f"/api/v1/nodes/{NODE}", {"metadata": {"labels": None}}, dryRun="All")
    refused(answer, FACT_JURISDICTION)


@pytest.mark.parametrize("part", ["", "/status"])
def test_approval_is_written_by_the_operator_alone(guarded: Guarded, part: str) -> None:
    """Row 4: an administrator who copies a stale identity, or approves by hand, is refused; the operator is not."""
    own = guarded.enforcement.plan.node_label
    who = guarded.admin
    identity = labelled(who, {FACT_IDENTITY: "0.0.0"}, part=part)
    refused(identity, f"label {FACT_IDENTITY} is written by the operator")
    refused(labelled(who, {own: "true"}, name=OTHER, part=part), f"label {own} is written by the operator")
    refused(labelled(who, {own: None}, part=part), f"label {own}")
    refused(who.create(node("new", **{FACT_IDENTITY: "0.0.0"}), dry_run=True), FACT_IDENTITY)
    for labels in ({FACT_IDENTITY: "0.0.0"}, {own: None}, {FACT_JURISDICTION: None}):
        answer = labelled(operator(guarded.admin), labels, part=part)
        assert answer.ok, answer.message


def test_an_administrator_sets_facts(guarded: Guarded) -> None:
    answer = labelled(guarded.admin, {FACT_JURISDICTION: "US", FACT_REGION: None, FACT_PROVIDER: "x"})
    assert answer.ok, answer.message


@pytest.mark.parametrize("part", ["", "/status"])
def test_a_kubelet_sets_its_region_and_no_fact(guarded: Guarded, part: str) -> None:
    """Row 3, with the certificate of the kubelet: what it says of itself is its own affair, and is not read."""
    own = labelled(guarded.kubelet, {"topology.kubernetes.io/region": "us-east"}, part=part)
    assert own.ok, own.message
    for key in (FACT_JURISDICTION, FACT_REGION, FACT_PROVIDER, FACT_IDENTITY, guarded.enforcement.plan.node_label):
        answer = labelled(guarded.kubelet, {key: "XX"}, part=part)
        assert answer.code == 403, answer.body
        assert "is not allowed to modify labels" in answer.message or "written by the operator" in answer.message


def test_a_kubelet_reports_its_status(guarded: Guarded) -> None:
    status = {"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Test", "message": ""}]}}
    answer = guarded.kubelet.request("PATCH", f"/api/v1/nodes/{NODE}/status", status, dryRun="All")
    assert answer.ok, answer.message


def test_labels_that_the_policy_selects_by_are_facts_too(guarded: Guarded, api: Api, namespace: str) -> None:
    tier = f"{namespace}.node-restriction.kubernetes.io/tier"
    placement = {"jurisdictions": ["FR"], "nodeSelector": {tier: "gold"}}
    enforcement = enforce(api, make_policy(api, namespace, placement=placement), namespace, settings(api))
    refused(labelled(guarded.labeller, {tier: "gold"}), f"label {tier}", "nodeFacts.writers")
    enforcement.remove()


def test_a_policy_in_audit_only_warns_about_nodes(guarded: Guarded, api: Api, namespace: str) -> None:
    enforcement = enforce(api, make_policy(api, namespace, enforcement="Audit"), namespace, settings(api))
    own = enforcement.plan.node_label
    answer = labelled(guarded.admin, {own: None})
    assert answer.ok, answer.message
    assert names(enforcement, "-nodefacts")(answer)
    enforcement.remove()


def test_the_rules_are_well_typed(guarded: Guarded) -> None:
    assert_no_type_warnings(guarded.enforcement)
