"""Whatever the order of events, and however often each comes: the operator ends with the same view of the cluster."""

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.api.meta import FACT_JURISDICTION, FACT_REGION
from sovereign.cluster import rows
from sovereign.cluster.nodes import NodeRow
from sovereign.cluster.queue import Key, Queue
from sovereign.controllers.dispatch import TALLY, Dispatcher
from sovereign.controllers.store import POD, Store
from sovereign.plan.inventory import Node, Settings

Manifest = dict[str, Any]
Event = tuple[str, str, Manifest]
COUNTRIES = ("FR", "DE", "US")


def policy(name: str, tier: str, country: str, version: int) -> Manifest:
    spec = {"namespaceSelector": {"matchLabels": {"tier": tier}}, "placement": {"jurisdictions": [country]}}
    return ours("SovereigntyPolicy", name, "", spec, version)


def pool(name: str, namespace: str, version: int) -> Manifest:
    spec = {"modelRef": {"name": "m"}, "runtime": {"name": "vllm"}, "replicas": version}
    return ours("InferencePool", name, namespace, spec, version)


def ours(kind: str, name: str, namespace: str, spec: Manifest, version: int) -> Manifest:
    metadata = {"name": name, "uid": f"{kind}-{name}", "resourceVersion": str(version), "generation": version}
    return {"kind": kind, "metadata": metadata | ({"namespace": namespace} if namespace else {}), "spec": spec}


def node(name: str, country: str) -> Manifest:
    labels = {FACT_JURISDICTION: country, FACT_REGION: country.lower()}
    return {"metadata": {"name": name, "uid": name, "labels": labels}}


def node_row(manifest: Manifest, version: int = 1) -> NodeRow:
    """The row of a node, as the watch makes it."""
    found = Node.from_manifest(manifest)
    return NodeRow(found.name, version, found)


def pod(name: str, namespace: str, on: str, version: int) -> Manifest:
    metadata = {"name": name, "namespace": namespace, "uid": name, "resourceVersion": str(version), "labels": {}}
    return {"metadata": metadata, "spec": {"nodeName": on}, "status": {"phase": "Running"}}


def feed(events: list[Event]) -> tuple[Store, Queue]:
    """The store after these events, as the operator's watches would bring them."""
    queue = Queue(lambda: 0.0)
    store = Store(Settings())
    dispatcher = Dispatcher(store, queue)
    take: dict[str, Callable[[Manifest], None]] = {
        "ours": lambda body: dispatcher.ours(False, body),
        "gone": lambda body: dispatcher.ours(True, body),
        "node": lambda body: dispatcher.node(None, node_row(body)),
        "namespace": lambda body: dispatcher.namespace(False, body),
    }
    for kind, _, body in events:
        if kind == "pod":
            new = rows.pod(body)
            old = store.pods.get((new.namespace, new.name))
            if old is None or old.version < new.version:
                dispatcher.pod(old, new)
        else:
            take[kind](body)
    return store, queue


def view(store: Store) -> object:
    """Everything that later work is computed from."""
    return (
        {name: frozenset(approved) for name, approved in store.approved.items()},
        {uid: store.findings.violations(uid) for uid in store.findings},
        {key: (item.owner.generation, item.spec) for key, item in store.objects.items()},
        {name: store.governance(name).names for name in store.namespaces},
        {key.node for key in store.pods.values()},
    )


def versions(draw: st.DrawFn) -> range:
    return range(1, draw(st.integers(1, 2)) + 1)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """The last word about some objects, and earlier words about the same."""
    events: list[Event] = []
    for index in range(draw(st.integers(1, 3))):
        name, tier = f"p{index}", draw(st.sampled_from("ab"))
        for version in versions(draw):
            country = draw(st.sampled_from(COUNTRIES))
            events += [("ours", f"policy/{name}", policy(name, tier, country, version))]
    for index in range(draw(st.integers(0, 3))):
        events += [("node", f"node/n{index}", node(f"n{index}", draw(st.sampled_from(COUNTRIES))))]
    for name in ("x", "y"):
        labels = {"tier": draw(st.sampled_from("ab"))}
        events.append(("namespace", f"namespace/{name}", {"metadata": {"name": name, "labels": labels}}))
    for index in range(draw(st.integers(0, 4))):
        namespace = draw(st.sampled_from("xy"))
        for version in versions(draw):
            on = f"n{draw(st.integers(0, 3))}"
            events += [("pod", f"pod/{index}", pod(f"pod{index}", namespace, on, version))]
    for index in range(draw(st.integers(0, 2))):
        events += [("ours", f"pool/{index}", pool(f"pool{index}", "x", version)) for version in versions(draw)]
    return events


@given(histories(), st.data())
@settings(max_examples=200)
def test_any_order_of_events_converges(history: list[Event], data: st.DataObject) -> None:
    repeated = [*history, *data.draw(st.lists(st.sampled_from(history), max_size=6))]
    shuffled = data.draw(st.permutations(repeated))
    one, _ = feed(history)
    other, _ = feed(shuffled)
    assert view(other) == view(one)


@given(histories())
@settings(max_examples=100)
def test_the_incremental_view_is_that_of_a_fresh_start(history: list[Event]) -> None:
    store, _ = feed(history)
    latest = {subject: (kind, subject, body) for kind, subject, body in history}
    fresh, _ = feed(list(latest.values()))
    assert view(store) == view(fresh)


@given(histories())
@settings(max_examples=100)
def test_every_pod_in_the_wrong_place_is_queued_for_repair(history: list[Event]) -> None:
    store, queue = feed(history)
    for (namespace, name), row in store.pods.items():
        if row.uid in store.findings:
            assert Key(POD, namespace, name) in queue


def test_a_policy_that_is_gone_governs_nothing() -> None:
    first = policy("p", "a", "FR", 1)
    store, _ = feed(
        [
            ("namespace", "", {"metadata": {"name": "x", "labels": {"tier": "a"}}}),
            ("ours", "", first),
            ("node", "", node("n0", "US")),
            ("pod", "", pod("pod", "x", "n0", 1)),
            ("gone", "", first),
        ]
    )
    assert not store.governance("x").governed
    assert len(store.findings) == 0


def test_a_policy_that_cannot_be_understood_keeps_governing_as_before() -> None:
    broken = policy("p", "a", "FR", 2)
    broken["spec"]["placement"]["jurisdictions"] = ["france"]
    space = ("namespace", "", {"metadata": {"name": "x", "labels": {"tier": "a"}}})
    store, _ = feed(
        [space, ("ours", "", policy("p", "a", "FR", 1)), ("ours", "", broken), ("node", "", node("n", "FR"))]
    )
    assert store.governance("x").names == ("p",)
    assert store.approved["p"] == {"n"}
    item = store.objects[Key("SovereigntyPolicy", "", "p")]
    assert item.spec is None
    assert "spec.placement.jurisdictions" in item.problem


def test_a_pod_in_the_wrong_place_that_is_gone_is_counted_no_more() -> None:
    space = ("namespace", "", {"metadata": {"name": "x", "labels": {"tier": "a"}}})
    store, _ = feed(
        [
            space,
            ("ours", "", policy("p", "a", "FR", 1)),
            ("node", "", node("n", "US")),
            ("pod", "", pod("pod", "x", "n", 1)),
        ]
    )
    assert set(store.findings) == {"pod"}
    now = 0.0
    dispatcher = Dispatcher(store, later := Queue(lambda: now))
    dispatcher.pod(store.pods[("x", "pod")], None)
    assert len(store.findings) == 0
    now = TALLY
    asyncio.run(later.get())  # its repair
    assert asyncio.run(later.get()) == Key("SovereigntyPolicy", "", "p")
