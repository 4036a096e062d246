"""Pods run where they may: at first, and when the world changes under them."""

import time
from collections.abc import Iterator

import pytest
import yaml

from e2e import manifests
from e2e.calls import Stream
from e2e.report import Report
from e2e.world import CALLERS, GRACE, MODEL, NAMESPACE, POLICY, POOL, World, url
from testbed.models import QUESTION
from testbed.objects import FACT_PREFIX
from testbed.story.pods import is_ready
from tests.operator.lab import wait_for

real_nodes = pytest.mark.real_nodes
APPROVED = f"{POLICY}.{FACT_PREFIX}/approved"


@pytest.fixture
def solo(served: World) -> Iterator[str]:
    """A pool of one replica that can write long answers."""
    name = "solo"
    served.apply(manifests.pool(served, name, replicas=1, maxModelLen=8192, maxNumSeqs=1))
    served.wait_ready("sovpool", name)
    yield name
    served.cluster.kubectl("delete", "sovpool", name, "-n", NAMESPACE, "--wait=false")


def test_pods_are_on_lawful_nodes(served: World) -> None:
    lawful = {node["metadata"]["name"] for node in served.all("nodes", selector=f"{APPROVED}=true")}
    pods = served.all("pods", NAMESPACE)
    assert {pod["spec"]["nodeName"] for pod in pods} <= lawful
    assert lawful


@real_nodes
def test_three_of_four_nodes_are_lawful(served: World) -> None:
    lawful = {node["metadata"]["name"] for node in served.all("nodes", selector=f"{APPROVED}=true")}
    assert lawful == {"fr-1", "fr-2", "de-1"}


@real_nodes
def test_a_node_changes_jurisdiction(served: World, solo: str, report: Report) -> None:
    (pod,) = served.ready(solo)
    node = pod["spec"]["nodeName"]
    name = pod["metadata"]["name"]
    before = served.get("node", node)
    assert before is not None
    started = time.monotonic()
    served.facts(node, jurisdiction="US")
    try:
        wait_for("no endpoint on the node", lambda: name not in served.endpoints(solo))
        gone = time.monotonic()
        assert gone - started < GRACE
        wait_for("an endpoint on another node", lambda: served.endpoints(solo))
        report.seconds("a node becomes unlawful: out of the endpoints after", gone - started)
        report.seconds("a node becomes unlawful: without an endpoint (one replica)", time.monotonic() - gone)
        (now,) = served.ready(solo)
        assert now["spec"]["nodeName"] != node
        assert "Paris" in served.ask(QUESTION, pool=solo)
        wait_for(
            "the pod to be gone", lambda: name not in {one["metadata"]["name"] for one in served.all("pods", NAMESPACE)}
        )
        report.seconds("a node becomes unlawful: its pod is gone after", time.monotonic() - started)
        assert time.monotonic() - started < GRACE + 5
    finally:
        served.facts(node, jurisdiction=before["metadata"]["labels"][f"{FACT_PREFIX}/jurisdiction"])
    served.wait_ready("sovpool", POOL)


def test_a_streamed_answer_ends_with_the_grace_period(served: World, solo: str, report: Report) -> None:
    """A NetworkPolicy does not cut a connection that is open, and the model would go on for a minute."""
    (pod,) = served.ready(solo)
    node = pod["spec"]["nodeName"]
    jurisdiction = served.get("node", node)["metadata"]["labels"][f"{FACT_PREFIX}/jurisdiction"]  # type: ignore[index]
    with Stream(served, url(solo)) as stream:
        wait_for("the answer to begin", lambda: stream.pieces() > 20)
        started = time.monotonic()
        served.facts(node, jurisdiction="US")
        try:
            wait_for("the answer to be cut", stream.ended, patience=GRACE + 20)
            took = time.monotonic() - started
            assert stream.pieces() < stream.WHOLE, "the answer was whole before it was cut"
        finally:
            served.facts(node, jurisdiction=jurisdiction)
    report.seconds("a node becomes unlawful: an answer that is being streamed ends after", took)
    assert took <= GRACE + 3, "the kubelet kills within two seconds of the grace period"
    served.wait_ready("sovpool", solo)


@real_nodes
def test_a_kubelet_that_lies_changes_nothing(served: World) -> None:
    kubelet = served.cluster.kubectl_as(served.cluster.client_certificate("system:node:us-1", ["system:nodes"]))
    try:
        kubelet("label", "node", "us-1", "topology.kubernetes.io/region=fr-par", "--overwrite")
        refused = kubelet.run("label", "node", "us-1", f"{FACT_PREFIX}/jurisdiction=FR", "--overwrite")
        assert refused.returncode != 0
        assert "not allowed" in refused.stderr
        refused = kubelet.run("label", "node", "us-1", f"{APPROVED}=true", "--overwrite")
        assert refused.returncode != 0
        node = served.get("node", "us-1")
        assert node is not None
        assert APPROVED not in node["metadata"]["labels"]
        pinned = {"nodeName": "us-1"}
        done = served.cluster.kubectl_as(served.kubeconfig).run(
            "apply", "-f", "-", input=yaml.safe_dump(manifests.client(served, "smuggled", NAMESPACE, **pinned))
        )
        assert done.returncode != 0
        assert "us-1" in done.stderr
    finally:
        served.cluster.kubectl("label", "node", "us-1", "topology.kubernetes.io/region=us-east", "--overwrite")


@real_nodes
def test_a_static_pod_is_noticed(served: World) -> None:
    """Calico asks the API server for the pod, which has refused it: the kubelet cannot even start it."""
    with served.static_pod("fr-1", {"sovereignai.io/pool": POOL, "sovereignai.io/compliant": "true"}) as name:
        served.wait_told(name, "fr-1")
        assert name not in served.endpoints(POOL)


@pytest.fixture
def german(served: World) -> Iterator[str]:
    """A pool whose weights lie in Germany, where there is one node."""
    name = "german"
    cache = {"storageClassName": served.storage_classes[1], "size": "1Gi", "accessMode": "ReadWriteMany"}
    served.apply(manifests.weights(served, name, cache=cache))
    served.wait_ready("smodel", name)
    served.apply(manifests.pool(served, name, modelRef={"name": name}, replicas=1))
    served.wait_ready("sovpool", name)
    yield name
    served.cluster.kubectl("delete", "sovpool,smodel", name, "-n", NAMESPACE, "--wait=false")
    served.cluster.kubectl("delete", "pvc", f"{name}-weights", "-n", NAMESPACE, "--wait=false")


@real_nodes
def test_a_region_is_lost(served: World, german: str, report: Report) -> None:
    """All processes of the only German node stop at once. France serves on, and nobody is served from elsewhere."""
    (pod,) = served.ready(german)
    assert pod["spec"]["nodeName"] == "de-1"
    caller = "survivor"
    served.apply(manifests.client(served, caller, CALLERS, nodeName="fr-1"))
    served.wait_pod(caller, CALLERS)
    started = time.monotonic()
    served.fleet.stop("de-1")
    try:
        wait_for("the endpoint to be gone", lambda: not served.endpoints(german), patience=90)
        report.seconds("a region is lost: its endpoints are gone after", time.monotonic() - started)
        served.cluster.kubectl("delete", "pod", pod["metadata"]["name"], "-n", NAMESPACE, "--force", "--grace-period=0")
        served.wait_condition("sovpool", german, NAMESPACE, "Ready", "False")
        replacement = wait_for("a replacement", lambda: served.serving(german))[0]
        assert "Paris" in served.ask(QUESTION, caller=caller)
        assert len(served.endpoints(POOL)) == 2
        assert "nodeName" not in replacement["spec"], f"it is on {replacement['spec'].get('nodeName')}"
        unscheduled = next(c for c in replacement["status"]["conditions"] if c["type"] == "PodScheduled")
        assert unscheduled["status"] == "False"
        assert {one["spec"].get("nodeName") for one in served.all("pods", NAMESPACE)} <= {"fr-1", "fr-2", "de-1", None}
    finally:
        served.fleet.start("de-1")
    served.wait_ready("sovpool", german, patience=120)
    report.seconds("a region is lost and comes back: it serves again after", time.monotonic() - started)
    assert all(is_ready(one) for one in served.all("pods", CALLERS) if one["metadata"]["name"] == caller)
    assert served.condition("smodel", MODEL, NAMESPACE, "Ready")["status"] == "True"
