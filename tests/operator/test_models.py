"""From a source to weights that may be served; every refusal is a condition that says what to do."""

import json
from typing import Any

import pytest

from tests.operator.lab import DIGEST, Lab, Process, custom, wait_for

PINNED = "sha256:" + "a" * 64
REMOTE = {
    "source": {"uri": "s3://weights-fr/mistral", "endpoint": "https://s3.example.eu"},
    "digest": PINNED,
    "license": "Apache-2.0",
    "cache": {"storageClassName": "local-fr-par", "size": "20Gi"},
}
IMPORTED = {
    "result": "Imported",
    "digest": PINNED,
    "bytes": 14_500_000_000,
    "files": 9,
    "seconds": 60.0,
    "bytesPerSecond": 241_000_000.0,
    "architecture": {
        "layers": 32,
        "hiddenSize": 4096,
        "attentionHeads": 32,
        "kvHeads": 8,
        "headDim": 128,
        "weightsBytes": 14_496_047_104,
    },
}
FAILED = {
    "result": "Failed",
    "reason": "DigestMismatch",
    "message": "manifest is sha256:bbbb, not sha256:aaaa",
    "retryable": False,
}

INTERRUPTED = {
    "result": "Failed",
    "reason": "Interrupted",
    "message": "told to stop",
    "retryable": True,
    "bytesDone": 1000,
}


def import_pod(lab: Lab, place: str) -> dict[str, Any]:
    """The pod of the import job, once it runs."""

    def running() -> dict[str, Any] | None:
        pods = lab.all("pods", place, "app.kubernetes.io/component=import")
        return next((pod for pod in pods if pod["status"].get("phase") == "Running"), None)

    found: dict[str, Any] = wait_for("the import pod to run", running)
    return found


def finish(lab: Lab, place: str, result: dict[str, Any], exit_code: int) -> None:
    pod = import_pod(lab, place)
    lab.cluster.finish_pod(place, pod["metadata"]["name"], json.dumps(result), exit_code)


def remote(lab: Lab, place: str, **changes: Any) -> None:
    lab.apply(custom("SovereignModel", "mistral", place, REMOTE | changes))


def test_an_import_from_start_to_serving(lab: Lab, operator: Process, place: str) -> None:
    lab.policy(place, tier=place, network={"importEgress": [{"cidr": "10.1.0.0/16", "ports": [443]}]})
    remote(lab, place)
    lab.pool("chat", place, modelRef={"name": "mistral"})
    lab.wait_condition("sovpool", "chat", place, "Ready", "False", "WaitingForModel")
    assert lab.get("deployment", "chat", place) is None, "a pool does not start before Imported=True"

    pod = import_pod(lab, place)
    assert pod["spec"]["nodeName"].split("-")[1] == "fr"
    assert pod["spec"]["automountServiceAccountToken"] is False
    policy = lab.get("networkpolicy", "mistral-import", place)
    assert policy is not None
    blocks = [peer["ipBlock"]["cidr"] for rule in policy["spec"]["egress"] for peer in rule["to"] if "ipBlock" in peer]
    assert blocks == ["10.1.0.0/16"]

    finish(lab, place, IMPORTED, 0)
    lab.wait_condition("smodel", "mistral", place, "Ready", "True")
    lab.wait_condition("smodel", "mistral", place, "Verified", "True", "Verified")
    (event,) = wait_for("the Event", lambda: [e for e in lab.all("events", place) if e["reason"] == "Imported"])
    assert "9 files, 14500000000 bytes in 60 s, 241 MB/s" in event["message"]
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")
    status = lab.get("smodel", "mistral", place)["status"]  # type: ignore[index]
    assert status["artifact"]["bytes"] == IMPORTED["bytes"]
    assert status["parameters"]["kvHeads"] == 8
    mounts = lab.get("deployment", "chat", place)["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]  # type: ignore[index]
    (weights,) = [mount for mount in mounts if mount["name"] == "weights"]
    assert weights["readOnly"] is True
    assert weights["subPath"] == PINNED.replace(":", "-")
    wait_for("the way to the source to be closed", lambda: lab.get("networkpolicy", "mistral-import", place) is None)
    wait_for("the job to go", lambda: not lab.all("jobs", place))

    lab.cluster.kubectl("delete", "smodel", "mistral", "-n", place)
    assert lab.get("pvc", "mistral-weights", place) is not None, "retention: Retain keeps the claim"


def test_an_import_that_fails_for_good(lab: Lab, operator: Process, place: str) -> None:
    remote(lab, place)
    finish(lab, place, FAILED, 3)
    found = lab.wait_condition("smodel", "mistral", place, "Imported", "False", "DigestMismatch")
    assert "manifest is sha256:bbbb" in found["message"]
    lab.wait_condition("smodel", "mistral", place, "Stalled", "True", "DigestMismatch")
    wait_for("the Event", lambda: [e for e in lab.all("events", place) if e["reason"] == "DigestMismatch"])
    (job,) = lab.all("jobs", place)
    assert job["metadata"]["name"] in found["message"], "the message names the Job to delete"

    lab.cluster.kubectl("delete", "job", job["metadata"]["name"], "-n", place)
    finish(lab, place, IMPORTED, 0)
    lab.wait_condition("smodel", "mistral", place, "Ready", "True")


def test_a_result_that_is_not_what_the_spec_says(lab: Lab, operator: Process, place: str) -> None:
    remote(lab, place)
    finish(lab, place, IMPORTED | {"digest": DIGEST}, 0)
    lab.wait_condition("smodel", "mistral", place, "Imported", "Unknown", "NotVerified")
    lab.wait_condition("smodel", "mistral", place, "Ready", "False")


@pytest.mark.parametrize(
    ("policy", "change", "reason"),
    [
        ({"models": {"sources": ["s3://other/"]}}, {}, "SourceNotAllowed"),
        ({"models": {"formats": ["gguf"]}}, {}, "FormatNotAllowed"),
        ({"models": {"s3Endpoint": "https://other.example.eu"}}, {}, "EndpointNotAllowed"),
        ({}, {"source": {"uri": "hf://mistralai/Mistral-7B"}}, "EndpointRequired"),
        ({}, {"digest": None}, "DigestRequired"),
        ({"licenses": {"allow": ["MIT"]}}, {}, "LicenseDenied"),
        ({"licenses": {"allow": ["MIT"]}}, {"license": None}, "LicenseUnknown"),
        ({"storage": {"storageClasses": ["local-de-fra"]}}, {}, "StorageClassNotAllowed"),
        ({"images": {"registries": ["registry.example.eu/other"]}}, {}, "ImageNotAllowed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_policy_does_not_admit_is_not_fetched(
    lab: Lab, operator: Process, place: str, policy: dict[str, Any], change: dict[str, Any], reason: str
) -> None:
    lab.policy(place, tier=place, **policy)
    spec = {key: value for key, value in (REMOTE | change).items() if value is not None}
    lab.apply(custom("SovereignModel", "mistral", place, spec))
    found = lab.wait_condition("smodel", "mistral", place, "Ready", "False", reason)
    assert place in found["message"] or "policy" in found["message"], "the message names the policy"
    lab.wait_condition("smodel", "mistral", place, "Stalled", "True", reason)
    assert lab.all("jobs", place) == []
    assert lab.all("pvc", place) == []


def test_without_a_policy_nothing_runs(lab: Lab, operator: Process) -> None:
    lab.namespace("ungoverned")
    lab.model("chat", "ungoverned")
    lab.pool("chat", "ungoverned")
    found = lab.wait_condition("smodel", "chat", "ungoverned", "Ready", "False", "NoPolicy")
    assert "label the namespace" in found["message"]
    lab.wait_condition("sovpool", "chat", "ungoverned", "Ready", "False", "NoPolicy")
    assert lab.get("deployment", "chat", "ungoverned") is None
    lab.cluster.kubectl("delete", "namespace", "ungoverned", "--wait=false")


def test_two_policies_with_nothing_in_common(lab: Lab, operator: Process, place: str) -> None:
    lab.model("chat", place)
    lab.pool("chat", place)
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")
    lab.policy(f"{place}-2", tier=place, jurisdictions=("DE",))
    try:
        for policy in (place, f"{place}-2"):
            found = lab.wait_condition("sovpol", policy, "", "Stalled", "True", "EmptyIntersection")
            assert "change one of them" in found["message"]
        lab.wait_condition("sovpool", "chat", place, "Ready", "False")
        wait_for("nothing to run", lambda: not any(pod["spec"].get("nodeName") for pod in lab.pods(place, "chat")))
    finally:
        lab.cluster.kubectl("delete", "sovpol", f"{place}-2")
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")


def test_an_import_on_a_node_that_becomes_unlawful_goes_on_elsewhere(lab: Lab, operator: Process, place: str) -> None:
    remote(lab, place)
    first = import_pod(lab, place)
    node = first["spec"]["nodeName"]
    try:
        lab.facts(node, jurisdiction="US")
        name = first["metadata"]["name"]
        wait_for("its eviction", lambda: "deletionTimestamp" in lab.get("pod", name, place)["metadata"])  # type: ignore[index]
        lab.cluster.finish_pod(place, name, json.dumps(INTERRUPTED), 143)

        def moved() -> bool:
            pods = lab.all("pods", place, "app.kubernetes.io/component=import")
            live = [
                pod
                for pod in pods
                if pod["metadata"]["uid"] != first["metadata"]["uid"] and pod["status"].get("phase") == "Running"
            ]
            return bool(live) and live[0]["spec"]["nodeName"] != node

        wait_for("the import to go on elsewhere", moved)
    finally:
        lab.facts(node, jurisdiction="FR")
    finish(lab, place, IMPORTED, 0)
    lab.wait_condition("smodel", "mistral", place, "Ready", "True")


def test_an_import_outlives_a_restart_and_an_upgrade(lab: Lab, operator: Process, place: str) -> None:
    remote(lab, place)
    first = import_pod(lab, place)
    lab.settle(operator)
    assert operator.stop() < 5
    since = lab.position()
    same = lab.start()
    try:
        wait_for("the restarted operator to lead", lambda: same.leads)
        lab.settle(same)
        assert [request for request in lab.requests(since) if request.writes] == []
    finally:
        same.stop()

    image = f"registry.example.eu/ai/sovereign-operator@sha256:{'1' * 64}"
    newer = lab.start(SOVEREIGN_IMPORTER_IMAGE=image)
    try:
        old = first["metadata"]["name"]
        wait_for(
            "the old pod to be told to end",
            lambda: "deletionTimestamp" in (lab.get("pod", old, place) or first)["metadata"] or gone(lab, old, place),
        )
        if lab.get("pod", old, place):
            lab.cluster.finish_pod(place, old, json.dumps(INTERRUPTED), 143)

        def renewed() -> bool:
            pods = lab.all("pods", place, "app.kubernetes.io/component=import")
            return any(
                pod["spec"]["containers"][0]["image"] == image and pod["status"].get("phase") == "Running"
                for pod in pods
            )

        wait_for("the import with the new image", renewed)
        (pod,) = [
            p
            for p in lab.all("pods", place, "app.kubernetes.io/component=import")
            if "deletionTimestamp" not in p["metadata"]
        ]
        lab.cluster.finish_pod(place, pod["metadata"]["name"], json.dumps(IMPORTED), 0)
        lab.wait_condition("smodel", "mistral", place, "Ready", "True")
    finally:
        newer.stop()


def gone(lab: Lab, pod: str, namespace: str) -> bool:
    return lab.get("pod", pod, namespace) is None
