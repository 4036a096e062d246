"""When a pool is probed on which node. The clock is the machine's own; what is asked is only what comes before what."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from sovereign.cluster.client import Client
from sovereign.cluster.connection import Connection
from sovereign.cluster.events import Events
from sovereign.cluster.evidence import Recorder
from sovereign.cluster.queue import Queue
from sovereign.controllers.context import Context
from sovereign.controllers.objects import Object, decode
from sovereign.controllers.probe import Prober
from sovereign.controllers.store import PROBES, Store
from sovereign.plan.inventory import NetworkProbes, Settings

INTERVAL = 600
SETTINGS = Settings(probes=NetworkProbes(targets=("10.1.2.3:8081",), interval=INTERVAL))
NODES = {"n1": "uid-1", "n2": "uid-2"}


@pytest.fixture
def queue() -> Queue:
    return Queue(time.monotonic)


@pytest.fixture
def prober(queue: Queue) -> Prober:
    client = Client(Connection("http://127.0.0.1:1"), "test")
    evidence = Recorder("test", lambda _: None)
    events = Events(client, evidence.record)
    return Prober(Context(client, Store(SETTINGS), {}, queue, events, SETTINGS, evidence, set()))


def pool(*probes: dict[str, Any]) -> Object:
    metadata = {"name": "chat", "namespace": "x", "uid": "pool", "resourceVersion": "1"}
    spec = {"modelRef": {"name": "m"}, "runtime": {"name": "vllm"}, "replicas": 1}
    status = {"network": {"probes": list(probes)}}
    return decode({"kind": "InferencePool", "metadata": metadata, "spec": spec, "status": status})


def seen(node: str, ago: float = 60, uid: str = "", **fields: Any) -> dict[str, Any]:
    time_ = datetime.fromtimestamp(time.time() - ago, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    known = {"node": node, "nodeUid": uid or f"uid-{node[1:]}", "outcome": "Refused", "time": time_, "policy": "hash"}
    return known | fields


def due(prober: Prober, node: str) -> float:
    """Seconds until a node's turn."""
    (places,) = prober._pools.values()
    return places[node].due - time.monotonic()


def test_a_node_that_was_never_probed_comes_soon(prober: Prober, queue: Queue) -> None:
    assert prober.known(pool(), NODES, "hash") == []
    assert all(9 < due(prober, node) <= 10 for node in NODES)
    assert PROBES in queue._due


def test_what_the_status_says_is_taken_up(prober: Prober) -> None:
    item = pool(seen("n1", 60), seen("n2", 10_000))
    assert [probe.node for probe in prober.known(item, NODES, "hash")] == ["n1", "n2"]
    assert due(prober, "n1") == pytest.approx(INTERVAL - 60, abs=3)
    assert due(prober, "n2") <= 10, "it is overdue"


@pytest.mark.parametrize(
    ("entry", "kept"),
    [
        (seen("n1", policy="other"), True),
        (seen("n1", outcome="Unknown"), True),
        (seen("n1", -10_000), True),
        (seen("n1", uid="another machine"), False),
        ({"node": "n1", "outcome": "Fine"}, False),
    ],
    ids=["another policy", "unknown", "a time to come", "another machine", "not ours"],
)
def test_what_the_status_says_and_does_not_settle_it(prober: Prober, entry: dict[str, Any], kept: bool) -> None:
    assert bool(prober.known(pool(entry), {"n1": "uid-1"}, "hash")) == kept
    assert due(prober, "n1") <= 10


def test_another_network_policy_is_probed_soon(prober: Prober) -> None:
    item = pool(seen("n1"))
    prober.known(item, NODES, "hash")
    assert due(prober, "n1") > 10
    assert [probe.node for probe in prober.known(item, NODES, "other")] == ["n1"], "what was seen holds until then"
    assert due(prober, "n1") <= 10


def test_a_pod_that_is_back_in_a_moment_finds_what_was_seen(prober: Prober) -> None:
    prober.known(pool(seen("n1")), {"n1": "uid-1"}, "hash")
    assert prober.known(pool(), {}, "hash") == []
    assert not list(prober._waiting()), "where no pod is, nothing is probed"
    assert [probe.node for probe in prober.known(pool(), {"n1": "uid-1"}, "hash")] == ["n1"]
    assert due(prober, "n1") > 10
    assert prober.known(pool(), {"n1": "uid-of-another-machine"}, "hash") == []
    assert due(prober, "n1") <= 10


def test_a_pool_that_is_not_to_be_probed_is_forgotten(prober: Prober, queue: Queue) -> None:
    item = pool()
    prober.known(item, NODES, "hash")
    prober.forget(item.key)
    assert not list(prober._waiting())
    assert PROBES in queue, "what is under way is taken down"
