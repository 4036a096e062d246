"""Labels of many nodes: they give way to a gate that has to be written anew, and get on all the same."""

import time
from typing import Any

import pytest

from sovereign.cluster.client import Client
from sovereign.cluster.connection import Connection
from sovereign.cluster.events import Events
from sovereign.cluster.evidence import Recorder
from sovereign.cluster.queue import Queue
from sovereign.controllers.children import CONCURRENCY
from sovereign.controllers.context import Context
from sovereign.controllers.node_labels import NodeLabels
from sovereign.controllers.store import Store
from sovereign.plan.inventory import Node, Settings

NODES = [f"n{number:02}" for number in range(3 * CONCURRENCY)]


class Writes(Client):
    """Takes down what would be written."""

    def __init__(self) -> None:
        super().__init__(Connection("http://127.0.0.1:1"), "test")
        self.nodes: list[str] = []

    async def patch(self, path: str, body: Any, **_: Any) -> Any:
        name = path.rpartition("/")[2]
        self.nodes.append(name)
        return {"metadata": {"name": name, "uid": name, "labels": body["metadata"]["labels"]}}


@pytest.fixture
def writes() -> Writes:
    return Writes()


@pytest.fixture
def labels(writes: Writes) -> NodeLabels:
    settings, evidence = Settings(), Recorder("test", lambda _: None)
    store = Store(settings)
    store.approved["eu"] = set(NODES)
    for name in NODES:
        store.put_node(Node(name, name))
    events = Events(writes, evidence.record)
    return NodeLabels(Context(writes, store, {}, Queue(time.monotonic), events, settings, evidence, set()))


async def test_all_are_labelled_once(labels: NodeLabels, writes: Writes) -> None:
    await labels.keep("eu", NODES, lambda: False)
    assert sorted(writes.nodes) == NODES
    await labels.keep("eu", NODES, lambda: False)
    assert len(writes.nodes) == len(NODES), "what was written is known"


async def test_the_rest_is_left_where_the_approval_is_another_by_now(labels: NodeLabels, writes: Writes) -> None:
    await labels.keep("eu", NODES, lambda: len(writes.nodes) >= CONCURRENCY + 2)
    assert CONCURRENCY + 2 <= len(writes.nodes) < 2 * CONCURRENCY + 2


async def test_each_pass_gets_on(labels: NodeLabels, writes: Writes) -> None:
    for done in range(CONCURRENCY, len(NODES) + 1, CONCURRENCY):
        await labels.keep("eu", NODES[done - CONCURRENCY :], lambda: True)
        assert sorted(writes.nodes) == NODES[:done]
