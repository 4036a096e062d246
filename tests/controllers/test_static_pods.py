"""How often a static pod is told, whatever is written about it."""

from types import SimpleNamespace
from typing import Any

import pytest

from sovereign.controllers.static_pods import HOUR, TOLD_PER_HOUR, StaticPodReport
from sovereign.residency.static_pods import Sighting, StaticPods


class World:
    """What a report looks at, and what it says."""

    def __init__(self) -> None:
        self.static_pods = StaticPods()
        self.said: list[str] = []
        self.now = 1000.0
        self.item: Any = SimpleNamespace(owner=SimpleNamespace(name="france"))
        store = SimpleNamespace(static_pods=self.static_pods, governed_namespaces=lambda policy: ["gov"])
        self.report = StaticPodReport(SimpleNamespace(store=store, tell=self.tell), lambda: self.now)  # type: ignore[arg-type]

    def tell(self, item: Any, severity: str, reason: str, message: str) -> None:
        assert (item, severity, reason) == (self.item, "Warning", "StaticPod")
        self.said.append(message)

    def look(self) -> list[str]:
        self.said = []
        self.report.look(self.item)
        return self.said


def sighting(pod: str, reason: str = "Pulled") -> Sighting:
    return Sighting("gov", f"{pod}.{reason}", 1, pod, "fr-1", reason, "")


@pytest.fixture
def world() -> World:
    return World()


def test_once_and_once_more_when_it_starts(world: World) -> None:
    world.static_pods.event(None, sighting("a"))
    assert len(world.look()) == 1
    assert world.look() == []
    world.static_pods.event(None, sighting("a", "Started"))
    assert len(world.look()) == 1
    world.static_pods.event(sighting("a", "Started"), None)
    assert world.look() == [], "what it said last before is no news"


def test_one_that_comes_and_goes_is_told_once_an_hour(world: World) -> None:
    for _ in range(10):
        world.static_pods.event(None, sighting("a"))
        world.look()
        world.static_pods.event(sighting("a"), None)
        assert world.look() == []
    world.now += HOUR + 1
    assert world.look() == []
    world.static_pods.event(None, sighting("a"))
    assert len(world.look()) == 1


def test_no_more_than_so_many_an_hour(world: World) -> None:
    for number in range(3 * TOLD_PER_HOUR):
        world.static_pods.event(None, sighting(f"p{number}"))
    said = world.look()
    assert len(set(said)) == TOLD_PER_HOUR + 1
    assert "more than 20 static pods" in said[-1]
    assert world.look() == []
