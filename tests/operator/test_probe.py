"""The network is probed: what a pod in a pool's identity reaches, and what is said of it.

Fake nodes have no network. The Jobs are real, and what their pods saw is played here as a kubelet would report it.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from charts import sync
from testbed import ports
from tests.operator.lab import Lab, Process, wait_for

PROBES = "app.kubernetes.io/component=probe"
SYSTEM = sync.NAMESPACE
Start = Callable[..., Process]


@pytest.fixture
def start(lab: Lab, running: list[Process], place: str) -> Iterator[Start]:
    """Starts an operator that probes; what leads before it is stopped."""
    (port,) = ports.choose(1, ())
    started: list[Process] = []

    def begin(**env: str) -> Process:
        for process in running:
            if process.popen.poll() is None:
                process.stop()
        settings = {"SOVEREIGN_PROBE_LISTEN": f"127.0.0.1:{port}", "SOVEREIGN_POD_IPS": "127.0.0.1"}
        process = lab.start(**(settings | env))
        started.append(process)
        running.append(process)
        wait_for("the operator to lead", lambda: process.leads)
        return process

    yield begin
    for process in started:
        if process.popen.poll() is None:
            process.stop()
    lab.cluster.kubectl("delete", "jobs", "-A", "-l", PROBES, "--wait=false")


def serve(lab: Lab, place: str, name: str = "chat", **spec: Any) -> str:
    """A pool that is ready; returns the node of its pod."""
    lab.model("chat", place)
    lab.pool(name, place, modelRef={"name": "chat"}, **spec)
    lab.wait_condition("sovpool", name, place, "Ready", "True")
    (pod,) = replicas(lab, place, name)
    return str(pod["spec"]["nodeName"])


def replicas(lab: Lab, place: str, pool: str) -> list[dict[str, Any]]:
    return lab.all("pods", place, f"sovereignai.io/pool={pool},app.kubernetes.io/component=serving")


def probing(lab: Lab, namespace: str) -> dict[str, Any]:
    """The pod of the probe that is under way in a namespace, once it runs."""

    def running() -> dict[str, Any] | None:
        pods = lab.all("pods", namespace, PROBES)
        return next(
            (p for p in pods if p["status"].get("phase") == "Running" and "deletionTimestamp" not in p["metadata"]),
            None,
        )

    found: dict[str, Any] = wait_for(f"a probe to run in {namespace}", running)
    return found


def arguments(pod: dict[str, Any]) -> list[str]:
    args: list[str] = pod["spec"]["containers"][0]["args"]
    return args


def end(lab: Lab, pod: dict[str, Any], outcome: str, code: int) -> None:
    targets = [one.removeprefix("--target=") for one in arguments(pod) if one.startswith("--target=")]
    message = json.dumps({"outcomes": dict.fromkeys(targets, outcome), "seconds": 10.0})
    lab.cluster.finish_pod(pod["metadata"]["namespace"], pod["metadata"]["name"], message, code)


def play(lab: Lab, place: str, seen: str, control: str = "reached") -> None:
    """End the probe in ``place`` and its control with what they saw."""
    probe, beside = probing(lab, place), probing(lab, SYSTEM)
    end(lab, beside, control, 0 if control == "reached" else 10)
    end(lab, probe, seen, 10 if seen in ("reached", "late") else 0)


def verdict(lab: Lab, place: str, status: str, reason: str, pool: str = "chat") -> str:
    return str(lab.wait_condition("sovpool", pool, place, "NetworkEnforced", status, reason)["message"])


def any_probes(lab: Lab) -> list[dict[str, Any]]:
    """The Jobs of probes in all namespaces."""
    found = json.loads(lab.cluster.kubectl("get", "jobs", "-A", "-l", PROBES, "-o", "json"))
    items: list[dict[str, Any]] = found["items"]
    return items


@pytest.fixture
def restricted(lab: Lab, place: str) -> str:
    lab.cluster.kubectl("label", "namespace", place, "pod-security.kubernetes.io/enforce=restricted", "--overwrite")
    return place


def test_a_refusal_is_shown_and_outlives_a_restart(lab: Lab, start: Start, restricted: str) -> None:
    place = restricted
    operator = start()
    node = serve(lab, place)
    verdict(lab, place, "Unknown", "NotProbed")

    probe, control = probing(lab, place), probing(lab, SYSTEM)
    assert [probe["spec"]["nodeName"], control["spec"]["nodeName"]] == [node, node]
    labels = probe["metadata"]["labels"]
    assert labels["sovereignai.io/pool"] == "chat", "the pool's network policies select it"
    assert "sovereignai.io/compliant" not in labels, "its Service does not"
    policy = lab.get("networkpolicy", "chat-serving", place)
    assert policy is not None
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    assert "sovereignai.io/pool" not in control["metadata"]["labels"]
    assert probe["spec"]["serviceAccountName"] == "chat-serving"
    for pod in (probe, control):
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert "projected" not in json.dumps(pod["spec"].get("volumes") or [])

    # It is nobody's replica.
    status = lab.get("sovpool", "chat", place)["status"]  # type: ignore[index]
    assert status["placement"]["lawful"] == 1
    budget = lab.get("pdb", "chat", place)["status"]  # type: ignore[index]
    assert (budget["expectedPods"], budget["currentHealthy"]) == (1, 1)
    slices = lab.all("endpointslices", place, "kubernetes.io/service-name=chat")
    assert sum(len(entry.get("endpoints") or []) for entry in slices) == 1

    # The control's own command, run here, reaches the operator's listener.
    command = [sys.executable, "-m", "sovereign.probe", *arguments(control)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, set(json.loads(done.stdout)["outcomes"].values())) == (0, {"reached"})

    end(lab, control, "reached", 0)
    verdict(lab, place, "Unknown", "NotProbed")
    end(lab, probe, "timeout", 0)
    verdict(lab, place, "True", "EgressRefused")
    wait_for("the Jobs to go", lambda: not any_probes(lab))
    assert operator.metric("sovereign_network_probes_total") == 1

    # Between two probes nothing is asked of the API server (the time is what is measured).
    lab.settle(operator)
    since = lab.position()
    time.sleep(20)
    assert lab.requests(since) == []

    since = lab.position()
    again = start()
    lab.settle(again)
    assert [request for request in lab.requests(since) if request.writes] == []
    verdict(lab, place, "True", "EgressRefused")


def test_a_network_that_lets_through_is_said_and_mended(lab: Lab, start: Start, place: str) -> None:
    operator = start(SOVEREIGN_PROBE_INTERVAL="8s")
    node = serve(lab, place)
    play(lab, place, "reached")
    message = verdict(lab, place, "False", "EgressReachable")
    assert f"node {node}: a pod with the pool's network identity reached 127.0.0.1:" in message
    assert "install a plugin that does" in message
    (event,) = wait_for("the Event", lambda: [e for e in lab.all("events", place) if e["reason"] == "EgressReachable"])
    assert event["type"] == "Warning"
    assert 'sovereign_network_probes_total{outcome="reached"} 1.0' in operator.get("/metrics")

    # A probe that shows nothing does not take it back; one that is refused does.
    play(lab, place, "timeout", control="timeout")
    wait_for("it to be counted", lambda: 'total{outcome="unknown"} 1.0' in operator.get("/metrics"))
    assert verdict(lab, place, "False", "EgressReachable") == message
    play(lab, place, "refused")
    verdict(lab, place, "True", "EgressRefused")


def test_a_listener_that_nobody_reaches_shows_nothing(lab: Lab, start: Start, place: str) -> None:
    start()
    node = serve(lab, place)
    play(lab, place, "timeout", control="unreachable")
    message = verdict(lab, place, "Unknown", "ProbeFailed")
    assert f"node {node}" in message
    assert "not even without a network policy (unreachable)" in message


def test_a_pod_that_cannot_start_is_not_waited_for(lab: Lab, start: Start, place: str) -> None:
    operator = start()
    node = serve(lab, place)
    lab.cluster.kubectl("taint", "node", node, "test=full:NoSchedule")
    try:
        message = verdict(lab, place, "Unknown", "ProbeFailed")
        assert f"node {node}: the network probe showed nothing: its pod does not start: " in message
        assert "untolerated taint" in message
        wait_for("the Jobs to go", lambda: not any_probes(lab))
    finally:
        lab.cluster.kubectl("taint", "node", node, "test-")
    assert operator.metric("sovereign_network_probes_total") == 1
    # It is tried again; a cordoned node is no reason not to.
    lab.cluster.kubectl("cordon", node)
    try:
        play(lab, place, "timeout")
        verdict(lab, place, "True", "EgressRefused")
    finally:
        lab.cluster.kubectl("uncordon", node)


def test_a_refusal_grows_old(lab: Lab, start: Start, place: str) -> None:
    start(SOVEREIGN_PROBE_INTERVAL="4s")
    serve(lab, place)
    play(lab, place, "timeout")
    verdict(lab, place, "True", "EgressRefused")
    # The next one never ends.
    message = verdict(lab, place, "Unknown", "ProbeFailed")
    assert "more than 12 s ago" in message


def test_one_at_a_time_and_a_pool_that_cannot_be_probed_is_in_nobodys_way(lab: Lab, start: Start, place: str) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": place}}
    start()
    serve(lab, place)
    lab.apply(quota | {"spec": {"hard": {"count/jobs.batch": "0"}}})
    other = f"{place}-b"
    lab.namespace(other, tier=place)
    try:
        for name in ("one", "two"):
            serve(lab, other, name)
        message = verdict(lab, place, "Unknown", "ProbeFailed")
        assert "exceeded quota" in message
        for _ in range(2):
            probing(lab, other)
            assert len(lab.all("jobs", other)) == 1, "one at a time"
            play(lab, other, "timeout")
            wait_for(
                "its Job to go", lambda: not [j for j in lab.all("jobs", other) if j["status"].get("completionTime")]
            )
        for name in ("one", "two"):
            verdict(lab, other, "True", "EgressRefused", name)
    finally:
        lab.cluster.kubectl("delete", "sovpool,smodel", "--all", "-n", other, "--wait=false")
        lab.cluster.kubectl("delete", "namespace", other, "--wait=false")
        lab.cluster.kubectl("delete", "pv", f"shared-{other}", "--ignore-not-found", "--wait=false")


def test_what_a_killed_operator_leaves_is_removed_unread(lab: Lab, start: Start, place: str) -> None:
    operator = start()
    serve(lab, place)
    probe, control = probing(lab, place), probing(lab, SYSTEM)
    operator.stop(signal.SIGKILL)
    end(lab, probe, "timeout", 0)
    end(lab, control, "reached", 0)
    start()
    old = {probe["metadata"]["labels"]["batch.kubernetes.io/job-name"]}
    wait_for("the old Jobs to go", lambda: not old & {job["metadata"]["name"] for job in any_probes(lab)})
    verdict(lab, place, "Unknown", "NotProbed")
    play(lab, place, "timeout")
    verdict(lab, place, "True", "EgressRefused")


def test_a_pool_that_is_deleted_takes_its_probe_along(lab: Lab, start: Start, place: str) -> None:
    start()
    serve(lab, place)
    probing(lab, place)
    probing(lab, SYSTEM)
    lab.cluster.kubectl("delete", "sovpool", "chat", "-n", place, "--wait=true")
    wait_for("the Jobs to go", lambda: not any_probes(lab))


def test_a_node_that_comes_later_is_probed_soon(lab: Lab, start: Start, place: str) -> None:
    start()
    serve(lab, place)
    play(lab, place, "timeout")
    verdict(lab, place, "True", "EgressRefused")
    lab.pool("chat", place, replicas=2)
    verdict(lab, place, "Unknown", "NotProbed")
    play(lab, place, "timeout")
    verdict(lab, place, "True", "EgressRefused")
    nodes = {probe["node"] for probe in lab.get("sovpool", "chat", place)["status"]["network"]["probes"]}  # type: ignore[index]
    assert nodes == {pod["spec"]["nodeName"] for pod in replicas(lab, place, "chat")}
    assert len(nodes) == 2

    # Another network policy is probed soon, too; until then what was seen holds.
    lab.pool("chat", place, replicas=2, network={"ingressFrom": [{"podSelector": {"matchLabels": {"app": "web"}}}]})
    for _ in nodes:
        play(lab, place, "timeout")
    verdict(lab, place, "True", "EgressRefused")


def test_an_image_that_the_policy_does_not_allow_is_said(lab: Lab, start: Start, place: str) -> None:
    start(SOVEREIGN_IMPORTER_IMAGE=f"registry.other.example/ai/operator@sha256:{'0' * 64}")
    serve(lab, place)
    message = verdict(lab, place, "Unknown", "ImageNotAllowed")
    assert "workloads.importerImage" in message
    assert not any_probes(lab)


def test_without_a_listener_it_is_not_probed(lab: Lab, start: Start, place: str) -> None:
    start(SOVEREIGN_PROBE_INTERVAL="0")
    serve(lab, place)
    message = verdict(lab, place, "Unknown", "NotProbed")
    assert "networkProbe.enabled=true" in message
    assert not any_probes(lab)
