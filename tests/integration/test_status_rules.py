"""Row 22: statuses that somebody else makes up, tried by a tenant, a namespace's administrator and one of the whole cluster."""

from collections.abc import Iterator

import pytest

from sovereign.api.meta import API_VERSION
from sovereign.plan.inventory import Manifest
from tests.integration.actors import also
from tests.integration.api import Api, address
from tests.integration.conftest import Kubectl
from tests.integration.governed import Place, governed

pytestmark = pytest.mark.integration

STATUSES = [
    "sovereignmodels",
    "sovereignmodels/status",
    "inferencepools",
    "inferencepools/scale",
    "inferencepools/status",
]
READY = {"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Ready"}]}}


@pytest.fixture(scope="module")
def place(api: Api, kubectl: Kubectl) -> Iterator[Place]:
    """A namespace with a model and a pool, and a tenant who may write their statuses: a role that is too wide."""
    with governed(api, kubectl) as made:
        for manifest in (model(made.namespace), pool(made.namespace)):
            answer = api.create(manifest)
            assert answer.ok, answer.message
        for who in (made.tenant, made.admin):
            also(api, who, made.namespace, [{"apiGroups": ["sovereignai.io"], "resources": STATUSES, "verbs": ["*"]}])
        yield made


def model(namespace: str) -> Manifest:
    """A model on a claim that is not there."""
    return {
        "apiVersion": API_VERSION,
        "kind": "SovereignModel",
        "metadata": {"name": "chat", "namespace": namespace},
        "spec": {"source": {"uri": "pvc://weights/chat"}},
    }


def pool(namespace: str) -> Manifest:
    """A pool of that model."""
    return {
        "apiVersion": API_VERSION,
        "kind": "InferencePool",
        "metadata": {"name": "chat", "namespace": namespace},
        "spec": {"modelRef": {"name": "chat"}, "runtime": {"name": "vllm"}, "replicas": 1},
    }


@pytest.mark.parametrize("kind", ["SovereignModel", "InferencePool"])
def test_row_22_the_status_of_a_model_or_pool_is_the_operators_alone(place: Place, kind: str) -> None:
    manifest = (model if kind == "SovereignModel" else pool)(place.namespace)
    path = f"{address(manifest)}/status"
    for who in (place.tenant, place.admin, place.api):
        stored = place.api.get(address(manifest))
        for answer in (who.request("PATCH", path, READY), who.request("PUT", path, stored | READY)):
            place.refused(answer, f"the status of {kind} chat is what the operator has seen", "leave it as it is")
    assert "status" not in place.api.get(address(manifest))
    place.accepted(place.operator.request("PATCH", path, READY, dryRun="All"))


def test_row_22_the_status_of_a_policy_is_the_operators_alone(place: Place) -> None:
    name = place.enforcement.policy.name
    path = f"/apis/{API_VERSION}/sovereigntypolicies/{name}/status"
    place.refused(
        place.api.request("PATCH", path, READY), f"the status of SovereigntyPolicy {name} is what the operator"
    )
    place.accepted(place.operator.request("PATCH", path, READY, dryRun="All"))


def test_row_22_a_status_is_not_written_by_way_of_the_object(place: Place) -> None:
    """The API server leaves it out, at creation and afterwards."""
    made = pool(place.namespace) | {"metadata": {"name": "other", "namespace": place.namespace}} | READY
    for answer in (place.tenant.create(made), place.tenant.request("PATCH", address(made), READY)):
        assert answer.ok, answer.message
        assert "status" not in answer.body
    assert place.tenant.request("DELETE", address(made)).ok


def test_other_fields_can_be_written_and_pools_scaled(place: Place) -> None:
    path = address(pool(place.namespace))
    place.accepted(place.tenant.request("PATCH", path, {"metadata": {"finalizers": []}, "spec": {"maxNumSeqs": 8}}))
    place.accepted(place.tenant.request("PATCH", f"{path}/scale", {"spec": {"replicas": 2}}))


def test_statuses_elsewhere_are_untouched(place: Place, api: Api, free_namespace: str) -> None:
    free = pool(free_namespace)
    assert api.create(free).ok
    assert api.request("PATCH", f"{address(free)}/status", READY).ok
    with_name = f"other-{free_namespace}"
    spec = {
        "namespaceSelector": {"matchLabels": {"no": "namespace"}},
        "placement": {"jurisdictions": ["FR"]},
    }
    other = {"apiVersion": API_VERSION, "kind": "SovereigntyPolicy", "metadata": {"name": with_name}, "spec": spec}
    path = f"/apis/{API_VERSION}/sovereigntypolicies"
    assert api.request("POST", path, other).ok
    answer = api.request("PATCH", f"{path}/{with_name}/status", READY)
    assert answer.ok, answer.message
    assert api.request("DELETE", f"{path}/{with_name}").ok


def test_audit_warns_and_refuses_nothing(api: Api, kubectl: Kubectl) -> None:
    with governed(api, kubectl, enforcement="Audit") as audited:
        path = f"/apis/{API_VERSION}/sovereigntypolicies/{audited.enforcement.policy.name}/status"
        answer = api.request("PATCH", path, READY, dryRun="All")
        assert answer.ok, answer.message
        assert "is what the operator has seen" in "\n".join(answer.warnings)
