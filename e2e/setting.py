"""Where the end-to-end tests run: the test bed's real nodes, or a cluster that is there already."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from charts import sync
from e2e import manifests, own
from e2e.world import CALLERS, MODEL, NAMESPACE, POLICY, RELEASE, STRANGERS, SYSTEM, TIER, Images, Source, World
from testbed import Cluster
from testbed.cluster import down
from testbed.nodes import outside, storage
from testbed.story import chart, weights
from testbed.story.chart import place

NAME = "e2e"
NODES = "fr:2,de:1,us:1"
NEWER = "0.1.1"
"""The version that the operator is upgraded to: the same program with another label."""


def bring_up(home: Path, name: str = NAME, nodes: str = NODES, plugin: str = "calico") -> Iterator[World]:
    """A cluster of the test bed; taken down at the end unless E2E_KEEP is set."""
    try:
        cluster = Cluster.up(name, provider="binaries", fake_nodes=False, nodes=nodes, plugin=plugin)
        cluster.refill()  # of one that was kept, the volumes are used up
        yield _world(cluster, home)
    finally:
        if not os.environ.get("E2E_KEEP"):
            down(name)


def _world(cluster: Cluster, home: Path) -> World:
    fleet = cluster.fleet
    images = Images(
        operator=fleet.push("operator", "ai/sovereign-operator"),
        newer=fleet.push("operator", "ai/sovereign-operator", version=NEWER),
        engine=fleet.push("engine", "ai/llama-cpp"),
        client=fleet.push("client", "ai/client"),
    )
    weights.fill(fleet, MODEL)
    source = Source(
        f"https://{outside.S3_ADDRESS}:{outside.S3_PORT}",
        fleet.outside.authority.read_bytes(),
        outside.ACCESS_KEY,
        outside.SECRET_KEY,
        f"{outside.S3_ADDRESS}/32",
        outside.S3_PORT,
    )
    classes = [storage.class_name(region) for region in ("fr-par", "de-fra")]
    world = World(cluster, home, images, source, classes)
    install(world, images.operator)
    return world


def govern(world: World) -> None:
    """Namespaces, the policy in force, and a caller in a namespace that may call and in one that may not."""
    world.namespace(NAMESPACE, **TIER, **{"pod-security.kubernetes.io/enforce": "restricted"})
    world.namespace(CALLERS, calls="models")
    world.namespace(STRANGERS)
    world.apply(manifests.policy(world), manifests.reader(world))
    world.apply(*(manifests.client(world, "caller", namespace) for namespace in (CALLERS, STRANGERS)))
    world.wait_condition("sovpol", POLICY, "", "Enforced", "True")
    for namespace in (CALLERS, STRANGERS):
        world.wait_pod("caller", namespace)


def install(world: World, image: str, *more: str) -> str:
    """Install or upgrade the operator with helm, and wait for its pods; what helm says."""
    return world.helm("upgrade", "--install", RELEASE, sync.CHART, *place(), *values(world, image), *more)


def values(world: World, image: str) -> Sequence[str]:
    """The chart's values for this cluster."""
    (api,) = world.all("endpointslices", "default", chart.API)
    return (*chart.values(image, api), "--set=networkProbe.interval=20s")


def own_cluster(home: Path, kubeconfig: Path) -> Iterator[World]:
    """A cluster that is there already; nothing of the tests is left in it."""
    cluster = own.attach(kubeconfig)
    with own.removed(cluster.cluster, SYSTEM, NAMESPACE, CALLERS, STRANGERS), own.vouched(cluster.cluster):
        images = own.build(cluster, NEWER)
        world = World(cluster.cluster, home, images, own.source(cluster, home), [own.storage_class(cluster.cluster)])
        install(world, images.operator)
        yield world
        world.helm("uninstall", RELEASE, f"--namespace={SYSTEM}", "--wait", "--ignore-not-found")
