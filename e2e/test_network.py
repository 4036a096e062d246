"""The network is closed: a serving pod reaches nothing, and each thing it does not reach is there."""

import json
import re
import time

import pytest

from e2e import manifests, reach
from e2e.report import Report
from e2e.world import CALLERS, NAMESPACE, POOL, STRANGERS, World
from testbed.nodes.configuration import DNS_ADDRESS
from tests.operator.lab import Manifest, wait_for

real_nodes = pytest.mark.real_nodes


@pytest.fixture(scope="module")
def twin(served: World) -> Manifest:
    """A pod on a serving pod's node that no policy is about: what it reaches can be reached from there."""
    (pod, *_) = served.ready(POOL)
    node = {"nodeSelector": {"kubernetes.io/hostname": pod["spec"]["nodeName"]}}
    served.apply(manifests.client(served, "twin", STRANGERS, **node))
    return served.wait_pod("twin", STRANGERS)


@real_nodes
def test_a_serving_pod_reaches_nothing(served: World, twin: Manifest) -> None:
    (pod, *_) = served.ready(POOL)
    targets = reach.beyond(served) | reach.within(served)
    there = reach.reached(reach.probe(served, twin, targets))
    assert there == targets, "the test means nothing where a target is not there"
    assert reach.reached(reach.probe(served, pod, targets)) == set()


@real_nodes
def test_the_outside_world_saw_nobody(served: World, twin: Manifest) -> None:
    """Not asked of the pods: the outside world's own log of who came."""
    log = served.fleet.outside.access_log
    since = log.stat().st_size
    reach.probe(served, twin, {"tcp 203.0.113.10 80"})
    for pod in served.ready(POOL):
        reach.probe(served, pod, reach.beyond(served))
    entries = [json.loads(line) for line in log.read_bytes()[since:].splitlines()]
    assert {entry["from"] for entry in entries} <= {twin["status"]["podIP"], served.fleet.layout.machine}


@real_nodes
def test_names_are_resolved_for_those_who_may(served: World) -> None:
    (pod, *_) = served.ready(POOL)
    name = f"dns {DNS_ADDRESS} {POOL}.{NAMESPACE}.svc.cluster.local"
    caller = served.get("pod", "caller", CALLERS)
    assert caller is not None
    assert reach.probe(served, caller, {name}) == {name: "reached"}
    assert reach.reached(reach.probe(served, pod, {name})) == set()


@pytest.mark.parametrize("direction", ["Ingress", "Egress"])
def test_a_tenant_cannot_open_it(served: World, direction: str) -> None:
    """A namespace admin adds a NetworkPolicy that allows all; NetworkPolicies add up."""
    tenant = served.tenant("anna", NAMESPACE)
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "open-sesame", "namespace": NAMESPACE},
        "spec": {"podSelector": {}, "policyTypes": [direction], direction.lower(): [{}]},
    }
    done = served.cluster.kubectl_as(tenant).run("apply", "-f", "-", input=json.dumps(policy))
    assert done.returncode != 0
    assert re.search(r"policy europe: ", done.stderr), done.stderr


@real_nodes
def test_the_probe_has_seen_a_refusal(served: World, report: Report) -> None:
    started = time.monotonic()
    found = served.wait_condition("sovpool", POOL, NAMESPACE, "NetworkEnforced", "True", "EgressRefused")
    report.seconds("network probe: waited for its verdict for", time.monotonic() - started)
    pool = served.get("sovpool", POOL, NAMESPACE)
    assert pool is not None
    seen = {probe["node"]: probe["outcome"] for probe in pool["status"]["network"]["probes"]}
    assert {pod["spec"]["nodeName"] for pod in served.ready(POOL)} <= seen.keys()
    assert set(seen.values()) == {"Refused"}, found


def test_the_probe_comes_to_a_verdict(served: World, report: Report) -> None:
    """Which one is the network plugin's to say; on a cluster of one's own this is how to learn it."""

    def verdict() -> Manifest | None:
        found = served.condition("sovpool", POOL, NAMESPACE, "NetworkEnforced")
        return found if found.get("status") in ("True", "False") else None

    found: Manifest = wait_for("NetworkEnforced to be True or False", verdict)
    report.fact(f"NetworkEnforced={found['status']} ({found['reason']}): {found['message']}")
