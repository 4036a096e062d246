"""A network plugin that ignores NetworkPolicy does not look green."""

from collections.abc import Iterator

import pytest

from e2e import manifests, reach, setting
from e2e.world import MODEL, NAMESPACE, POOL, World
from tests.operator.lab import wait_for

pytestmark = pytest.mark.real_nodes


@pytest.fixture(scope="module")
def open_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A cluster whose nodes are joined by the bridge plugin, with everything else as it is to be."""
    for world in setting.bring_up(tmp_path_factory.mktemp("bridge"), "e2e-bridge", "fr:1", "bridge"):
        setting.govern(world)
        world.apply(manifests.weights(world), manifests.pool(world, replicas=1))
        world.wait_ready("smodel", MODEL)
        world.wait_ready("sovpool", POOL)
        yield world


def test_the_probe_says_so(open_world: World) -> None:
    (pod,) = open_world.ready(POOL)
    found = reach.probe(open_world, pod, {"tcp 203.0.113.10 80"})
    assert reach.reached(found), "the plugin enforces: the test means nothing"
    condition = open_world.wait_condition("sovpool", POOL, NAMESPACE, "NetworkEnforced", "False", "EgressReachable")
    assert pod["spec"]["nodeName"] in condition["message"]

    def told() -> bool:
        events = open_world.all("events", NAMESPACE)
        return any(event["reason"] == "EgressReachable" and event["type"] == "Warning" for event in events)

    wait_for("a Warning about it", told)


def test_a_static_pod_that_runs_is_noticed(open_world: World) -> None:
    """The plugin does not ask the API server for the pod: it runs although its mirror is refused."""
    with open_world.static_pod("fr-1", {"sovereignai.io/pool": POOL, "sovereignai.io/compliant": "true"}) as name:
        open_world.wait_told(name, "runs static pod")
        assert name not in open_world.endpoints(POOL)
        assert open_world.get("pod", name, NAMESPACE) is None
