"""A node that changes concerns few: the policies and pools that would be planned otherwise, and those whose pods stand there."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sovereign.api.meta import (
    FACT_IDENTITY,
    FACT_JURISDICTION,
    FACT_REGION,
    LABEL_COMPLIANT,
    LABEL_POOL,
    approved_label,
)
from sovereign.api.pool import Accelerator
from sovereign.cluster import rows as pods
from sovereign.cluster.queue import Key, Queue
from sovereign.controllers.dispatch import Dispatcher
from sovereign.controllers.lawful import LawfulNodes
from sovereign.controllers.objects import POLICY, POOL
from sovereign.controllers.store import POD, Store
from sovereign.plan import identity
from sovereign.plan.gpus import MEMORY_LABEL
from sovereign.plan.inventory import Node, Settings
from sovereign.plan.placement import approved
from tests.controllers.test_convergence import node_row, ours
from tests.plan.serving import samples
from tests.plan.serving.test_properties import plan_of
from tests.residency.pods import manifest

GPU = "nvidia.com/gpu"
EU, FR = samples.policy("eu"), samples.policy("fr", jurisdictions=["FR"])
BOTH = samples.governance(EU, FR)


@st.composite
def rows(draw: st.DrawFn, name: str) -> Node | None:
    """A node, or that there is none."""
    labels = {
        FACT_JURISDICTION: draw(st.sampled_from(["FR", "FR", "DE", "US"])),
        FACT_REGION: draw(st.sampled_from(["fr-par", "de-fra"])),
        "kubernetes.io/hostname": name,
        **draw(st.fixed_dictionaries({}, optional={MEMORY_LABEL: st.sampled_from(["40960", "81920"])})),
        **draw(st.fixed_dictionaries({}, optional={"disk": st.sampled_from(["fast", "slow"])})),
    }
    allocatable = {GPU: draw(st.sampled_from(["1", "8"])), "memory": draw(st.sampled_from(["1Gi", "2Gi"]))}
    return draw(st.sampled_from([None, Node(name, name, labels, allocatable)]))


SPECS: list[dict[str, Any]] = [
    {"engine": "vllm"},
    {"engine": "vllm", "accelerator": {"count": 4}},
    {"engine": "vllm", "accelerator": {"nodeSelector": {"disk": "fast"}}},
    {"engine": "vllm", "accelerator": {"nodeSelector": {"kubernetes.io/hostname": "a"}}},
    {"engine": "vllm", "placement": {"regions": ["fr-par"]}},
]


@given(st.lists(st.sampled_from("abc").flatmap(lambda name: st.tuples(st.just(name), rows(name))), max_size=6))
def test_no_pool_is_planned_otherwise_without_being_told(changes: list[tuple[str, Node | None]]) -> None:
    nodes: dict[str, Node] = {}
    by_policy: dict[str, frozenset[str]] = {}
    lawful = LawfulNodes(nodes, by_policy)
    accelerators = [Accelerator.model_validate(spec.get("accelerator", {})) for spec in SPECS]

    def planned() -> list[Any]:
        found = lawful.of(BOTH.names)
        plain = [nodes[name] for name in sorted(frozenset.intersection(*by_policy.values()))] if by_policy else []
        assert sorted(found.values(), key=lambda node: node.name) == plain
        plans = [plan_of(spec, policies=BOTH, nodes=plain) for spec in SPECS]
        for spec, accelerator, plan in zip(SPECS, accelerators, plans, strict=True):
            assert plan_of(spec, policies=BOTH, nodes=lawful.examples(BOTH.names, accelerator)) == plan
        return plans

    before = planned()
    for name, node in changes:
        nodes.pop(name, None) if node is None else nodes.update({name: node})
        by_policy.update({one.name: approved(nodes.values(), one) for one in (EU, FR)})
        lawful.judged(name)
        told = BOTH.names in lawful.take_changed()
        after = planned()
        assert told or before == after
        before = after


def test_a_node_like_others_that_goes_concerns_no_pool() -> None:
    nodes = {name: Node(name, name, {FACT_JURISDICTION: "FR"}, {GPU: "8"}) for name in "abc"}
    by_policy = {"eu": set(nodes)}
    lawful = LawfulNodes(nodes, by_policy)
    assert len(lawful.examples(("eu",), Accelerator())) == 1
    told = []
    for name in "abc":
        assert len(lawful.of(("eu",))) == len(nodes)
        by_policy["eu"].discard(name)
        del nodes[name]
        lawful.judged(name)
        told.append(lawful.take_changed())
    assert told == [set(), set(), {("eu",)}]
    assert lawful.of(()) == {}


# --- the dispatcher -------------------------------------------------------------------------------------


class World:
    """Two policies, each with a namespace with two pools; two French nodes and a German one, labelled, bound, and seen by all."""

    def __init__(self) -> None:
        self.store = Store(Settings())
        self.dispatcher = Dispatcher(self.store, Queue(lambda: 0.0))
        for name, country in (("fr", "FR"), ("de", "DE")):
            self.dispatcher.namespace(False, {"metadata": {"name": name, "labels": {"tier": name}}})
            spec = {"namespaceSelector": {"matchLabels": {"tier": name}}, "placement": {"jurisdictions": [country]}}
            self.dispatcher.ours(False, ours("SovereigntyPolicy", name, "", spec, 1))
            for pool in ("idle", "busy"):
                spec = {"modelRef": {"name": "m"}, "runtime": {"name": "vllm"}, "accelerator": {"count": 1}}
                self.dispatcher.ours(False, ours("InferencePool", pool, name, spec, 1))
        for name, country in (("fr-1", "FR"), ("fr-2", "FR"), ("de-1", "DE")):
            self.node(name, country)
        body = manifest("p", "fr", nodeName="fr-1")
        body["metadata"]["labels"] = {LABEL_POOL: "busy", LABEL_COMPLIANT: "true"}
        self.dispatcher.pod(None, pods.pod(body))
        for namespace in ("fr", "de"):
            self.store.lawful.examples(self.store.governance(namespace).names, Accelerator())
        self.queue = Queue(lambda: 0.0)
        self.dispatcher = Dispatcher(self.store, self.queue)

    def node(self, name: str, country: str, **more: str) -> None:
        machine = identity.identity(Node(name, name))
        labels = {FACT_JURISDICTION: country, approved_label(name[:2]): "true", FACT_IDENTITY: machine} | more
        self.dispatcher.node(None, node_row({"metadata": {"name": name, "uid": name, "labels": labels}}))

    def queued(self, kind: str) -> set[str]:
        keys = (key for key in self.store.objects if key in self.queue and key.kind == kind)
        return {f"{key.namespace}/{key.name}".strip("/") for key in keys}


def test_a_node_that_is_like_others_concerns_its_policy_and_the_pools_with_pods_there() -> None:
    world = World()
    world.node("fr-1", "US")
    assert world.queued(POLICY) == {"fr", "de"}, "the other one shows why it does not approve the node"
    assert world.queued(POOL) == {"fr/busy"}
    assert Key(POD, "fr", "p") in world.queue


def test_a_label_that_nobody_looks_at_concerns_nobody_but_the_pools_with_pods_there() -> None:
    world = World()
    world.node("fr-1", "FR", rack="7")
    world.node("fr-2", "FR", rack="8")
    assert world.queued(POLICY) == set()
    assert world.queued(POOL) == {"fr/busy"}


def test_an_approved_label_that_somebody_took_off_concerns_its_policy_alone() -> None:
    world = World()
    world.node("fr-2", "FR", **{approved_label("fr"): "false"})
    assert (world.queued(POLICY), world.queued(POOL)) == ({"fr"}, set())


def test_the_last_node_concerns_all_pools_of_its_policy() -> None:
    world = World()
    world.dispatcher.node(node_row({"metadata": {"name": "de-1"}}), None)
    assert world.queued(POLICY) == {"fr", "de"}
    assert world.queued(POOL) == {"de/idle", "de/busy"}


async def test_the_gate_is_closed_before_pods_are_seen_to() -> None:
    world = World()
    world.node("fr-1", "US")
    keys = [await world.queue.get() for _ in range(4)]
    assert [key.kind for key in keys] == [POLICY, POLICY, POD, POOL]
