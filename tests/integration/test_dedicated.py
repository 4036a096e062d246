"""Nodes that take only governed pods: strangers try to get beside the weights, with the real scheduler and controllers."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from sovereign.api.meta import FACT_JURISDICTION
from sovereign.plan.inventory import Settings
from testbed import objects
from testbed.inventory import FakeNode
from tests.integration.api import Answer, Api, address
from tests.integration.conftest import Kubectl
from tests.integration.enforcement import (
    Enforcement,
    assert_no_type_warnings,
    bind,
    container,
    enforce,
    eventually,
    make_policy,
    pod,
    settings,
)

pytestmark = pytest.mark.integration

GROUP = "example.com/group"


@dataclass(frozen=True)
class Dedicated:
    """A policy with one node of its own, and one beside it that is anybody's."""

    enforcement: Enforcement
    namespace: str
    elsewhere: str
    """A namespace that the policy does not govern."""
    node: str
    other: str
    group: str
    """The value of `GROUP` on both nodes."""

    @property
    def only(self) -> dict[str, str]:
        """What selects the dedicated node alone."""
        return {GROUP: self.group, _tier(self.group): "gold"}

    def refused(self, answer: Answer) -> None:
        """That it was the policy that refused, and what it said."""
        assert answer.code == 403, answer.body
        assert f"policy {self.enforcement.policy.name}: node {self.node} is dedicated" in answer.message


def _tier(tag: str) -> str:
    return f"{tag}.node-restriction.kubernetes.io/tier"


@pytest.fixture
def dedicated(api: Api, namespace: str, free_namespace: str) -> Iterator[Dedicated]:
    """With all that the API server can do."""
    with _dedicated(api, namespace, free_namespace, settings(api)) as made:
        yield made


@pytest.fixture
def validated(api: Api, namespace: str, free_namespace: str) -> Iterator[Dedicated]:
    """With what every API server can do: no pod is changed, so that the scheduler learns by being refused."""
    with _dedicated(api, namespace, free_namespace, Settings(mutating_admission=False)) as made:
        yield made


@contextmanager
def _dedicated(api: Api, namespace: str, free_namespace: str, using: Settings) -> Iterator[Dedicated]:
    tag = secrets.token_hex(4)
    own, other = f"own-{tag}", f"other-{tag}"
    for name, labels in ((own, {FACT_JURISDICTION: "FR", _tier(tag): "gold"}), (other, {FACT_JURISDICTION: "FR"})):
        manifest = objects.node(FakeNode(name, "fr-par"))
        del manifest["metadata"]["labels"][objects.OWNED_LABEL]
        manifest["metadata"]["labels"] |= labels | {GROUP: tag}
        answer = api.create(manifest)
        assert answer.ok, answer.message
    using = msgspec.structs.replace(using, node_agents=(f"{free_namespace}/agent",))
    placement = {"jurisdictions": ["FR"], "nodeSelector": {_tier(tag): "gold"}, "dedicated": True}
    enforcement = enforce(api, make_policy(api, namespace, placement=placement), namespace, using)
    assert enforcement.plan.approved == {own}
    yield Dedicated(enforcement, namespace, free_namespace, own, other, tag)
    enforcement.remove()
    for name in (own, other):
        api.request("DELETE", f"/api/v1/nodes/{name}")


def landed(api: Api, manifest: dict[str, Any]) -> str:
    """Where a pod is, once it is somewhere."""
    answer = eventually(
        lambda: api.request("GET", address(manifest)), lambda answer: bool(answer.body["spec"].get("nodeName"))
    )
    return str(answer.body["spec"]["nodeName"])


def test_a_debugger_on_the_node_is_refused(dedicated: Dedicated, kubectl: Kubectl) -> None:
    """Row 13: an administrator, from a namespace that no policy governs, with the host's files in the pod."""
    done = kubectl.run("debug", f"node/{dedicated.node}", "--image=busybox", "-n", dedicated.elsewhere, "--", "true")
    assert done.returncode != 0
    assert f"node {dedicated.node} is dedicated to the namespaces that the policy governs" in done.stderr
    free = kubectl.run("debug", f"node/{dedicated.other}", "--image=busybox", "-n", dedicated.elsewhere, "--", "true")
    assert free.returncode == 0, free.stderr


@pytest.mark.parametrize("path", ["", "bindings"])
def test_a_stranger_is_neither_bound_nor_named(api: Api, dedicated: Dedicated, path: str) -> None:
    """Row 1, turned round: by a Binding made by hand, or by spec.nodeName."""
    assert api.create(pod(dedicated.elsewhere, "stranger", nodeSelector={"no": "node"})).ok
    dedicated.refused(bind(api, dedicated.elsewhere, "stranger", dedicated.node, path=path))
    assert bind(api, dedicated.elsewhere, "stranger", dedicated.other, path=path).ok
    dedicated.refused(api.create(pod(dedicated.elsewhere, nodeName=dedicated.node), dry_run=True))


def test_governed_pods_and_those_of_the_system_are_taken(api: Api, dedicated: Dedicated) -> None:
    for space in (dedicated.namespace, "kube-system"):
        answer = api.create(pod(space, nodeName=dedicated.node), dry_run=True)
        assert answer.ok, answer.message
    name = f"system-{dedicated.group}"
    system = pod("kube-system", name, nodeSelector=dedicated.only)
    assert api.create(system).ok
    assert landed(api, system) == dedicated.node
    api.request("DELETE", address(system), {"gracePeriodSeconds": 0})


def test_the_scheduler_says_why_a_strangers_job_waits(api: Api, validated: Dedicated) -> None:
    insists = pod(validated.elsewhere, "insists", nodeSelector=validated.only)
    assert api.create(insists).ok
    eventually(
        lambda: _events(api, validated), lambda answer: _told(answer, "insists", f"node {validated.node} is dedicated")
    )
    assert "nodeName" not in api.get(address(insists))["spec"]


_OWN = {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_AFFINITIES: list[dict[str, Any]] = [
    {},
    {"nodeAffinity": {}},
    {"nodeAffinity": {_REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [_OWN]}]}}},
    {"nodeAffinity": {_REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [_OWN]}, {}]}}},
    {"podAntiAffinity": {}},
]


def test_a_strangers_job_lands_on_another_node(api: Api, dedicated: Dedicated) -> None:
    """Row 2, turned round: whatever affinity of its own it has, and whatever terms of it are OR-ed."""
    group = {GROUP: dedicated.group}
    content = [pod(dedicated.elsewhere, "plain", nodeSelector=group)]
    for index, affinity in enumerate(_AFFINITIES):
        content.append(pod(dedicated.elsewhere, f"content-{index}", nodeSelector=group, affinity=affinity))
    insists = pod(dedicated.elsewhere, "insists", nodeSelector=dedicated.only)
    for manifest in (insists, *content):
        answer = api.create(manifest)
        assert answer.ok, answer.message
    assert {landed(api, manifest) for manifest in content} == {dedicated.other}
    eventually(lambda: _events(api, dedicated), lambda answer: _told(answer, "insists", "node affinity/selector"))
    assert "nodeName" not in api.get(address(insists))["spec"]


def test_an_affinity_that_selects_nothing_selects_nothing(api: Api, dedicated: Dedicated) -> None:
    nothing = {"nodeAffinity": {_REQUIRED: {"nodeSelectorTerms": [{}]}}}
    answer = api.create(pod(dedicated.elsewhere, affinity=nothing), dry_run=True)
    assert answer.ok, answer.message
    assert answer.body["spec"]["affinity"] == nothing


def test_pods_of_others_than_strangers_are_left_as_they_are(api: Api, dedicated: Dedicated) -> None:
    for space in (dedicated.namespace, "kube-system"):
        answer = api.create(pod(space), dry_run=True)
        assert answer.ok, answer.message
        # Another test's policy may keep them off its own nodes at this moment.
        assert dedicated.enforcement.plan.node_label not in str(answer.body["spec"].get("affinity"))


def _events(api: Api, dedicated: Dedicated) -> Answer:
    return api.request("GET", f"/api/v1/namespaces/{dedicated.elsewhere}/events")


def _told(answer: Answer, name: str, words: str) -> bool:
    """Whether the scheduler says this about a pod whose name begins so."""
    found = (event for event in answer.body["items"] if event["reason"] == "FailedScheduling")
    return any(words in event["message"] for event in found if event["involvedObject"]["name"].startswith(name))


def _daemons(namespace: str, name: str, group: str) -> dict[str, Any]:
    labels = {"app": name}
    spec = {"nodeSelector": {GROUP: group}, "containers": [container()]}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }


@pytest.mark.parametrize(("means", "words"), [("dedicated", "node affinity"), ("validated", "is dedicated")])
def test_daemon_sets_that_are_named_land_and_others_do_not(
    api: Api, request: pytest.FixtureRequest, means: str, words: str
) -> None:
    """By the real controller of DaemonSets and the real scheduler, with pods that are changed and without."""
    made: Dedicated = request.getfixturevalue(means)
    for name in ("agent", "stranger"):
        assert api.create(_daemons(made.elsewhere, name, made.group)).ok

    def where(name: str) -> Answer:
        return api.request("GET", f"/api/v1/namespaces/{made.elsewhere}/pods", labelSelector=f"app={name}")

    def places(answer: Answer) -> set[str]:
        return {one["spec"]["nodeName"] for one in answer.body["items"] if one["spec"].get("nodeName")}

    eventually(lambda: where("agent"), lambda answer: places(answer) == {made.node, made.other})
    eventually(lambda: where("stranger"), lambda answer: made.other in places(answer))
    eventually(lambda: _events(api, made), lambda answer: _told(answer, "stranger-", words))
    assert places(where("stranger")) == {made.other}


def test_a_pod_that_only_pretends_to_be_an_agent_is_refused(api: Api, dedicated: Dedicated) -> None:
    """With an owner that its maker only claims."""
    owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": "u", "controller": True}
    fake = pod(dedicated.elsewhere, "agent-fake", nodeName=dedicated.node)
    fake["metadata"]["ownerReferences"] = [owner]
    dedicated.refused(api.create(fake, dry_run=True))
    made = api.as_user("system:kube-controller-manager", "system:masters").create(fake, dry_run=True)
    assert made.ok, made.message


def test_the_rules_are_well_typed(dedicated: Dedicated) -> None:
    assert_no_type_warnings(dedicated.enforcement)
