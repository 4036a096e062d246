"""A static pod is told: by what its kubelet says, where admission refused its mirror pod; by its mirror pod, where that is in the API."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from testbed.kubectl import Kubectl
from tests.operator.lab import IMAGE, Lab, Process, custom, wait_for

NODE = "gpu-fr-1"
POD = f"stray-{NODE}"
HASH = "f41d74a62c19f4c869b711975d31f62e"
NOT_FOUND = 'plugin type="calico" failed (add): error getting pod: pods "stray" not found'
Manifest = dict[str, Any]


@pytest.fixture
def kubelet(lab: Lab) -> Kubectl:
    """kubectl as the kubelet of the node."""
    return lab.cluster.kubectl_as(lab.cluster.client_certificate(f"system:node:{NODE}", ["system:nodes"]))


def event(reason: str, message: str, *, uid: str = HASH, pod: str = POD) -> Manifest:
    """An Event as a kubelet writes it about one of its pods."""
    when = "2026-01-01T00:00:00Z"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{pod}.{reason.lower()}"},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid},
        "reason": reason,
        "message": message,
        "type": "Normal",
        "count": 1,
        "firstTimestamp": when,
        "lastTimestamp": when,
        "source": {"component": "kubelet", "host": NODE},
        "reportingComponent": "kubelet",
        "reportingInstance": NODE,
    }


def say(kubelet: Kubectl, namespace: str, *events: Manifest) -> None:
    for body in events:
        about = body["involvedObject"] | {"namespace": namespace}
        kubelet("create", "-n", namespace, "-f", "-", input=json.dumps(body | {"involvedObject": about}))


def told(lab: Lab, policy: str) -> list[str]:
    """What was told about static pods to the readers of a policy."""
    said = [event for event in lab.all("events", "default") if event["reason"] == "StaticPod"]
    return sorted(event["message"] for event in said if event["involvedObject"]["name"] == policy)


def counted(operator: Process, policy: str) -> float | None:
    """The gauge of a policy; None while it is not known."""
    lines = operator.get("/metrics").splitlines()
    found = [line for line in lines if line.startswith(f'sovereign_static_pods{{policy="{policy}"}}')]
    return float(found[0].rsplit(" ", 1)[1]) if found else None


def test_a_static_pod_that_the_api_does_not_have(lab: Lab, operator: Process, place: str, kubelet: Kubectl) -> None:
    wait_for("the gauge", lambda: counted(operator, place) == 0)
    say(kubelet, place, event("FailedCreatePodSandBox", NOT_FOUND))
    (message,) = wait_for("the word", lambda: told(lab, place))
    for part in (NODE, f"{place}/{POD}", "remove its manifest from the staticPodPath", NOT_FOUND):
        assert part in message
    wait_for("the gauge", lambda: counted(operator, place) == 1)
    assert f"Policy {place}: StaticPod: " in operator.log.read_text()

    # the kubelet repeats itself: not one request (kubectl reads what it patches, which a kubelet may not)
    lab.settle(operator)
    since = lab.position()
    for count in range(2, 6):
        change = json.dumps({"count": count})
        lab.cluster.kubectl(
            "patch", "event", f"{POD}.failedcreatepodsandbox", "-n", place, "--type=merge", "-p", change
        )
    say(kubelet, place, event("BackOff", "Back-off restarting failed container"))
    lab.settle(operator)
    assert lab.requests(since) == []

    # it runs: that is told once more
    say(kubelet, place, event("Started", "Started container main"), event("Killing", "Stopping container main"))
    wait_for("the second word", lambda: len(told(lab, place)) == 2)
    assert any("runs static pod" in message and "Started container main" in message for message in told(lab, place))

    lab.cluster.kubectl("delete", "events", "--all", "-n", place)
    wait_for("the gauge", lambda: counted(operator, place) == 0)


def test_events_of_ordinary_pods(lab: Lab, operator: Process, place: str, kubelet: Kubectl) -> None:
    say(
        kubelet,
        place,
        event("Started", "Started container main", uid="0d9d2d4c-8a4e-4a86-9d0a-9cf3b1f3e8a2", pod="other"),
    )
    say(kubelet, place, event("Started", "Started container main"))
    wait_for("the word", lambda: told(lab, place))
    assert counted(operator, place) == 1


def test_each_policy_is_told_once_it_governs(lab: Lab, operator: Process, place: str, kubelet: Kubectl) -> None:
    space = lab.namespace(f"{place}-later", tier="none")
    second = f"{place}-second"
    try:
        say(kubelet, space, event("Started", "Started container main"))
        say(kubelet, place, event("Started", "Started container main"))
        wait_for("the word", lambda: told(lab, place))
        assert len(told(lab, place)) == 1, "the other namespace is not governed"
        lab.policy(second, tier=place)
        lab.namespace(space, tier=place)
        for policy in (place, second):
            wait_for("both words", lambda policy=policy: len(told(lab, policy)) == 2)
            wait_for("the gauge", lambda policy=policy: counted(operator, policy) == 2)
    finally:
        lab.cluster.kubectl("delete", "sovpol", second)
        lab.cluster.kubectl("delete", "namespace", space, "--wait=false")
    wait_for("the gauge to go with its policy", lambda: counted(operator, second) is None)


def test_a_new_leader_tells_it_once_more(lab: Lab, operator: Process, place: str, kubelet: Kubectl) -> None:
    say(kubelet, place, event("Started", "Started container main"))
    before = wait_for("the word", lambda: told(lab, place))
    lab.settle(operator)
    operator.stop()
    since = lab.position()
    again = lab.start()
    try:
        wait_for("the gauge", lambda: counted(again, place) == 1)
        lab.settle(again)
        assert told(lab, place) == before
        writes = [request.verb for request in lab.requests(since) if request.writes and request.resource == "events"]
        assert sorted(writes) == ["create", "patch"], "the same Event, with a new time"
    finally:
        again.stop()


@pytest.fixture
def mirror(lab: Lab, place: str, kubelet: Kubectl) -> Iterator[Callable[[], str]]:
    """Make a mirror pod as the kubelet does; returns its UID."""

    def make() -> str:
        node = lab.get("node", NODE)
        assert node is not None
        owner = {"apiVersion": "v1", "kind": "Node", "name": NODE, "uid": node["metadata"]["uid"], "controller": True}
        annotations = {f"kubernetes.io/config.{part}": HASH for part in ("mirror", "hash")}
        annotations["kubernetes.io/config.source"] = "file"
        metadata = {"name": POD, "namespace": place, "annotations": annotations, "ownerReferences": [owner]}
        spec = {"nodeName": NODE, "containers": [{"name": "main", "image": IMAGE}], "enableServiceLinks": False}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        kubelet("create", "-f", "-", input=json.dumps(pod))
        return str(lab.get("pod", POD, place)["metadata"]["uid"])  # type: ignore[index]

    yield make
    lab.cluster.kubectl("delete", "pod", POD, "-n", place, "--ignore-not-found")


def test_a_mirror_pod_of_a_policy_that_only_reports(
    lab: Lab, operator: Process, place: str, mirror: Callable[[], str]
) -> None:
    lab.policy(place, tier=place, enforcement="Audit")
    lab.wait_condition("sovpol", place, "", "Enforced", "False", "AuditOnly")
    lab.settle(operator)
    mirror()
    (message,) = wait_for("the word", lambda: told(lab, place))
    assert f"{place}/{POD}" in message
    assert "its mirror pod is in the API" in message
    wait_for("the gauge", lambda: counted(operator, place) == 1)
    lab.cluster.kubectl("delete", "pod", POD, "-n", place)
    wait_for("the gauge", lambda: counted(operator, place) == 0)


def test_a_mirror_pod_from_before_the_policy_on_an_unlawful_node(
    lab: Lab, operator: Process, place: str, mirror: Callable[[], str]
) -> None:
    german = f"{place}-de"
    lab.cluster.kubectl("delete", "sovpol", place, "--wait=true")
    wait_for("its rules to go", lambda: lab.get("validatingadmissionpolicy", f"sovereign-{place}-pods") is None)
    lab.settle(operator)
    uid = mirror()
    spec = {"namespaceSelector": {"matchLabels": {"tier": place}}, "placement": {"jurisdictions": ["DE"]}}
    try:
        lab.apply(custom("SovereigntyPolicy", german, "", spec | {"onViolation": {"gracePeriod": "1s"}}))
        wait_for("the word", lambda: told(lab, german))
        (blocked,) = wait_for(
            "why it is not removed", lambda: [e for e in lab.all("events", place) if e["reason"] == "RepairBlocked"]
        )
        assert f"node {NODE} is not approved by policy {german}" in blocked["message"]
        assert "remove its manifest from the staticPodPath" in blocked["message"]
        lab.settle(operator)
        assert lab.get("pod", POD, place)["metadata"]["uid"] == uid, "without it, the static pod would go on unseen"  # type: ignore[index]
    finally:
        lab.cluster.kubectl("delete", "sovpol", german, "--wait=true")
