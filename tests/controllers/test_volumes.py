"""What an event of a volume, or of an object of somebody else, leads to: what it concerns, and nothing else."""

from typing import Any

from sovereign.api.meta import API_VERSION, FACT_JURISDICTION
from sovereign.cluster.queue import Key, Queue
from sovereign.controllers.dispatch import Dispatcher
from sovereign.controllers.objects import MODEL, POLICY, POOL
from sovereign.controllers.store import Store
from sovereign.plan.inventory import Settings
from sovereign.residency.others import other
from sovereign.residency.volumes import Volume, volume
from tests.controllers.test_convergence import node_row


def ours(kind: str, name: str, spec: dict[str, Any], namespace: str = "") -> dict[str, Any]:
    metadata = {"name": name, "uid": f"{kind}-{name}", "resourceVersion": "1", "generation": 1}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def world() -> tuple[Store, Queue, Dispatcher]:
    """A governed namespace with two models and their pools, and one that nobody governs; an empty queue."""
    store, queue = Store(Settings()), Queue(lambda: 0.0)
    dispatcher = Dispatcher(store, queue)
    placement = {"jurisdictions": ["FR"]}
    dispatcher.ours(
        False, ours(POLICY, "eu", {"namespaceSelector": {"matchLabels": {"a": "b"}}, "placement": placement})
    )
    facts = {FACT_JURISDICTION: "FR"}
    dispatcher.node(None, node_row({"metadata": {"name": "fr", "uid": "fr", "labels": facts}}))
    for name, labels in (("team", {"a": "b"}), ("free", {})):
        dispatcher.namespace(False, {"metadata": {"name": name, "labels": labels}})
    for name in ("chat", "code"):
        dispatcher.ours(False, ours(MODEL, name, {"source": {"uri": f"pvc://{name}-disk/x"}}, "team"))
        spec = {"modelRef": {"name": name}, "runtime": {"name": "vllm"}, "replicas": 1}
        dispatcher.ours(False, ours(POOL, name, spec, "team"))
    empty = Queue(lambda: 0.0)
    dispatcher._queue = empty
    return store, empty, dispatcher


def held(namespace: str, claim: str, version: int = 1, **spec: Any) -> Volume:
    manifest = {
        "metadata": {"name": "disk", "uid": "v", "resourceVersion": str(version)},
        "spec": {"claimRef": {"namespace": namespace, "name": claim}} | spec,
        "status": {"phase": "Bound"},
    }
    row = volume(manifest)
    assert row is not None
    return row


def queued(queue: Queue) -> set[Key]:
    kinds = (POLICY, MODEL, POOL)
    names = ("eu", "chat", "code")
    return {
        key
        for kind in kinds
        for name in names
        for key in [Key(kind, "" if kind == POLICY else "team", name)]
        if key in queue
    }


def told(store: Store) -> list[str]:
    return [shown.workload.name for shown in store.findings.workloads("eu")]


def test_a_volume_of_an_ungoverned_namespace_concerns_nobody() -> None:
    _, queue, dispatcher = world()
    dispatcher.volume(None, held("free", "chat-disk"))
    dispatcher.volume(held("free", "chat-disk"), None)
    assert len(queue) == 0


def test_a_volume_concerns_its_model_and_its_pools() -> None:
    _, queue, dispatcher = world()
    row = held("team", "chat-disk")
    dispatcher.volume(None, row)
    assert queued(queue) == {Key(MODEL, "team", "chat"), Key(POOL, "team", "chat")}, (
        "nothing is wrong, so no policy is told"
    )


def test_an_event_that_changes_nothing_that_is_judged_leads_to_nothing() -> None:
    _, queue, dispatcher = world()
    dispatcher.volume(None, held("team", "chat-disk"))
    fresh = Queue(lambda: 0.0)
    dispatcher._queue = fresh
    dispatcher.volume(held("team", "chat-disk"), held("team", "chat-disk", version=2))
    assert len(fresh) == 0
    assert len(queue) == 2


def test_a_volume_that_lies_elsewhere_is_told_to_the_policy_and_forgotten_when_it_goes() -> None:
    store, _, dispatcher = world()
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "no", "operator": "Exists"}]}]}}
    row = held("team", "other-disk", nodeAffinity=affinity)
    dispatcher.volume(None, row)
    assert told(store) == ["other-disk"]
    dispatcher.volume(row, None)
    assert told(store) == []


def test_a_namespace_that_becomes_governed_has_its_objects_judged() -> None:
    store, _, dispatcher = world()
    manifest = {"metadata": {"namespace": "free", "name": "s", "uid": "s", "resourceVersion": "1"}, "spec": {}}
    dispatcher.other(None, other(manifest, "Service"))
    assert told(store) == []
    dispatcher.namespace(False, {"metadata": {"name": "free", "labels": {"a": "b"}}})
    assert told(store) == ["s"]
    dispatcher.namespace(False, {"metadata": {"name": "free", "labels": {}}})
    assert told(store) == []
