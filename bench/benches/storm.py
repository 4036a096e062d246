"""apply-storm: many models with pools at once; ours against the bare writer of the same requests, and a stock kopf operator.

Time runs from the first creation to the last status. A turn is bare, arm, bare, each in a namespace of its own; the controllers that
would make ReplicaSets stand still.
"""

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, Final

import orjson

from bench import objects
from bench.arms import bodies
from bench.arms.stock import READY
from bench.ground import CONCURRENCY, Ground, Manifest, Usage, many, wait
from bench.results import Result
from bench.stats import Pair, paired, result
from bench.suite import Work
from sovereign.api.meta import FIELD_MANAGER
from sovereign.cluster.client import APPLY, MERGE, Client
from sovereign.cluster.resources import BY_KIND
from testbed.chaos.operator import Process
from testbed.objects import shared_claim

MODELS: Final = BY_KIND["SovereignModel"]
POOLS: Final = BY_KIND["InferencePool"]
_QUIET: Final = ("kube-controller-manager", "kube-scheduler", "kwok")
_WRITES: Final = len(objects.CHILDREN) + 2


class Storm:
    """Turns of one size on one ground."""

    def __init__(self, ground: Ground, size: int) -> None:
        self.ground = ground
        self.size = size
        self._places = count(1)
        self._examples: tuple[Manifest, Manifest] | None = None
        self.cpu: list[dict[str, float]] = []
        self.requests: Counter[tuple[str, str]] = Counter()
        self.first_child: list[float] = []

    def prepare(self) -> None:
        """Learn from one pool what the operator writes into statuses."""
        place = self._place()
        program = self.ground.leading()
        self.ground.run(lambda client: _load(client, place, 1, None))
        wait("the first pool", lambda: self._example(place))
        program.stop()

    def _example(self, place: str) -> bool:
        async def read(client: Client) -> tuple[Manifest, Manifest]:
            return await client.get(MODELS.path(place, "m0")), await client.get(POOLS.path(place, "m0"))

        model, pool = self.ground.run(read)
        if _ready(pool) and model.get("status"):
            self._examples = model, pool
        return self._examples is not None

    def _place(self) -> str:
        place = f"storm-{self.size}-{next(self._places)}"

        async def make(client: Client) -> None:
            await client.create("/api/v1/namespaces", objects.namespace(place))
            for one in shared_claim(place):
                where = "/api/v1/persistentvolumes" if one["kind"] == "PersistentVolume" else None
                await client.create(where or f"/api/v1/namespaces/{place}/persistentvolumeclaims", one)

        self.ground.run(make)
        path = f"/api/v1/namespaces/{place}/persistentvolumeclaims/weights"

        async def bound(client: Client) -> bool:
            claim = await client.get(path)
            return bool(claim.get("status", {}).get("phase") == "Bound")

        wait("the claim to be bound", lambda: self.ground.run(bound))
        return place

    # --- arms ---------------------------------------------------------------------------------------

    def bare(self) -> float:
        """Seconds of the bare writer."""
        place = self._place()
        argv = [sys.executable, "-m", "bench.arms.bare", str(self.ground.kubeconfig)]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
            assert writer.stdin is not None
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            with self.ground.stopped(*_QUIET):
                started = time.monotonic()
                self.ground.run(lambda client: _load(client, place, self.size, self._teller(place, writer.stdin)))
                writer.stdin.close()
                if writer.stdout.readline() != b"done\n":
                    raise RuntimeError("the bare writer failed")
                return time.monotonic() - started

    def _teller(self, place: str, pipe: Any) -> Callable[[Manifest, Manifest], None]:
        assert self._examples is not None
        model_example, pool_example = self._examples

        def tell(model: Manifest, pool: Manifest) -> None:
            name = pool["metadata"]["name"]
            force = {"fieldManager": FIELD_MANAGER}
            requests: list[Any] = [
                [BY_KIND[child["kind"]].path(place, child["metadata"]["name"]), child, APPLY, force]
                for child in bodies.children(place, name, pool["metadata"]["uid"])
            ]
            requests.insert(0, [MODELS.path(place, name, "status"), bodies.status(model_example, name), MERGE, None])
            requests.append([POOLS.path(place, name, "status"), bodies.status(pool_example, name), MERGE, None])
            pipe.write(orjson.dumps({"requests": requests}) + b"\n")
            pipe.flush()

        return tell

    def ours(self) -> float:
        """Seconds of our operator; its CPU, requests and first children are kept."""
        place = self._place()
        program = self.ground.leading()
        try:
            usage = Usage(
                operator=program.popen.pid, apiserver=self.ground.pid("kube-apiserver"), etcd=self.ground.pid("etcd")
            )
            since = self.ground.position()
            with self.ground.stopped(*_QUIET):
                seconds = self._timed(place, self.size)
            self.ground.settle(program)
            self.cpu.append(usage.so_far())
            self.requests.update(
                (one.verb, one.resource) for one in self.ground.requests(since, "sovereign-operator") if one.writes
            )
        finally:
            program.stop()
        return seconds

    def stock(self) -> float:
        """Seconds of a stock kopf operator."""
        place = self._place()
        program = self.ground.program(["bench.arms.stock"])
        try:
            wait("the stock operator", lambda: _started(program))
            with self.ground.stopped(*_QUIET):
                return self._timed(place, self.size)
        finally:
            program.stop()

    def _timed(self, place: str, size: int) -> float:
        """Seconds from the first creation until every pool has a status that says it is ready."""

        async def work(client: Client) -> float:
            started = time.monotonic()
            seen = asyncio.create_task(_all_ready(client, place, size))
            await _load(client, place, size, None)
            await seen
            return time.monotonic() - started

        return self.ground.run(work)


async def _load(client: Client, place: str, size: int, tell: Callable[[Manifest, Manifest], None] | None) -> None:
    async def one(number: int) -> None:
        name = f"m{number}"
        model = await client.create(MODELS.path(place), objects.model(place, name))
        pool = await client.create(POOLS.path(place), objects.pool(place, name))
        if tell is not None:
            tell(model, pool)

    await many((one(number) for number in range(size)), CONCURRENCY)


async def _all_ready(client: Client, place: str, size: int) -> None:
    ready: set[str] = set()
    async for event in client.watch(POOLS.path(place), {"resourceVersion": "0", "timeoutSeconds": "3600"}):
        if _ready(event["object"]):
            ready.add(event["object"]["metadata"]["name"])
            if len(ready) == size:
                return


def _ready(pool: Manifest) -> bool:
    status = pool.get("status") or {}
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in status.get("conditions") or ())


def _started(program: Process) -> bool:
    if not program.runs:
        raise RuntimeError(program.log.read_text()[-2000:])
    return READY in program.log.read_text()


def run(ground: Ground, work: Work) -> Iterator[Result]:
    """The storm of so many models."""
    size, pairs = work.size, work.turns
    storm = Storm(ground, size)
    storm.prepare()
    ours, discarded = paired(lambda: Pair(storm.bare(), storm.ours(), storm.bare()), pairs, 2 * pairs, work.tolerance)
    ratios = [pair.bare / pair.arm for pair in ours]
    yield result("storm.over_bare", ratios, "ratio", size, discarded=discarded)
    yield result("storm.objects_per_second", [_WRITES * size / pair.arm for pair in ours], "1/s", size)
    yield result("storm.cpu_per_model", [1000 * one["operator"] / size for one in storm.cpu], "ms", size)
    shares = [100 * one["operator"] / one["apiserver"] for one in storm.cpu]
    yield result("storm.cpu_over_apiserver", shares, "%", size)
    turns = len(storm.cpu)
    yield result("requests.create", [sum(storm.requests.values()) / turns / size], "requests", size)
    ground.grant_everything()
    stock, discarded = paired(lambda: Pair(storm.bare(), storm.stock(), storm.bare()), pairs, 2 * pairs, work.tolerance)
    mine = [pair.bare / pair.arm for pair in stock]
    over = [one / (sum(mine) / len(mine)) for one in ratios] if mine else []
    yield result("storm.over_stock", over, "ratio", size, discarded=discarded)
