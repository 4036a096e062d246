"""first child: from the creation of a pool, whose model is there, to its first child, with an operator that has nothing else to do.

The bare writer is told of the pool as soon as it is created, and writes the same children at once. One pool at a time: the next one
comes when the last is ready. Blocks are bare, ours, bare; controllers stand still.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from bench import objects, places
from bench.arms import bodies
from bench.arms.writer import python, writer
from bench.ground import CONTROLLERS, Ground, Manifest
from bench.places import MODELS, POOLS
from bench.results import Result
from bench.stats import interleaved, percentile, result
from bench.suite import Work
from sovereign.api.meta import LABEL_POOL
from sovereign.cluster.client import Client
from sovereign.cluster.resources import BY_KIND

_MS: Final = 1000


class Watched:
    """When the first child of each pool was seen, and which pools are ready."""

    def __init__(self) -> None:
        self.first: dict[str, float] = {}
        self._ready: dict[str, asyncio.Event] = {}

    def ready(self, pool: str) -> asyncio.Event:
        """Set once the pool is ready."""
        return self._ready.setdefault(pool, asyncio.Event())

    async def children(self, client: Client, path: str) -> None:
        """Watch one kind of child until cancelled."""
        async for event in client.watch(path, places.WATCH | {"labelSelector": LABEL_POOL}):
            self.first.setdefault(event["object"]["metadata"]["labels"][LABEL_POOL], time.perf_counter())

    async def pools(self, client: Client, path: str) -> None:
        """Watch the pools until cancelled."""
        async for event in client.watch(path, places.WATCH):
            if name := places.READY(event["object"]):
                self.ready(name).set()


class Blocks:
    """Pools created one after the other, by one arm or the other."""

    def __init__(self, ground: Ground, size: int) -> None:
        self.ground = ground
        self.names = places.names(size)
        self.samples: dict[str, list[float]] = {"bare": [], "ours": []}
        """Milliseconds."""
        _, pool = places.example(ground, places.make(ground, f"first-{size}-example"))
        self._jobs = bodies.in_parallel(pool)
        self.place = places.make(ground, f"first-{size}")

    def models(self) -> None:
        """Create the models, which stay, with the statuses that the operator gives them."""

        async def work(client: Client) -> None:
            for name in self.names:
                await client.create(MODELS.path(self.place), objects.model(self.place, name))
            await places.all_seen(client, MODELS.path(self.place), places.READY, len(self.names))

        program = self.ground.leading()
        try:
            self.ground.run(work)
        finally:
            program.stop()

    def bare(self) -> float:
        """Median milliseconds of the bare writer."""
        with writer(python(self.ground.kubeconfig)) as told:
            milliseconds = self._block("bare", told, lambda pool: told.tell(self._jobs.about(pool)))
        self._empty()
        return milliseconds

    def ours(self) -> float:
        """Median milliseconds of our operator."""
        program = self.ground.leading()
        try:
            milliseconds = self._block("ours", program, lambda _: None)
        finally:
            program.stop()
        self._empty()
        return milliseconds

    def _empty(self) -> None:
        self.ground.run(lambda client: places.empty(client, self.place, models=False))

    def _block(self, arm: str, program: places.Runs, tell: Callable[[Manifest], None]) -> float:
        latencies = self.ground.run(lambda client: self._latencies(client, program, tell))
        self.samples[arm] += latencies
        return percentile(latencies, 0.5)

    async def _latencies(self, client: Client, program: places.Runs, tell: Callable[[Manifest], None]) -> list[float]:
        watched = Watched()
        watches = [watched.children(client, BY_KIND[kind].path(self.place)) for kind in objects.CHILDREN]
        tasks = [asyncio.create_task(one) for one in (*watches, watched.pools(client, POOLS.path(self.place)))]
        created = {}
        for name in self.names:
            pool = await client.create(POOLS.path(self.place), objects.pool(self.place, name))
            created[name] = time.perf_counter()
            tell(pool)
            await places.while_runs(program, watched.ready(name).wait())
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        return [_MS * (watched.first[name] - created[name]) for name in self.names]


def run(ground: Ground, work: Work) -> Iterator[Result]:
    """Blocks of so many pools."""
    size = work.size
    blocks = Blocks(ground, size)
    try:
        with ground.stopped(*CONTROLLERS):
            blocks.models()
            ours = interleaved(blocks.bare, {"ours": blocks.ours}, work.turns, 3 * work.turns + 3, work.tolerance)[
                "ours"
            ]
    finally:
        ground.run(lambda client: places.empty(client, blocks.place))
    for arm, samples in blocks.samples.items():
        yield result(f"first_child.{arm}_ms", samples, "ms", size, points=samples)
    ratios = [1 / speed for speed in ours.speeds]
    yield result("first_child.p50_over_bare", ratios, "ratio", size, discarded=ours.discarded)
