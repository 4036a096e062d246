"""What is, and what is not, a difference between the plan and the API server."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.cluster.difference import Difference, contains, difference, fingerprint, missing
from sovereign.cluster.rows import child, inherit

Manifest = dict[str, Any]

DESIRED: Manifest = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "chat",
        "namespace": "ns",
        "labels": {"app": "chat"},
        "ownerReferences": [{"kind": "InferencePool", "name": "chat", "uid": "u", "controller": True}],
    },
    "spec": {
        "replicas": 2,
        "template": {
            "spec": {
                "containers": [{"name": "engine", "resources": {"limits": {"cpu": "1000m", "memory": "1Gi"}}}],
                "volumes": [],
            }
        },
    },
}


def stored(**changes: Any) -> Manifest:
    """DESIRED as the API server stores it: defaults filled in, quantities canonical."""
    live: Manifest = orjson.loads(orjson.dumps(DESIRED))
    live["metadata"] |= {"uid": "1", "resourceVersion": "10", "managedFields": [{"manager": "sovereign-operator"}]}
    live["spec"]["revisionHistoryLimit"] = 10
    pod = live["spec"]["template"]["spec"]
    pod["dnsPolicy"] = "ClusterFirst"
    pod["containers"][0]["resources"]["limits"]["cpu"] = "1"
    del pod["volumes"]
    live["spec"] |= changes
    return live


def test_defaults_and_canonical_quantities_are_no_difference() -> None:
    row = child(stored(), "Deployment")
    assert difference(DESIRED, fingerprint(DESIRED), row) is Difference.NONE
    assert row.live is None, "the copy is dropped once it has been compared"
    assert difference(DESIRED, fingerprint(DESIRED), row) is Difference.NONE


def test_a_missing_object_is_created() -> None:
    assert difference(DESIRED, fingerprint(DESIRED), None) is Difference.CREATE


def test_a_changed_field_is_applied() -> None:
    assert difference(DESIRED, fingerprint(DESIRED), child(stored(replicas=1), "Deployment")) is Difference.APPLY


def test_an_added_container_is_a_difference() -> None:
    live = stored()
    live["spec"]["template"]["spec"]["containers"].append({"name": "sidecar"})
    assert difference(DESIRED, fingerprint(DESIRED), child(live, "Deployment")) is Difference.APPLY


def test_a_field_that_somebody_else_added_is_replaced() -> None:
    live = stored()
    live["spec"]["template"]["spec"]["hostAliases"] = [{"ip": "192.0.2.1"}]
    live["metadata"]["managedFields"].append({"manager": "kubectl-edit", "fieldsV1": {"f:spec": {"f:template": {}}}})
    assert difference(DESIRED, fingerprint(DESIRED), child(live, "Deployment")) is Difference.REPLACE


@pytest.mark.parametrize("subresource", ["status", "scale"])
def test_writers_of_subresources_are_not_foreign(subresource: str) -> None:
    live = stored()
    live["metadata"]["managedFields"].append(
        {"manager": "kube-controller-manager", "subresource": subresource, "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    )
    assert difference(DESIRED, fingerprint(DESIRED), child(live, "Deployment")) is Difference.NONE


def test_an_agreement_outlives_events_that_change_nothing() -> None:
    first = child(stored(), "Deployment")
    assert difference(DESIRED, fingerprint(DESIRED), first) is Difference.NONE
    later = stored()
    later["metadata"]["resourceVersion"] = "11"
    later["status"] = {"readyReplicas": 2}
    second = child(later, "Deployment")
    inherit(first, second)
    assert second.live is None
    assert difference(DESIRED, fingerprint(DESIRED), second) is Difference.NONE


def test_drift_after_an_agreement_is_noticed() -> None:
    first = child(stored(), "Deployment")
    assert difference(DESIRED, fingerprint(DESIRED), first) is Difference.NONE
    second = child(stored(replicas=5), "Deployment")
    inherit(first, second)
    assert difference(DESIRED, fingerprint(DESIRED), second) is Difference.APPLY


def test_a_new_plan_after_an_agreement_is_applied() -> None:
    row = child(stored(), "Deployment")
    assert difference(DESIRED, fingerprint(DESIRED), row) is Difference.NONE
    changed = DESIRED | {"spec": DESIRED["spec"] | {"replicas": 3}}
    assert difference(changed, fingerprint(changed), row) is Difference.APPLY


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON)
def test_everything_contains_itself(value: Any) -> None:
    assert contains(value, value)


@given(st.dictionaries(st.text("ab", min_size=1, max_size=2), JSON, max_size=3), JSON)
def test_more_fields_than_planned_are_contained(desired: Manifest, extra: Any) -> None:
    assert contains(desired | {"zz": extra}, desired)


@given(st.integers(1, 9), st.integers(1, 9))
def test_numbers_outside_quantities_are_compared_as_they_are(one: int, other: int) -> None:
    assert contains({"replicas": one}, {"replicas": other}) == (one == other)


@pytest.mark.parametrize(
    ("live", "path"),
    [
        (DESIRED, ""),
        (DESIRED | {"spec": DESIRED["spec"] | {"replicas": 1}}, "spec.replicas"),
        (
            DESIRED | {"spec": {key: value for key, value in DESIRED["spec"].items() if key != "replicas"}},
            "spec.replicas",
        ),
        (DESIRED | {"spec": None}, "spec"),
    ],
)
def test_what_was_not_stored_is_named_by_its_path(live: Manifest, path: str) -> None:
    assert missing(live, DESIRED) == path


def test_the_path_of_a_field_in_a_list() -> None:
    assert missing({"ports": [{"port": 1}, {"port": 2}]}, {"ports": [{"port": 1}, {"port": 3}]}) == "ports[1].port"
    assert missing({"ports": [{"port": 1}]}, {"ports": [{"port": 1}, {"port": 3}]}) == "ports"
    assert missing({"limits": {"cpu": "1"}}, {"limits": {"cpu": "1000m"}}) == ""
