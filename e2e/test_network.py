"""The network is closed: a serving pod reaches nothing, and each thing it does not reach is there."""

import json
import re

import pytest

from e2e import manifests, reach
from e2e.world import CALLERS, NAMESPACE, POOL, STRANGERS, World
from testbed.nodes.node import DNS_ADDRESS
from tests.operator.lab import Manifest

pytestmark = pytest.mark.real_nodes


@pytest.fixture(scope="module")
def twin(served: World) -> Manifest:
    """A pod on a serving pod's node that no policy is about: what it reaches can be reached from there."""
    (pod, *_) = served.ready(POOL)
    node = {"nodeSelector": {"kubernetes.io/hostname": pod["spec"]["nodeName"]}}
    served.apply(manifests.client(served, "twin", STRANGERS, **node))
    return served.wait_pod("twin", STRANGERS)


def test_a_serving_pod_reaches_nothing(served: World, twin: Manifest) -> None:
    (pod, *_) = served.ready(POOL)
    targets = reach.beyond(served) | reach.within(served)
    there = reach.reached(reach.probe(served, twin, targets))
    assert there == targets, "the test means nothing where a target is not there"
    assert reach.reached(reach.probe(served, pod, targets)) == set()


def test_the_outside_world_saw_nobody(served: World, twin: Manifest) -> None:
    """Not asked of the pods: the outside world's own log of who came."""
    log = served.fleet.outside.access_log
    since = log.stat().st_size
    reach.probe(served, twin, {"tcp 203.0.113.10 80"})
    for pod in served.ready(POOL):
        reach.probe(served, pod, reach.beyond(served))
    entries = [json.loads(line) for line in log.read_bytes()[since:].splitlines()]
    assert {entry["from"] for entry in entries} <= {twin["status"]["podIP"], served.fleet.layout.machine}


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


def test_the_probe_has_seen_a_refusal(served: World) -> None:
    found = served.wait_condition("sovpool", POOL, NAMESPACE, "NetworkEnforced", "True")
    nodes = {pod["spec"]["nodeName"] for pod in served.ready(POOL)}
    assert nodes
    assert found["reason"] == "EgressRefused"
