"""The world changes: pods leave the endpoints at once, are removed, and come up where they may be."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sovereign.api.meta import FACT_IDENTITY, approving_policy
from tests.operator.lab import FACTS, IMAGE, Lab, Process, created, endpoints, events, nodes_of, serve, status, wait_for

FRENCH = ("gpu-fr-1", "gpu-fr-2", "gpu-fr-3")


def test_a_node_that_changes_jurisdiction(lab: Lab, operator: Process, place: str) -> None:
    node = serve(lab, place)
    (before,) = lab.pods(place, "chat")
    wait_for("the endpoint", lambda: endpoints(lab, place, "chat"))
    try:
        lab.facts(node, jurisdiction="US")
        wait_for("the pod to move", lambda: nodes_of(lab, place, "chat") not in ([node], [], [""]))
        lab.wait_condition("sovpool", "chat", place, "PlacementVerified", "True")
        moved = nodes_of(lab, place, "chat")
        assert set(moved) <= set(FRENCH) - {node}
        wait_for(
            "the endpoint",
            lambda: endpoints(lab, place, "chat") == {p["metadata"]["name"] for p in lab.pods(place, "chat")},
        )
        (evicted,) = [
            e for e in events(lab, place, "Evicted") if e["involvedObject"]["uid"] == before["metadata"]["uid"]
        ]
        assert "jurisdiction US, not in FR" in evicted["message"]
        labels = lab.get("node", node)["metadata"]["labels"]  # type: ignore[index]
        assert f"{place}.{FACTS}/approved" not in labels
    finally:
        lab.facts(node, jurisdiction="FR")
    wait_for("its approval", lambda: f"{place}.{FACTS}/approved" in lab.get("node", node)["metadata"]["labels"])  # type: ignore[index]


def test_a_node_that_loses_its_facts(lab: Lab, operator: Process, place: str) -> None:
    node = serve(lab, place)
    try:
        lab.facts(node, jurisdiction=None)
        wait_for("the pod to move", lambda: nodes_of(lab, place, "chat") not in ([node], [], [""]))
        status = wait_for("its rejection", lambda: rejection(lab, place, node))
        assert status["rule"] == "placement.facts"
    finally:
        lab.facts(node, jurisdiction="FR")


def rejection(lab: Lab, policy: str, node: str) -> dict[str, Any] | None:
    found = lab.get("sovpol", policy)
    assert found is not None
    return next((entry for entry in found["status"]["rejections"] if entry["node"] == node), None)


def test_a_node_that_is_deleted(lab: Lab, operator: Process, place: str) -> None:
    node = serve(lab, place)
    saved = lab.get("node", node)
    assert saved is not None
    approved = lab.get("sovpol", place)["status"]["approvedNodes"]  # type: ignore[index]
    lab.cluster.kubectl("delete", "node", node)
    try:
        wait_for("the pod to move", lambda: nodes_of(lab, place, "chat") not in ([node], [], [""]))
        wait_for("the count", lambda: lab.get("sovpol", place)["status"]["approvedNodes"] == approved - 1)  # type: ignore[index]
    finally:
        for gone in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
            saved["metadata"].pop(gone, None)
        saved.pop("status")
        saved["metadata"]["labels"] = {
            key: value for key, value in saved["metadata"]["labels"].items() if not written_by_operator(key)
        }
        wait_for("its name to be free", lambda: created(lab, "", saved))
        status = {"capacity": CAPACITY, "allocatable": CAPACITY}
        lab.cluster.kubectl(
            "patch", "node", node, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status})
        )


CAPACITY = {"cpu": "64", "memory": "512Gi", "pods": "110", "nvidia.com/gpu": "8", "ephemeral-storage": "1Ti"}


def test_nowhere_lawful_to_go(lab: Lab, operator: Process, place: str) -> None:
    serve(lab, place)
    try:
        for node in (*FRENCH, "cpu-fr-1"):
            lab.facts(node, jurisdiction="US")
        lab.wait_condition("sovpool", "chat", place, "Ready", "False", "NoApprovedNode")
        pod = wait_for("a pending pod", lambda: next(iter(lab.pods(place, "chat")), None))
        assert not pod["spec"].get("nodeName"), "nothing relaxes placement"
        message = lab.condition("sovpool", "chat", place, "Ready")["message"]
        assert "placement.jurisdictions" in message
        assert "jurisdiction US" in message
        assert "jurisdiction DE" in message
        assert endpoints(lab, place, "chat") == set()
        lab.wait_condition("sovpol", place, "", "Ready", "False", "NoApprovedNode")
    finally:
        for node in (*FRENCH, "cpu-fr-1"):
            lab.facts(node, jurisdiction="FR")
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")


def test_an_eviction_that_is_refused_becomes_a_deletion(lab: Lab, operator: Process, place: str) -> None:
    node = serve(lab, place)
    lab.policy(place, tier=place, onViolation={"gracePeriod": "3s"})
    (before,) = lab.pods(place, "chat")
    budget = {"selector": {"matchLabels": {"sovereignai.io/pool": "chat"}}, "maxUnavailable": 0}
    lab.apply(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "never", "namespace": place},
            "spec": budget,
        }
    )
    wait_for("the budget", lambda: (lab.get("pdb", "never", place) or {}).get("status", {}).get("observedGeneration"))
    try:
        lab.facts(node, jurisdiction="US")
        wait_for(
            "its end", lambda: before["metadata"]["uid"] not in {p["metadata"]["uid"] for p in lab.pods(place, "chat")}
        )
        assert events(lab, place, "Deleted")
        said = [e["message"] for e in events(lab, place, "UnlawfulPlacement")]
        assert len(said) == len(set(said)) == 2, "one Event for leaving the endpoints, one for all refusals"
        assert not [e for e in events(lab, place, "Evicted") if e["involvedObject"]["uid"] == before["metadata"]["uid"]]
    finally:
        lab.facts(node, jurisdiction="FR")


def test_report_takes_out_of_the_endpoints_and_moves_nothing(lab: Lab, operator: Process, place: str) -> None:
    node = serve(lab, place)
    lab.policy(place, tier=place, onViolation={"action": "Report"})
    (before,) = lab.pods(place, "chat")
    lab.settle(operator)
    try:
        lab.facts(node, jurisdiction="US")
        lab.wait_condition("sovpool", "chat", place, "PlacementVerified", "False", "UnlawfulPlacement")
        wait_for("no endpoint", lambda: endpoints(lab, place, "chat") == set())
        assert [pod["metadata"]["uid"] for pod in lab.pods(place, "chat")] == [before["metadata"]["uid"]]
        wait_for("the count", lambda: lab.get("sovpol", place)["status"]["violations"]["current"] == 1)  # type: ignore[index]
    finally:
        lab.facts(node, jurisdiction="FR")
    wait_for("it to serve again", lambda: endpoints(lab, place, "chat"))
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")


def test_audit_reports_and_moves_nothing(lab: Lab, operator: Process, place: str) -> None:
    node = serve(lab, place)
    lab.policy(place, tier=place, enforcement="Audit")
    lab.wait_condition("sovpol", place, "", "Enforced", "False", "AuditOnly")
    wait_for("the namespace to be open", lambda: not lab.all("networkpolicies", place, "sovereignai.io/policy"))
    (before,) = lab.pods(place, "chat")
    try:
        lab.facts(node, jurisdiction="US")
        lab.wait_condition("sovpool", "chat", place, "PlacementVerified", "False", "UnlawfulPlacement")
        assert [pod["metadata"]["uid"] for pod in lab.pods(place, "chat")] == [before["metadata"]["uid"]]
        assert endpoints(lab, place, "chat") == {before["metadata"]["name"]}
    finally:
        lab.facts(node, jurisdiction="FR")


def test_a_policy_change_moves_only_the_pods_it_concerns(lab: Lab, operator: Process, place: str) -> None:
    lab.policy(place, tier=place, jurisdictions=("FR", "DE"))
    lab.model("chat", place)
    lab.pool("french", place, modelRef={"name": "chat"}, placement={"jurisdictions": ["FR"]})
    lab.pool("german", place, modelRef={"name": "chat"}, placement={"jurisdictions": ["DE"]})
    for pool in ("french", "german"):
        lab.wait_condition("sovpool", pool, place, "Ready", "True")
    (stays,) = lab.pods(place, "french")
    assert nodes_of(lab, place, "german")[0].startswith("gpu-de")
    lab.policy(place, tier=place, jurisdictions=("FR",))
    lab.wait_condition("sovpool", "german", place, "Ready", "False")
    lab.settle(operator)
    assert [pod["metadata"]["uid"] for pod in lab.pods(place, "french")] == [stays["metadata"]["uid"]]
    deployment = lab.get("deployment", "french", place)
    assert deployment is not None
    assert deployment["metadata"]["generation"] == 1, "the template does not change with the list of jurisdictions"


def test_a_node_that_gains_gpus_is_noticed(lab: Lab, operator: Process, place: str) -> None:
    lab.model("chat", place)
    lab.pool("chat", place, accelerator={"resourceName": "example.com/npu", "count": 1})
    lab.wait_condition("sovpool", "chat", place, "Available", "False", "InsufficientAccelerators")
    added = {"status": {"capacity": {"example.com/npu": "1"}, "allocatable": {"example.com/npu": "1"}}}
    lab.cluster.kubectl("patch", "node", "cpu-fr-1", "--subresource=status", "--type=merge", "-p", json.dumps(added))
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")
    assert nodes_of(lab, place, "chat") == ["cpu-fr-1"]


SILENT = "silent-fr-1"
"""A node of no kubelet: KWOK's nodes end a pod at once, and what it was given to end could not be seen."""
Occupy = Callable[[int], str]


@pytest.fixture
def occupy(lab: Lab, operator: Process, place: str) -> Iterator[Occupy]:
    """Put a ready pod with this terminationGracePeriodSeconds on the silent node; returns its UID."""
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": SILENT, "labels": {f"{FACTS}/jurisdiction": "FR"}}}
    ready = [{"type": "Ready", "status": "True", "reason": "Test", "message": ""}]
    wait_for("its name to be free", lambda: created(lab, "", node))
    status(lab, "node", SILENT, conditions=ready)

    def put(own: int) -> str:
        wait_for("the node", lambda: f"{place}.{FACTS}/approved" in lab.get("node", SILENT)["metadata"]["labels"])  # type: ignore[index]
        spec = {"nodeName": SILENT, "terminationGracePeriodSeconds": own, "containers": [{"name": "c", "image": IMAGE}]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stays", "labels": {"app": "stays"}}}
        wait_for(
            "the pod to be admitted",
            lambda: created(lab, place, {**pod, "spec": spec}) or lab.get("pod", "stays", place),
        )
        status(lab, "pod", "stays", place, phase="Running", conditions=ready)
        return str(lab.get("pod", "stays", place)["metadata"]["uid"])  # type: ignore[index]

    yield put
    lab.cluster.kubectl("delete", "pod", "stays", "-n", place, "--force", "--grace-period=0", "--ignore-not-found")
    lab.cluster.kubectl("delete", "node", SILENT)


def written_by_operator(label: str) -> bool:
    """Whether only the operator may write this label of a node."""
    return label == FACT_IDENTITY or bool(approving_policy(label))


def given(lab: Lab, namespace: str) -> int | None:
    """The seconds that the API server has stored for the end of the pod."""
    pod = lab.get("pod", "stays", namespace)
    assert pod is not None
    return pod["metadata"].get("deletionGracePeriodSeconds")


def removals(lab: Lab, since: int) -> list[tuple[str, str]]:
    """What the operator asked for the end of the pod."""
    writes = [request for request in lab.requests(since) if request.writes and request.name == "stays"]
    return [(request.verb, request.resource) for request in writes]


@pytest.mark.parametrize(("period", "own", "least", "most"), [("20s", 60, 14, 18), ("5m", 40, 40, 40)])
def test_a_pod_ends_within_the_grace_period(
    lab: Lab, occupy: Occupy, place: str, period: str, own: int, least: int, most: int
) -> None:
    lab.policy(place, tier=place, onViolation={"gracePeriod": period})
    occupy(own)
    lab.facts(SILENT, jurisdiction="US")
    seconds = wait_for("its eviction", lambda: given(lab, place))
    assert least <= seconds <= most
    (evicted,) = events(lab, place, "Evicted")
    assert f"evicted, with {seconds} s to end" in evicted["message"]


def test_a_refused_eviction_ends_within_the_grace_period(lab: Lab, occupy: Occupy, place: str) -> None:
    lab.policy(place, tier=place, onViolation={"gracePeriod": "6s"})
    occupy(60)
    budget = {"selector": {"matchLabels": {"app": "stays"}}, "minAvailable": 1}
    metadata = {"name": "never", "namespace": place}
    lab.apply({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": budget})
    wait_for("the budget", lambda: (lab.get("pdb", "never", place) or {}).get("status", {}).get("currentHealthy"))
    lab.facts(SILENT, jurisdiction="US")
    assert wait_for("its deletion", lambda: given(lab, place)) == 1
    (deleted,) = wait_for("the word", lambda: events(lab, place, "Deleted"))
    (refused, *_) = [e for e in events(lab, place, "UnlawfulPlacement") if "eviction refused" in e["message"]]
    assert refused["firstTimestamp"] < deleted["firstTimestamp"]


@pytest.mark.parametrize(("before", "least", "most", "asked"), [(300, 14, 18, 1), (10, 10, 10, 0)])
def test_a_pod_that_was_told_to_end_before(
    lab: Lab, operator: Process, occupy: Occupy, place: str, before: int, least: int, most: int, asked: int
) -> None:
    lab.policy(place, tier=place, onViolation={"gracePeriod": "20s"})
    occupy(600)
    lab.cluster.kubectl("delete", "pod", "stays", "-n", place, f"--grace-period={before}", "--wait=false")
    assert given(lab, place) == before
    since = lab.position()
    lab.facts(SILENT, jurisdiction="US")
    wait_for("the violation", lambda: lab.get("sovpol", place)["status"]["violations"]["current"] == 1)  # type: ignore[index]
    wait_for("its new end", lambda: least <= (given(lab, place) or 0) <= most)
    # Whatever happens to the pod from now on, its end is not moved again.
    for number in range(3):
        lab.cluster.kubectl("label", "pod", "stays", "-n", place, "--overwrite", f"number={number}")
    lab.settle(operator)
    assert removals(lab, since) == [("delete", "pods")] * asked
