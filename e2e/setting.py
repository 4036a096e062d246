"""Where the end-to-end tests run: the test bed's real nodes, or a cluster that is there already."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from charts import sync
from e2e.world import MODEL, RELEASE, Images, Source, World
from testbed import Cluster
from testbed.nodes import outside, storage
from testbed.story import chart, weights
from testbed.story.chart import place

NAME = "e2e"
NODES = "fr:2,de:1,us:1"
NEWER = "0.1.1"
"""The version that the operator is upgraded to: the same program with another label."""


def test_bed(home: Path) -> Iterator[World]:
    """The test bed's own cluster; taken down at the end unless E2E_KEEP is set."""
    cluster = Cluster.up(NAME, provider="binaries", fake_nodes=False, nodes=NODES, plugin="calico")
    try:
        yield _world(cluster, home)
    finally:
        if not os.environ.get("E2E_KEEP"):
            cluster.down()


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


def install(world: World, image: str, *more: str) -> str:
    """Install or upgrade the operator with helm, and wait for its pods; what helm says."""
    return world.helm("upgrade", "--install", RELEASE, sync.CHART, *place(), *values(world, image), *more)


def values(world: World, image: str) -> Sequence[str]:
    """The chart's values for this cluster."""
    return chart.values(image, world.cluster.server)


def own_cluster(home: Path) -> Iterator[World]:
    raise NotImplementedError
    yield
