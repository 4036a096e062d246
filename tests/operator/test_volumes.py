"""Where weights lie: a volume that is elsewhere, or comes to be, is noticed, told, and stops what mounts it (row 20)."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.operator.lab import DIGEST, FACTS, Lab, Process, custom, wait_for

FRENCH = {"key": f"{FACTS}/jurisdiction", "operator": "In", "values": ["FR"]}
ANYWHERE = {"key": "kubernetes.io/os", "operator": "Exists"}
CLASS = "by-hand"


def volume(name: str, namespace: str, *terms: dict[str, Any], claim: str = "weights") -> dict[str, Any]:
    """A volume that is reserved for a claim, with a node affinity of these terms, or with none."""
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]} for term in terms]}}
    spec: dict[str, Any] = {
        "capacity": {"storage": "20Gi"},
        "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
        "storageClassName": CLASS,
        "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {"name": claim, "namespace": namespace},
        "csi": {"driver": "csi.example.eu", "volumeHandle": name},
    }
    spec |= {"nodeAffinity": affinity} if terms else {}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}


def claim(namespace: str, name: str = "weights") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "storageClassName": CLASS,
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


@pytest.fixture
def disk(lab: Lab, place: str) -> Iterator[str]:
    """The name of a volume, which is removed afterwards."""
    name = f"disk-{place}"
    yield name
    lab.cluster.kubectl("delete", "pv", name, "--ignore-not-found", "--wait=false")


def mount(lab: Lab, place: str, disk: str, *terms: dict[str, Any]) -> None:
    """A model on the volume, and a pool that serves it."""
    lab.apply(volume(disk, place, *terms), claim(place))
    wait_for(
        "the claim to be bound", lambda: (lab.get("pvc", "weights", place) or {})["status"].get("phase") == "Bound"
    )
    lab.model("chat", place)
    lab.pool("chat", place)


def replace(lab: Lab, place: str, disk: str, *terms: dict[str, Any]) -> None:
    """Give the volume another node affinity, as only its removal and a new one of its name can on every API server."""
    lab.cluster.kubectl("delete", "pv", disk, "--wait=false")
    lab.cluster.kubectl("patch", "pv", disk, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    wait_for("the volume to go", lambda: lab.get("pv", disk) is None)
    uid = lab.get("pvc", "weights", place)["metadata"]["uid"]  # type: ignore[index]
    again = volume(disk, place, *terms)
    again["spec"]["claimRef"] |= {"uid": uid, "apiVersion": "v1", "kind": "PersistentVolumeClaim"}
    lab.apply(again)


def workloads(lab: Lab, policy: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        ((lab.get("sovpol", policy) or {}).get("status") or {}).get("violations", {}).get("workloads", [])
    )
    return found


def test_a_volume_on_approved_nodes_is_verified_and_its_place_told(
    lab: Lab, operator: Process, place: str, disk: str
) -> None:
    """Row 20."""
    mount(lab, place, disk, FRENCH)
    lab.wait_condition("smodel", "chat", place, "PlacementVerified", "True", "Placed")
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")
    status = lab.get("smodel", "chat", place)["status"]  # type: ignore[index]
    assert {entry["jurisdiction"] for entry in status["location"]} == {"FR"}
    assert {(entry["volume"], entry["storageClass"]) for entry in status["location"]} == {(disk, CLASS)}
    assert all(entry["region"] for entry in status["location"])


def test_a_volume_without_topology_is_not_shown_as_a_pass(lab: Lab, operator: Process, place: str, disk: str) -> None:
    """Row 20."""
    mount(lab, place, disk)
    lab.wait_condition("smodel", "chat", place, "PlacementVerified", "Unknown", "NotVerified")
    lab.wait_condition("smodel", "chat", place, "Ready", "True")
    status = lab.get("smodel", "chat", place)["status"]  # type: ignore[index]
    assert status["location"] == [{"volume": disk, "storageClass": CLASS, "region": "", "jurisdiction": ""}]

    lab.policy(place, tier=place, storage={"requireTopology": True})
    found = lab.wait_condition("smodel", "chat", place, "PlacementVerified", "False", "VolumeElsewhere")
    assert "storage.requireTopology" in found["message"]
    wait_for("the pool to stop", lambda: lab.get("deployment", "chat", place)["spec"]["replicas"] == 0)  # type: ignore[index]


def test_a_volume_that_comes_to_lie_elsewhere_stops_its_pool_which_comes_back_by_itself(
    lab: Lab, operator: Process, place: str, disk: str
) -> None:
    """Row 20: another affinity is noticed, told everywhere, and ends as it began."""
    mount(lab, place, disk, FRENCH)
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")

    replace(lab, place, disk, FRENCH, ANYWHERE)
    found = lab.wait_condition("smodel", "chat", place, "PlacementVerified", "False", "VolumeElsewhere")
    for word in (disk, f"policy {place}", "kubernetes.io/os", "which is not approved"):
        assert word in found["message"]
    lab.wait_condition("smodel", "chat", place, "Ready", "False", "VolumeElsewhere")
    lab.wait_condition("sovpool", "chat", place, "Ready", "False", "VolumeElsewhere")
    wait_for("its pods to go", lambda: not lab.pods(place, "chat"))
    wait_for("the Event", lambda: [e for e in lab.all("events", place) if e["reason"] == "VolumeElsewhere"])
    (entry,) = wait_for("the policy's word", lambda: workloads(lab, place))
    assert (entry["kind"], entry["namespace"], entry["name"]) == ("PersistentVolumeClaim", place, "weights")
    assert lab.get("sovpol", place)["status"]["violations"]["current"] == 1  # type: ignore[index]
    assert operator.metric("sovereign_unlawful_objects") == 1

    replace(lab, place, disk, FRENCH)
    lab.wait_condition("smodel", "chat", place, "PlacementVerified", "True")
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")
    wait_for("the policy's word", lambda: not workloads(lab, place))


def test_a_node_that_loses_its_approval_takes_its_volume_with_it(
    lab: Lab, operator: Process, place: str, disk: str
) -> None:
    """Row 20: a node changes, and nothing of the volume does."""
    mount(lab, place, disk, {"key": "kubernetes.io/hostname", "operator": "In", "values": ["gpu-fr-2"]})
    lab.wait_condition("smodel", "chat", place, "PlacementVerified", "True")
    try:
        lab.facts("gpu-fr-2", jurisdiction="US")
        found = lab.wait_condition("smodel", "chat", place, "PlacementVerified", "False", "VolumeElsewhere")
        assert "gpu-fr-2 with jurisdiction US, not in FR" in found["message"]
        wait_for("the pool to stop", lambda: lab.get("deployment", "chat", place)["spec"]["replicas"] == 0)  # type: ignore[index]
    finally:
        lab.facts("gpu-fr-2", jurisdiction="FR")
    lab.wait_condition("smodel", "chat", place, "PlacementVerified", "True")
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")


@pytest.mark.parametrize(
    "policy", [{"enforcement": "Audit"}, {"onViolation": {"action": "Report"}}], ids=["Audit", "Report"]
)
def test_a_policy_that_only_reports_stops_nothing(
    lab: Lab, operator: Process, place: str, disk: str, policy: dict[str, Any]
) -> None:
    """Row 20."""
    lab.policy(place, tier=place, **policy)
    mount(lab, place, disk, ANYWHERE)
    lab.wait_condition("smodel", "chat", place, "PlacementVerified", "False", "VolumeElsewhere")
    wait_for("the policy's word", lambda: workloads(lab, place))
    wait_for("the pool", lambda: lab.get("deployment", "chat", place))
    lab.settle(operator)
    assert lab.get("deployment", "chat", place)["spec"]["replicas"] == 1  # type: ignore[index]


def test_nothing_is_imported_onto_a_volume_that_lies_elsewhere(
    lab: Lab, operator: Process, place: str, disk: str
) -> None:
    """Row 20: a volume that somebody reserved for the model's claim before there was one."""
    lab.apply(volume(disk, place, ANYWHERE, claim="mistral-weights"))
    source = {"uri": "s3://weights-fr/mistral", "endpoint": "https://s3.example.eu"}
    cache = {"storageClassName": CLASS, "size": "1Gi"}
    lab.apply(custom("SovereignModel", "mistral", place, {"source": source, "digest": DIGEST, "cache": cache}))
    lab.wait_condition("smodel", "mistral", place, "Imported", "False", "VolumeElsewhere")
    wait_for("the job to go", lambda: not lab.all("jobs", place))
    assert lab.get("pvc", "mistral-weights", place) is not None, "the claim stays: it can be judged again"


def test_a_class_that_the_policy_does_not_list(lab: Lab, operator: Process, place: str, disk: str) -> None:
    """Row 20: a volume of another class, bound before the policy said which."""
    mount(lab, place, disk, FRENCH)
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")
    lab.policy(place, tier=place, storage={"storageClasses": ["local-fr-par"]})
    found = lab.wait_condition("smodel", "chat", place, "PlacementVerified", "False", "StorageClassNotAllowed")
    assert f"has storage class {CLASS}, not local-fr-par" in found["message"]


def test_a_volume_of_nobody_concerned_costs_nothing(lab: Lab, operator: Process, place: str, disk: str) -> None:
    """Not one write; `tests/controllers/test_volumes.py` sees that nothing is reconciled either."""
    lab.namespace(f"{place}-free")
    try:
        lab.wait_condition("sovpol", place, "", "Enforced", "True")
        wait_for("the namespace", lambda: lab.get("serviceaccount", "default", f"{place}-free"))
        lab.settle(operator)
        since = lab.position()
        lab.apply(volume(disk, f"{place}-free", ANYWHERE), claim(f"{place}-free"))
        wait_for("the claim to be bound", lambda: lab.get("pv", disk)["status"].get("phase") == "Bound")  # type: ignore[index]
        for number in range(5):
            change = json.dumps({"metadata": {"labels": {"touched": str(number)}}})
            lab.cluster.kubectl("patch", "pv", disk, "--type=merge", "-p", change)
        lab.settle(operator)
        assert [request for request in lab.requests(since) if request.writes] == []
    finally:
        lab.cluster.kubectl("delete", "namespace", f"{place}-free", "--wait=false")
