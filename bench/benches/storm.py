"""apply-storm: many models with pools at once; ours against bare writers of the same requests, a stock kopf operator, and a peer.

Time runs from the first creation until the loader has seen the last pool ready. Turns are bare, ours, bare, Go's bare writer, bare,
stock, bare, lean, bare; the place is empty again before each, and controllers that would answer what is written stand still all the time.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Final, NamedTuple

from bench import objects, places, proc, suite
from bench.arms import bodies, stock
from bench.arms.peer import PeerArm
from bench.arms.writer import Writer, go, python, writer
from bench.ground import CONTROLLERS, Ground, Usage, wait
from bench.places import POOLS
from bench.results import Result
from bench.stats import Arm, interleaved, over, result
from bench.suite import Work
from sovereign.cluster.client import Client
from testbed.chaos.operator import Process

WRITES: Final = len(objects.CHILDREN) + 2
"""Of one model with its pool: the children and two statuses."""
_TENTH: Final = 10
_SETTLING: Final = 10.0


class Cost(NamedTuple):
    """What one arm took."""

    seconds: float
    cpu: dict[str, float]
    """CPU seconds of the arm's ``program``, the ``apiserver`` and ``etcd``."""


class Storm:
    """Arms of one size on one ground, and what they cost."""

    def __init__(self, ground: Ground, size: int) -> None:
        self.ground = ground
        self.size = size
        self.costs: dict[str, list[Cost]] = {}
        self.slopes: list[float] = []
        """Our CPU for each model at the size, over that at a tenth of it a moment before."""
        self.stock_requests: dict[str, list[float]] = {}
        """By arm: what it sent for each model with its pool."""
        self._jobs = bodies.whole(*places.example(ground, places.make(ground, f"storm-{size}-example")))
        self._place = places.make(ground, f"storm-{size}")

    # --- arms: each leaves an empty place, and returns its seconds ----------------------------------

    def bare(self) -> float:
        """The bare writer."""
        return self._kept("bare", self._written(python(self.ground.kubeconfig)))

    def go(self) -> float:
        """The bare writer in Go."""
        return self._kept("go", self._written(go(self.ground.kubeconfig)))

    def ours(self) -> float:
        """Our operator; and before it, where a tenth of the size says anything, our operator with a tenth."""
        small = self.size // _TENTH
        tenth = self._ours(small).cpu["program"] / small if small >= _TENTH else 0.0
        cost = self._ours(self.size)
        if tenth:
            self.slopes.append(cost.cpu["program"] / self.size / tenth)
        return self._kept("ours", cost)

    def stock(self) -> float:
        """The stock kopf operator."""
        return self._stock("stock")

    def lean(self) -> float:
        """The stock kopf operator with our client."""
        return self._stock("lean", stock.LEAN)

    def _stock(self, arm: str, *options: str) -> float:
        with self._running(self.ground.program(["bench.arms.stock", self._place, *options])) as program:
            wait("the stock operator", lambda: _started(program))
            since = self.ground.position()
            cost = self._measured(self.size, program)
        sent = len(self.ground.requests(since, stock.AGENTS)) / self.size
        self.stock_requests.setdefault(arm, []).append(sent)
        return self._kept(arm, cost)

    def _kept(self, arm: str, cost: Cost) -> float:
        self.costs.setdefault(arm, []).append(cost)
        return cost.seconds

    def _written(self, command: Sequence[str]) -> Cost:
        with writer(command) as told:
            cost = self._measured(self.size, told, lambda pool: told.tell(self._jobs.about(pool)))
        self._empty()
        return cost

    def _ours(self, size: int) -> Cost:
        with self._running(self.ground.leading()) as program:
            return self._measured(size, program)

    @contextmanager
    def _running(self, program: Process) -> Iterator[Process]:
        try:
            yield program
        finally:
            program.stop()
        self._empty()

    def _measured(self, size: int, program: Process | Writer, tell: places.Tell | None = None) -> Cost:
        pid = program.popen.pid
        servers = {"apiserver": self.ground.pid("kube-apiserver"), "etcd": self.ground.pid("etcd")}
        usage = Usage(program=pid, **servers)

        async def timed(client: Client) -> float:
            started = time.monotonic()
            ready = asyncio.create_task(places.all_seen(client, POOLS.path(self._place), places.READY, size))
            await places.load(client, self._place, places.names(size), tell)
            await places.while_runs(program, ready)
            return time.monotonic() - started

        seconds = self.ground.run(timed)
        wait("the program to rest", lambda: proc.rests(pid), pause=0)
        return Cost(seconds, usage.so_far())

    def _empty(self) -> None:
        self.ground.run(lambda client: places.empty(client, self._place))
        # What the API server has still to do about it should not be the next arm's.
        pid, deadline = self.ground.pid("kube-apiserver"), time.monotonic() + _SETTLING
        while not proc.rests(pid, share=0.1) and time.monotonic() < deadline:
            pass


def _started(program: Process) -> bool:
    if not program.runs:
        raise RuntimeError(program.log.read_text()[-2000:])
    return stock.READY in program.log.read_text()


def run(ground: Ground, work: Work) -> Iterator[Result]:
    """The storm of so many models."""
    storm = Storm(ground, work.size)
    rivals: dict[str, Callable[[], float]] = {"go": storm.go, "stock": storm.stock, "lean": storm.lean}
    arms = {"ours": storm.ours} | {name: rivals[name] for name in work.rivals}
    with ExitStack() as stack:
        stack.enter_context(ground.everything_granted())
        stack.enter_context(ground.stopped(*CONTROLLERS))
        peer = stack.enter_context(PeerArm(ground, work.peer, work.size)) if work.peer else None
        if peer:
            arms["peer"] = peer.seconds
        found = interleaved(storm.bare, arms, work.turns, 3 * work.turns + 3, work.tolerance)
    yield from _costs(storm)
    yield from _speeds(storm, found)
    if peer:
        yield from peer.results(found["peer"], found["ours"])


def _costs(storm: Storm) -> Iterator[Result]:
    """CPU: of all turns, because it is steady where time is not."""
    size, ours = storm.size, [cost.cpu for cost in storm.costs["ours"]]
    yield result("storm.cpu_per_model", [1000 * one["program"] / size for one in ours], "ms", size)
    yield result("storm.cpu_over_apiserver", [100 * one["program"] / one["apiserver"] for one in ours], "%", size)
    yield result("storm.apiserver_cpu", [1000 * one["apiserver"] / size for one in ours], "ms", size)
    yield result("storm.etcd_cpu", [1000 * one["etcd"] / size for one in ours], "ms", size)
    bare = [1000 * cost.cpu["apiserver"] / size for cost in storm.costs["bare"]]
    yield result("storm.bare_apiserver_cpu", bare, "ms", size)
    for arm in storm.stock_requests:
        spent = [1000 * cost.cpu["program"] / size for cost in storm.costs[arm]]
        yield result(f"storm.{arm}_cpu", spent, "ms", size)
    if storm.slopes:
        yield result("storm.slope", storm.slopes, "ratio", size, note=f"over {size // _TENTH}")


def _speeds(storm: Storm, found: dict[str, Arm]) -> Iterator[Result]:
    size, ours = storm.size, found["ours"]
    yield result("storm.over_bare", ours.speeds, "ratio", size, discarded=ours.discarded)
    yield result("storm.objects_per_second", [WRITES * size / pair.arm for pair in ours.pairs], "1/s", size)
    notes = {
        arm: f"it sends {median(sent):.1f} requests for each model with its pool"
        for arm, sent in storm.stock_requests.items()
    }
    for name in (name for name in suite.RIVALS if name in found):
        rival, note = found[name], notes.get(name, "")
        yield result(f"storm.over_{name}", over(rival, ours), "ratio", size, discarded=rival.discarded, note=note)
