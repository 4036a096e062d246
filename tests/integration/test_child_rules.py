"""What the operator made, changed by others on a real API server with its controllers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sovereign.api.meta import LABEL_COMPONENT, LABEL_INSTANCE, LABEL_MANAGED_BY, LABEL_POOL
from sovereign.cluster.resources import CHILDREN
from sovereign.plan import child_rules
from sovereign.plan.inventory import Manifest, Owner
from tests.integration import actors, models
from tests.integration.api import Api, address
from tests.integration.conftest import TEST_LABEL, Kubectl, make_namespace, make_tenant
from tests.integration.enforcement import (
    InForce,
    container,
    enforce,
    eventually,
    make_policy,
    pod,
    settings,
)

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Kept(InForce):
    """A governed namespace with one child of each kind, and who is there."""

    api: Api
    operator: Api
    everybody: tuple[Api, ...]
    """A tenant, an administrator of the namespace, one of the cluster."""
    children: dict[str, Manifest]
    """By kind."""
    namespace: str

    @property
    def tenant(self) -> Api:
        return self.everybody[0]


@pytest.fixture(scope="module")
def kept(api: Api, kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[Kept]:
    """One namespace for all tests of this module."""
    worker = getattr(request.config, "workerinput", {}).get("workerid", "one")
    name = make_namespace(api, kubectl, f"children-{worker}", {TEST_LABEL: f"children-{worker}"})
    enforcement = enforce(api, make_policy(api, name), name, settings(api))
    operator = actors.operator(api)
    owner = models.pool(operator, name)
    made = [models.deployment(owner), models.job(owner), *models.others(owner)]
    for manifest in made:
        answer = operator.apply(manifest)
        assert answer.ok, answer.message
    everybody = (make_tenant(api, name), actors.admin(api, name), api)
    children = {manifest["kind"]: manifest for manifest in made}
    moved = {"spec": {"replicas": 2}}
    path = address(children["Deployment"])
    eventually(lambda: api.request("PATCH", path, moved, dryRun="All"), lambda answer: "-children'" in answer.message)
    yield Kept(enforcement, api, operator, everybody, children, name)
    enforcement.remove()
    kubectl("delete", "namespace", name, "--wait")


def test_the_rules_are_about_every_kind_that_the_operator_makes_in_a_namespace() -> None:
    ruled = {
        (f"{rule['apiGroups'][0]}/{rule['apiVersions'][0]}".removeprefix("/"), plural)
        for rule in child_rules.CHILDREN
        for plural in rule["resources"]
    }
    assert ruled == {(child.api_version, child.plural) for child in CHILDREN if child.namespaced}


_SPECS: dict[str, dict[str, Any]] = {
    "Deployment": {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}},
    "Job": {"spec": {"parallelism": 0}},
    "Service": {"spec": {"selector": {"app": "stranger"}}},
    "ServiceAccount": {"automountServiceAccountToken": True},
    "NetworkPolicy": {"spec": {"podSelector": {"matchLabels": {"app": "x"}}}},
    "PodDisruptionBudget": {"spec": {"maxUnavailable": 0}},
    "HorizontalPodAutoscaler": {"spec": {"maxReplicas": 3}},
    "PersistentVolumeClaim": {"spec": {"resources": {"requests": {"storage": "2Gi"}}}},
}


@pytest.mark.parametrize("kind", _SPECS)
def test_the_spec_of_a_child_is_changed_through_its_owner(kept: Kept, kind: str) -> None:
    """Row 10: with the name of what to change instead."""
    path = address(kept.children[kind])
    for who in kept.everybody:
        answer = who.request("PATCH", path, _SPECS[kind], dryRun="All")
        if kind == "PersistentVolumeClaim" and answer.code == 422:
            continue  # a claim that is not bound cannot grow at all
        kept.refused(answer, f"{kind} chat is the operator's, and its spec with it; change InferencePool chat instead")
    applied = {"apiVersion": kept.children[kind]["apiVersion"], "kind": kind, "metadata": {"name": "chat"}}
    answer = kept.tenant.request(
        "APPLY", path, applied | _SPECS[kind], dryRun="All", fieldManager="tenant", force="true"
    )
    assert not answer.ok


@pytest.mark.parametrize("kind", _SPECS)
@pytest.mark.parametrize("label", [LABEL_MANAGED_BY, LABEL_INSTANCE, LABEL_COMPONENT, LABEL_POOL])
def test_a_child_stays_known_as_one(kept: Kept, kind: str, label: str) -> None:
    """Row 10: without its labels the operator would not see what becomes of it."""
    for value in (None, "other"):
        change = {"metadata": {"labels": {label: value}}}
        for who in kept.everybody:
            answer = who.request("PATCH", address(kept.children[kind]), change, dryRun="All")
            kept.refused(answer, f"{kind} chat is the operator's, and its labels with it")


@pytest.mark.parametrize("kind", _SPECS)
def test_a_child_keeps_its_owner(kept: Kept, kind: str) -> None:
    """Row 10: an orphan would stay when its owner goes, and somebody else's child would go with that."""
    stored = kept.api.get(address(kept.children[kind]))
    (mine,) = stored["metadata"]["ownerReferences"]
    stranger = mine | {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "controller": False}
    for references in (None, [], [mine, stranger]):
        change = {"metadata": {"ownerReferences": references}}
        for who in kept.everybody:
            answer = who.request("PATCH", address(kept.children[kind]), change, dryRun="All")
            kept.refused(answer, f"{kind} chat is the operator's, and its owners with it")


@pytest.mark.parametrize("kind", _SPECS)
def test_the_operator_goes_on_changing_it_and_others_what_means_nothing(kept: Kept, kind: str) -> None:
    path = address(kept.children[kind])
    harmless = {"metadata": {"labels": {"team": "x"}, "annotations": {"a": "b"}}}
    for who in (*kept.everybody, kept.operator):
        answer = who.request("PATCH", path, harmless, dryRun="All")
        assert answer.ok, answer.message
    for change in (_SPECS[kind], {"metadata": {"labels": {LABEL_COMPONENT: "other"}}}):
        answer = kept.operator.request("PATCH", path, change, dryRun="All")
        assert answer.ok or answer.code == 422, answer.message


@pytest.mark.parametrize("kind", _SPECS)
def test_a_child_can_be_deleted(kept: Kept, kind: str) -> None:
    """It comes back (tests/operator/test_drift.py); deletion always finishes."""
    answer = kept.tenant.request("DELETE", address(kept.children[kind]), dryRun="All")
    assert answer.ok, answer.message


def test_weights_that_outlive_their_model_are_kept_too(kept: Kept) -> None:
    """Row 10: without an owner, the label says for whom they were made."""
    orphan = models.others(Owner("SovereignModel", "kept", "uid", kept.namespace))[-1]
    del orphan["metadata"]["ownerReferences"]
    assert kept.operator.create(orphan).ok
    change = {"metadata": {"labels": {LABEL_INSTANCE: "other"}}}
    answer = kept.tenant.request("PATCH", address(orphan), change, dryRun="All")
    kept.refused(answer, "PersistentVolumeClaim kept is the operator's", "change the object called kept instead")


def test_the_cluster_binds_a_claim_of_the_operators(kept: Kept, kubectl: Kubectl) -> None:
    reader = pod(
        kept.namespace,
        "reader",
        volumes=[{"name": "weights", "persistentVolumeClaim": {"claimName": "chat"}}],
        containers=[container(volumeMounts=[{"name": "weights", "mountPath": "/models", "readOnly": True}])],
        nodeSelector={kept.enforcement.plan.node_label: "true"},
    )
    assert kept.tenant.create(reader).ok
    kubectl("wait", "--for=jsonpath={.status.phase}=Bound", "pvc/chat", "-n", kept.namespace, "--timeout=90s")
    grown = kept.tenant.request(
        "PATCH", address(kept.children["PersistentVolumeClaim"]), _SPECS["PersistentVolumeClaim"]
    )
    assert grown.code == 403
    kubectl("delete", "pod", "reader", "-n", kept.namespace, "--grace-period=0", "--force")


def test_children_go_with_their_owner_or_are_let_go_by_the_garbage_collector(
    api: Api, kubectl: Kubectl, namespace: str
) -> None:
    """Deletion always finishes, in the way that was asked for."""
    enforcement = enforce(api, make_policy(api, namespace), namespace, settings(api))
    operator = actors.operator(api)
    owner = models.pool(operator, namespace)
    children = [models.deployment(owner), models.job(owner), *models.others(owner)]
    for manifest in children:
        assert operator.apply(manifest).ok
    path = f"/apis/sovereignai.io/v1alpha1/namespaces/{namespace}/inferencepools/{owner.name}"
    assert api.request("DELETE", path, {"propagationPolicy": "Orphan"}).ok
    for manifest in children:
        eventually(
            lambda manifest=manifest: api.request("GET", address(manifest)),
            lambda answer: answer.ok and "ownerReferences" not in answer.body["metadata"],
        )
    again = models.pool(operator, namespace)
    for manifest in [models.deployment(again), models.job(again), *models.others(again)]:
        assert operator.apply(manifest).ok
    assert api.request("DELETE", path, {"propagationPolicy": "Foreground"}).ok
    for manifest in children:
        eventually(lambda manifest=manifest: api.request("GET", address(manifest)), lambda answer: answer.code == 404)
    enforcement.remove()
