"""A run: batch after batch of faults over the workload, and after each all that has to hold."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp

from sovereign.cli.failure import CommandFailed
from sovereign.cluster.client import ApiError, Client
from sovereign.cluster.connection import from_kubeconfig
from sovereign.cluster.resources import MUTATING
from testbed import Cluster
from testbed.chaos import invariants, schedule, workload
from testbed.chaos.faults import Injector
from testbed.chaos.hands import Hands
from testbed.chaos.leadership import Leadership, writes
from testbed.chaos.monitor import Served, leaks, sample
from testbed.chaos.operator import IMPORTER
from testbed.chaos.replica import Replica
from testbed.chaos.report import Report
from testbed.chaos.stage import Stage, install

LEASE: Final = 5
"""Seconds: a third of what operators have, so that more failovers fit into a run."""
BATCH: Final = 25
PATIENCE: Final = 90.0
"""Seconds in which the end state has to be there after the last fault of a batch."""
SERVED: Final = 45.0
"""Seconds that an unlawful pod may be served: the faults of a batch, a failover, and the repair."""
_QUIET: Final = 5
_UNREACHABLE: Final = (ApiError, CommandFailed, aiohttp.ClientError, OSError, TimeoutError)
Say = Callable[[str], None]


class Timed(Protocol):
    """What begins at a time of its batch."""

    @property
    def at(self) -> float:
        """Seconds after the batch began."""


async def run(cluster: Cluster, folder: Path, seed: int, faults: int, say: Say) -> Report:
    """Run on a cluster that is up and has no operator yet; the report says whether everything held."""
    kubeconfig = install(cluster, folder / "helm")
    report, started = Report(seed), time.monotonic()
    with contextlib.ExitStack() as stack:
        replicas = tuple(_replicas(stack, kubeconfig, folder))
        async with Client(from_kubeconfig(cluster.kubeconfig), "chaos") as client:
            stage = Stage(cluster, client, (replicas[0], replicas[1]))
            served = Served(client)
            background = [asyncio.create_task(replica.tend()) for replica in replicas]
            background.append(asyncio.create_task(served.watch()))
            try:
                await Run(stage, report, served, say).play(seed, faults)
            finally:
                for task in background:
                    task.cancel()
                await asyncio.gather(*background, return_exceptions=True)
    report.seconds = time.monotonic() - started
    return report


def _replicas(stack: contextlib.ExitStack, kubeconfig: Path, folder: Path) -> Iterator[Replica]:
    for name in ("one", "two"):
        replica = Replica(name, kubeconfig, folder / name, LEASE)
        stack.enter_context(replica.proxy)
        stack.callback(replica.stop)
        replica.start()
        yield replica


class Run:
    """The batches of one run."""

    def __init__(self, stage: Stage, report: Report, served: Served, say: Say) -> None:
        self._stage = stage
        self._report = report
        self._served = served
        self._say = say
        self._hands = Hands(stage.client)
        self._injector = Injector(stage)
        self._leadership = Leadership()
        self._logged = 0

    async def play(self, seed: int, faults: int) -> None:
        """Set the workload up, then all batches; stops after a batch in which something did not hold."""
        for operation in workload.first():
            await self._hands.carry_out(operation)
        await self._settle()
        operations = workload.batches(seed)
        for batch in schedule.batches(seed, faults, BATCH):
            if self._report.failures:
                break
            await self._batch(batch, next(operations))
        self._account()

    async def _batch(self, faults: list[schedule.Fault], operations: list[workload.Operation]) -> None:
        started = time.monotonic()
        self._report.batches += 1
        self._report.faults.update(fault.kind.value for fault in faults)
        busy = [self._timed(faults, self._injector.begin), self._timed(operations, self._hands.carry_out)]
        doing = asyncio.gather(*busy)
        await busy[0]
        await self._injector.heal()
        try:
            async with asyncio.timeout(PATIENCE):
                await doing
        except TimeoutError:
            self._report.failures.append(f"operations do not come to an end: {', '.join(sorted(self._hands.pending))}")
        await self._settle()
        seconds = time.monotonic() - started
        self._say(
            f"{self._report.injected} faults, batch {self._report.batches}: {seconds:.1f} s, "
            f"quiet {self._report.convergences[-1]:.1f} s after the last fault"
        )

    def _timed(self, things: Iterable[Timed], act: Callable[[Any], Awaitable[None]]) -> "asyncio.Task[None]":
        """Begin each at its time; done when all are."""
        started = time.monotonic()

        async def one(thing: Timed) -> None:
            await asyncio.sleep(started + thing.at - time.monotonic())
            await act(thing)

        async def all_of_them() -> None:
            await asyncio.gather(*(one(thing) for thing in things))

        return asyncio.create_task(all_of_them())

    async def _settle(self) -> None:
        """Wait for the end state and for quiet, and note what does not come."""
        started = time.monotonic()
        wrong = await self._converged(started + PATIENCE)
        self._report.convergences.append(time.monotonic() - started)
        self._report.failures += wrong
        self._report.samples += [
            await asyncio.to_thread(sample, replica) for replica in self._stage.replicas if replica.runs
        ]
        self._report.failures += leaks(self._report.samples)
        self._report.failures += self._watched()

    async def _converged(self, deadline: float) -> list[str]:
        """What is still wrong at the deadline; nothing as soon as all is right and stays so."""
        wrong = ["nothing could be read"]
        while time.monotonic() < deadline:
            with contextlib.suppress(*_UNREACHABLE):
                wrong = await self._wrong()
                if not wrong and await self._quiet() and not (wrong := await self._wrong()):
                    return []
            await asyncio.sleep(0.3)
        return wrong or ["the operators do not come to rest"]

    async def _wrong(self) -> list[str]:
        client = self._stage.client
        served = await client.get("/apis/admissionregistration.k8s.io/v1")
        mutating = {resource["kind"] for resource in served["resources"]}.issuperset(MUTATING)
        world = await invariants.look(client, invariants.settings(IMPORTER, mutating=mutating))
        return invariants.violations(world)

    async def _quiet(self) -> bool:
        """Whether one replica leads, the other is ready, and nothing is done for a while."""
        last = None
        for _ in range(_QUIET):
            now = await asyncio.gather(*(asyncio.to_thread(_state, replica) for replica in self._stage.replicas))
            if sorted(leads for leads, *_ in now) != [0, 1] or any(depth for _, depth, _, _ in now):
                return False
            if not all(ready for *_, ready in now) or last not in (None, now):
                return False
            last = now
            await asyncio.sleep(0.15)
        return True

    def _watched(self) -> Iterator[str]:
        """What the audit log, the monitor and the processes' ends say."""
        log = self._stage.cluster.audit_log
        assert log is not None
        tags = [f"{replica.name}." for replica in self._stage.replicas]
        found, self._logged = writes(log, self._logged, tags)
        yield from self._leadership.follow(found)
        if self._served.longest > SERVED:
            yield f"unlawful and served for {self._served.longest:.0f} s: {self._served.which}"
        for replica in self._stage.replicas:
            while replica.deaths:
                yield replica.deaths.pop(0)

    def _account(self) -> None:
        report, replicas = self._report, self._stage.replicas
        report.operations, report.refused = self._hands.done, self._hands.refused
        report.starts = sum(replica.starts for replica in replicas)
        report.lost_leases = sum(replica.lost_leases for replica in replicas)
        report.expired = sum(replica.proxy.expired for replica in replicas)
        report.torn = sum(replica.proxy.torn for replica in replicas)
        report.leaders, report.writes = self._leadership.changes, self._leadership.writes
        report.unlawful_served, report.unlawful_which = self._served.longest, self._served.which


def _state(replica: Replica) -> tuple[float, float, float, bool]:
    process = replica.process
    if process is None or not replica.runs:
        return 0, 1, 0, False
    done = process.metric("controller_runtime_reconcile_total")
    leads = process.metric("leader_election_master_status")
    return leads, process.metric("workqueue_depth") if leads else 0, done, process.get("/readyz") == "ok"
