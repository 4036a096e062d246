"""What can be reached from inside a pod's network, in words of this cluster."""

from collections.abc import Iterable, Mapping

from e2e.world import CALLERS, PORT, STRANGERS, World
from testbed.story import reach
from testbed.story.reach import Target, reached
from tests.operator.lab import Manifest

__all__ = ["Target", "beyond", "probe", "reached", "within"]


def beyond(world: World) -> set[Target]:
    """The outside world."""
    return reach.beyond(world.fleet)


def within(world: World) -> set[Target]:
    """The cluster, with a pod of each of the other namespaces."""
    others = [world.get("pod", "caller", namespace) for namespace in (CALLERS, STRANGERS)]
    return reach.within(world.fleet, world.cluster.server, [pod for pod in others if pod is not None], PORT)


def probe(world: World, pod: Manifest, targets: Iterable[Target]) -> Mapping[Target, str]:
    """``reached``, or how it failed, for each target, as from inside the pod."""
    return reach.probe(world.fleet.layout, pod, targets)
