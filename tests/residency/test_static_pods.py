"""Static pods are known by the Events of their kubelets and by their mirror pods; nothing of an Event is trusted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.residency.static_pods import Sighting, StaticPods, sighting

HASH = "f41d74a62c19f4c869b711975d31f62e"


def event(name: str = "stray-fr-1.1", version: int = 1, **fields: Any) -> dict[str, Any]:
    """An Event as a kubelet writes it about a static pod."""
    about = {"apiVersion": "v1", "kind": "Pod", "namespace": "gov", "name": "stray-fr-1", "uid": HASH}
    body = {
        "metadata": {"name": name, "namespace": "gov", "resourceVersion": str(version)},
        "involvedObject": about | fields.pop("about", {}),
        "reason": "Started",
        "message": "Started container main",
        "source": {"component": "kubelet", "host": "fr-1"},
        "reportingComponent": "kubelet",
        "reportingInstance": "fr-1",
    }
    return body | fields


def seen(*events: dict[str, Any]) -> StaticPods:
    static_pods = StaticPods()
    for body in events:
        static_pods.event(None, row(body))
    return static_pods


def row(body: dict[str, Any]) -> Sighting:
    found = sighting(body)
    assert found is not None
    return found


class Pod:
    """A pod of the API."""

    namespace, name, node = "gov", "stray-fr-1", "fr-1"

    def __init__(self, mirror: bool) -> None:
        self.mirror = mirror


def test_what_is_told() -> None:
    (pod,) = seen(event()).of({"gov"})
    assert pod.message == (
        "the kubelet of node fr-1 runs static pod gov/stray-fr-1 from a file, past the rules of the API server; remove its manifest "
        "from the staticPodPath of that node (the kubelet says Started: Started container main)"
    )


def test_a_pod_whose_sandbox_cannot_be_set_up() -> None:
    said = event(
        reason="FailedCreatePodSandBox", message='plugin type="calico" failed (add): pods "stray-fr-1" not found'
    )
    (pod,) = seen(said).of({"gov"})
    assert not pod.started
    assert "has been given static pod" in pod.message
    assert 'FailedCreatePodSandBox: plugin type="calico" failed (add): pods "stray-fr-1" not found' in pod.message


@pytest.mark.parametrize(
    "fields",
    [
        {"about": {"uid": "f41d74a6-2c19-4f4c-869b-711975d31f62"}},
        {"about": {"uid": ""}},
        {"about": {"uid": HASH + "0"}},
        {"about": {"uid": HASH.upper()}},
        {"about": {"name": "stray\n-fr-1"}},
        {"about": {"name": "x" * 300}},
        {"about": {"name": ""}},
        {"source": {"component": "kubelet", "host": "fr-1\x1b[31m"}},
        {"source": {}, "reportingInstance": ""},
    ],
)
def test_what_is_not_of_a_static_pod(fields: dict[str, Any]) -> None:
    assert sighting(event(**fields)) is None


def test_a_kubelet_that_names_itself_in_the_newer_field_only() -> None:
    assert row(event(source={"component": "kubelet"}, reportingInstance="fr-2")).node == "fr-2"


@given(st.text(max_size=3000), st.text(max_size=300))
def test_text_is_cut_and_cleaned(message: str, reason: str) -> None:
    pod = seen(event(message=message, reason=reason)).of({"gov"})[0]
    assert pod.message.isprintable()
    assert len(pod.says) <= 230


def test_control_and_direction_characters() -> None:
    pod = seen(event(message="a\x00b\nc\u202ed\u2028e")).of({"gov"})[0]
    assert pod.says == "the kubelet says Started: a b c d e"


def test_many_events_are_one_static_pod() -> None:
    pods = StaticPods()
    assert pods.event(None, row(event("1", 1, reason="Pulled")))
    assert not pods.event(None, row(event("2", 2, reason="Created")))
    assert pods.event(None, row(event("3", 3, reason="Started", message="")))
    repeated = event("4", 4, reason="BackOff", message="restarting failed container")
    assert not pods.event(None, row(repeated))
    assert not pods.event(row(repeated), row(event("4", 5, reason="BackOff", message="restarting failed container")))
    (pod,) = pods.of({"gov"})
    assert pod.says == "the kubelet says Started", "that it started is worth more than what came later"
    assert pods.of({"other"}) == []


def test_it_is_forgotten_with_its_events() -> None:
    pods, one, two = StaticPods(), row(event("1")), row(event("2"))
    pods.event(None, one)
    pods.event(None, two)
    assert not pods.event(one, None)
    assert pods.of({"gov"})
    assert pods.event(two, None)
    assert pods.of({"gov"}) == []


def test_a_mirror_pod_is_a_static_pod() -> None:
    pods = StaticPods()
    assert not pods.pod(None, Pod(False))
    assert pods.of({"gov"}) == []
    assert pods.pod(Pod(False), Pod(True))
    assert not pods.pod(Pod(True), Pod(True))
    (pod,) = pods.of({"gov"})
    assert pod.message.endswith("of that node (its mirror pod is in the API)")
    pods.event(None, row(event()))
    (pod,) = pods.of({"gov"})
    assert pod.started
    assert not pods.pod(Pod(True), Pod(True))
    assert pods.pod(Pod(True), None)
    assert len(pods.of({"gov"})) == 1, "its Events are still there"
