"""Jobs and pods of network probes are nobody's children and nobody's replicas, and are judged as every other pod is."""

from typing import Any

import pytest

from sovereign.api.meta import (
    COMPONENT_PROBE,
    FACT_JURISDICTION,
    LABEL_COMPONENT,
    LABEL_INSTANCE,
    LABEL_MANAGED_BY,
    LABEL_POOL,
    MANAGED_BY,
)
from sovereign.cluster import rows
from sovereign.cluster.queue import Key, Queue
from sovereign.controllers.dispatch import Dispatcher
from sovereign.controllers.objects import POOL
from sovereign.controllers.store import POD, PROBES, Store
from sovereign.plan.inventory import Settings
from tests.controllers.test_convergence import node_row

LABELS = {
    LABEL_MANAGED_BY: MANAGED_BY,
    LABEL_COMPONENT: COMPONENT_PROBE,
    LABEL_POOL: "chat",
    LABEL_INSTANCE: "chat",
}


def metadata(name: str, owner: str, **labels: str) -> dict[str, Any]:
    reference = {"kind": owner, "name": "chat-probe-x", "uid": "owner", "controller": True}
    known = LABELS | labels
    return {
        "name": name,
        "namespace": "x",
        "uid": name,
        "resourceVersion": "5",
        "labels": known,
        "ownerReferences": [reference],
    }


def pod(node: str = "", owner: str = "Job", **labels: str) -> rows.Pod:
    return rows.pod({"metadata": metadata("p", owner, **labels), "spec": {"nodeName": node}})


@pytest.fixture
def queue() -> Queue:
    return Queue(lambda: 0.0)


@pytest.fixture
def dispatcher(queue: Queue) -> Dispatcher:
    return Dispatcher(Store(Settings()), queue)


def test_a_probes_job_is_no_child_of_its_pool(dispatcher: Dispatcher, queue: Queue) -> None:
    row = rows.child({"metadata": metadata("job", "InferencePool"), "spec": {}}, "Job")
    dispatcher.child(None, row)
    assert PROBES in queue
    assert Key(POOL, "x", "chat") not in dispatcher._store.children
    dispatcher.child(row, None)
    assert dispatcher.vanished == set(), "nobody asks whether the pool is still there"
    assert PROBES not in dispatcher._store.children


def test_a_probes_pod_is_no_replica_of_its_pool(dispatcher: Dispatcher, queue: Queue) -> None:
    row = pod()
    dispatcher.pod(None, row)
    assert (row.pool, row.probe) == ("", "chat-probe-x")
    assert dispatcher._store.pods_of(Key(POOL, "x", "chat")) == []
    assert dispatcher._store.pods_of(Key(rows.PROBE_KIND, "x", "chat-probe-x")) == [row]
    assert PROBES in queue


def test_the_label_alone_takes_no_pod_out_of_its_pool() -> None:
    row = pod(owner="ReplicaSet")
    assert (row.pool, row.probe) == ("chat", "")


def test_a_probes_pod_in_the_wrong_place_is_repaired_like_any_other(dispatcher: Dispatcher, queue: Queue) -> None:
    policy = {
        "kind": "SovereigntyPolicy",
        "metadata": {"name": "p", "uid": "p", "resourceVersion": "1"},
        "spec": {"namespaceSelector": {"matchLabels": {"tier": "a"}}, "placement": {"jurisdictions": ["FR"]}},
    }
    dispatcher.namespace(False, {"metadata": {"name": "x", "labels": {"tier": "a"}}})
    dispatcher.ours(False, policy)
    dispatcher.node(None, node_row({"metadata": {"name": "n", "uid": "n", "labels": {FACT_JURISDICTION: "US"}}}))
    dispatcher.pod(None, pod("n"))
    assert set(dispatcher._store.findings) == {"p"}
    assert Key(POD, "x", "p") in queue
