"""An event costs what it touches: what is judged again, and who is told."""

from typing import Any

import pytest

from sovereign.cluster import rows
from sovereign.cluster.queue import Key, Queue
from sovereign.cluster.rows import Pod
from sovereign.controllers.dispatch import Dispatcher
from sovereign.controllers.policy import Totals
from sovereign.controllers.store import POD, Store
from sovereign.plan.inventory import Settings
from sovereign.residency.findings import Findings, Workload
from sovereign.residency.verdicts import Violation
from tests.controllers.test_convergence import node, node_row, ours
from tests.residency.pods import manifest
from tests.residency.test_findings import violation

Manifest = dict[str, Any]


class World:
    """A store with a policy `p` on namespace `gov`, a French node, and an American one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.queue = Queue(lambda: self.now)
        self.store = Store(Settings())
        self.dispatcher = Dispatcher(self.store, self.queue)
        self.judged: list[str] = []
        self._verify = self.store.verify
        monkeypatch.setattr(self.store, "verify", self._judge)
        self.dispatcher.namespace(False, {"metadata": {"name": "gov", "labels": {"tier": "x"}}})
        self.policy(1)
        self.dispatcher.node(None, node_row(node("fr-1", "FR")))
        self.dispatcher.node(None, node_row(node("us-1", "US")))

    def _judge(self, pod: Pod) -> tuple[Violation, ...]:
        self.judged.append(pod.name)
        return self._verify(pod)

    def policy(self, version: int, **placement: Any) -> None:
        spec = {
            "namespaceSelector": {"matchLabels": {"tier": "x"}},
            "placement": {"jurisdictions": ["FR"]} | placement,
        }
        self.dispatcher.ours(False, ours("SovereigntyPolicy", "p", "", spec, version))

    def pod(
        self, name: str, version: int = 1, namespace: str = "gov", status: Manifest | None = None, **spec: Any
    ) -> None:
        body = manifest(name, namespace, **spec) | {"status": status or {}}
        body["metadata"]["resourceVersion"] = str(version)
        new = rows.pod(body)
        self.dispatcher.pod(self.store.pods.get((namespace, name)), new)

    def queued(self) -> set[str]:
        """Names of the pods that wait for a repair."""
        return {name for namespace, name in self.store.pods if Key(POD, namespace, name) in self.queue}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


HEARTBEAT = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastProbeTime": "x"}]}


def test_a_heartbeat_of_a_pod_is_not_judged_again_lawful_or_not(world: World) -> None:
    for name, on in (("lawful", "fr-1"), ("unlawful", "us-1")):
        world.pod(name, nodeName=on, status=HEARTBEAT)
    assert world.queued() == {"unlawful"}
    world.judged.clear()
    for version in range(2, 5):
        for name, on in (("lawful", "fr-1"), ("unlawful", "us-1")):
            world.pod(name, version, nodeName=on, status=HEARTBEAT)
    assert world.judged == []


@pytest.mark.parametrize(
    "change",
    [
        {"nodeName": "us-1"},
        {"containers": [{"name": "main", "image": "nginx"}]},
        {"hostNetwork": True},
        {"status": {"phase": "Succeeded"}},
    ],
)
def test_what_decides_is_judged_again(world: World, change: Manifest) -> None:
    world.pod("p", nodeName="fr-1", status=HEARTBEAT)
    world.judged.clear()
    world.pod("p", 2, **{"nodeName": "fr-1", "status": HEARTBEAT} | change)
    assert world.judged == ["p"]


def test_a_node_has_its_own_pods_judged_alone(world: World) -> None:
    world.pod("here", nodeName="fr-1")
    world.pod("there", nodeName="us-1")
    world.judged.clear()
    world.dispatcher.node(None, node_row(node("fr-1", "DE")))
    assert world.judged == ["here"]
    assert world.queued() == {"here", "there"}


def test_a_policy_that_dedicates_its_nodes_has_strangers_judged_and_lets_them_go(world: World) -> None:
    world.dispatcher.namespace(False, {"metadata": {"name": "free", "labels": {}}})
    world.pod("stranger", namespace="free", nodeName="fr-1")
    world.pod("elsewhere", namespace="free", nodeName="us-1")
    assert len(world.store.findings) == 0
    world.judged.clear()
    world.policy(2, dedicated=True)
    assert world.judged == ["stranger"]
    assert world.queued() == {"stranger"}
    world.policy(3)
    assert len(world.store.findings) == 0, "the nodes are everybody's again"


def test_a_pod_that_goes_is_told_to_its_repair_and_counted(world: World) -> None:
    world.pod("p", nodeName="us-1")
    gone = world.store.pods["gov", "p"]
    world.dispatcher.pod(gone, None)
    assert Key(POD, "gov", "p") in world.queue
    assert world.store.findings.count("p") == 0


WEB = Workload("gov", "web", "Deployment")


def test_the_total_goes_on_from_what_the_status_says() -> None:
    findings = Findings()
    for name in ("a", "b", "c"):
        findings.put(name, WEB, name, (violation("p"),))
    totals = Totals(findings)
    assert totals.of("p", {"current": 2, "total": 7}) == 8, "two of the three were counted by the process before"
    findings.put("d", WEB, "d", (violation("p"),))
    findings.drop("a")
    assert totals.of("p", {"current": 3, "total": 0}) == 9, "it never falls, whatever somebody writes there"
    assert totals.of("other", {}) == 0


def test_a_heartbeat_neither_judges_nor_queues(world: World) -> None:
    world.pod("a", nodeName="fr-1")
    world.judged.clear()
    queue = world.dispatcher._queue = Queue(lambda: 0.0)
    for version in (2, 3):
        world.dispatcher.node(None, node_row(node("fr-1", "FR"), version))
    assert world.judged == []
    assert queue.idle
    world.dispatcher.node(None, node_row(node("fr-1", "DE"), 4))
    assert world.judged == ["a"]
    assert not queue.idle


def test_a_node_that_is_gone_is_told_although_somebody_saw_it_first(world: World) -> None:
    """A write to it may have been answered with 404, and it been forgotten then."""
    row = node_row(node("fr-1", "FR"))
    queue = world.dispatcher._queue = Queue(lambda: 0.0)
    world.store.drop_node("fr-1")
    world.dispatcher.node(row, None)
    assert not queue.idle
