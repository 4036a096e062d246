"""What the benches stand on: a control plane of their own, the chart's RBAC and kinds, operator processes, and loaders.

Controllers that would make ReplicaSets and pods are stopped (SIGSTOP) while writers are compared: they would take
the cores from both.
"""

import asyncio
import http.client
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from bench import proc
from charts import sync
from sovereign.cluster.client import Client
from sovereign.cluster.connection import from_kubeconfig
from testbed import Cluster, audit, ports, process
from testbed.helm import Helm

ZERO: Final = "0" * 64
IMAGE: Final = f"registry.example.eu/ai/vllm@sha256:{ZERO}"
CONCURRENCY: Final = 8
"""Requests at once, of every writer: more are slower on two cores."""
PATIENCE: Final = 1800.0
Manifest = dict[str, Any]
T = TypeVar("T")


class NotInTimeError(Exception):
    """Something that should have happened has not."""


@dataclass
class Program:
    """A running process with metrics: an operator, ours or another."""

    popen: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.popen.pid

    def get(self, path: str) -> str:
        """What one of its endpoints answers; nothing while it does not."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException):
            return ""
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        lines = [line for line in self.get("/metrics").splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def leads(self) -> bool:
        """Whether it is the leader."""
        return self.metric("leader_election_master_status") == 1

    def end(self, number: int = signal.SIGTERM) -> None:
        """Send a signal and wait for the end."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        self.popen.wait(60)


@dataclass
class Ground:
    """One control plane, and what runs against it."""

    cluster: Cluster
    kubeconfig: Path
    """Of the operator's service account, with the chart's rights."""
    folder: Path
    programs: list[Program] = field(default_factory=list)

    # --- processes ----------------------------------------------------------------------------------

    def operator(self, **env: str) -> Program:
        """Start an operator; does not wait."""
        return self.program([sys.executable, "-m", "sovereign.main", "run"], self.kubeconfig, **env)

    def program(self, argv: Sequence[str | Path], kubeconfig: Path, **env: str) -> Program:
        """Start a program that reads ``KUBECONFIG`` and serves metrics on ``SOVEREIGN_LISTEN``."""
        (port,) = ports.choose(1, ())
        log = self.folder / f"program-{len(self.programs)}.log"
        environment = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "SOVEREIGN_NAMESPACE": sync.NAMESPACE,
            "SOVEREIGN_POD_NAME": f"bench-{len(self.programs)}",
            "SOVEREIGN_IMPORTER_IMAGE": f"registry.example.eu/ai/sovereign-operator@sha256:{ZERO}",
            "SOVEREIGN_LISTEN": f"127.0.0.1:{port}",
            **env,
        }
        with log.open("wb") as output:
            popen = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=output)
        program = Program(popen, port, log)
        self.programs.append(program)
        return program

    def leading(self, **env: str) -> Program:
        """An operator that leads and has nothing left to do."""
        program = self.operator(**env)
        wait("the operator to lead", program.leads)
        self.settle(program)
        return program

    def settle(self, program: Program, quiet: float = 1.0) -> None:
        """Wait until an operator has had nothing to do for ``quiet`` seconds."""
        since = time.monotonic()
        last = -1.0

        def check() -> bool:
            nonlocal since, last
            done = program.metric("controller_runtime_reconcile_total")
            if program.metric("workqueue_depth") != 0 or done != last:
                since, last = time.monotonic(), done
            return time.monotonic() - since >= quiet

        wait("the operator to settle", check)

    def pid(self, service: str) -> int:
        """The process of a part of the control plane: kube-apiserver, etcd, ..."""
        (found,) = [one for one in self.cluster.services() if one.name == service]
        running = process.read(found.pidfile(self.cluster.dir))
        if running is None:
            raise NotInTimeError(f"{service} does not run")
        return running.pid

    @contextmanager
    def stopped(self, *services: str) -> Iterator[None]:
        """Controllers that stand still meanwhile."""
        pids = [self.pid(service) for service in services]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    # --- requests -----------------------------------------------------------------------------------

    def position(self) -> int:
        """Now, in the audit log."""
        assert self.cluster.audit_log is not None
        return audit.position(self.cluster.audit_log)

    def requests(self, since: int, agent: str) -> list[audit.Request]:
        """What a program asked the API server since then, besides watches and leases."""
        found = [one for one in self.cluster.requests(since) if one.agent.startswith(agent)]
        return [one for one in found if one.verb != "watch" and one.resource != "leases"]

    @asynccontextmanager
    async def client(self, agent: str = "bench-loader") -> AsyncIterator[Client]:
        """An administrator."""
        async with Client(from_kubeconfig(self.cluster.kubeconfig), f"{agent}/1") as client:
            yield client

    def run(self, work: Callable[[Client], Awaitable[T]], agent: str = "bench-loader") -> T:
        """Do ``work`` as an administrator."""

        async def inside() -> T:
            async with self.client(agent) as client:
                return await work(client)

        return asyncio.run(inside())


@contextmanager
def ground(name: str, **options: Any) -> Iterator[Ground]:
    """A control plane with the chart installed, and no operator; taken down at the end."""
    cluster = Cluster.up(f"{name}-{os.getpid()}", provider="binaries", **options)
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            values = sync.CHART / "ci" / "digest-values.yaml"
            helm = Helm(Path(folder), cluster.kubeconfig)
            place = [f"--namespace={sync.NAMESPACE}", "--create-namespace", "--wait"]
            helm("install", sync.RELEASE, sync.CHART, *place, "--values", values, "--set=replicas=0")
            kubeconfig = cluster.service_account_kubeconfig(sync.NAMESPACE, sync.RELEASE)
            made = Ground(cluster, kubeconfig, Path(folder))
            try:
                yield made
            finally:
                for program in made.programs:
                    program.end(signal.SIGKILL)
    finally:
        cluster.down()


def wait(what: str, check: Callable[[], Any], patience: float = PATIENCE, pause: float = 0.05) -> None:
    """Poll until ``check`` returns something true.

    Raises:
        NotInTimeError: it never does.
    """
    deadline = time.monotonic() + patience
    while not check():
        if time.monotonic() > deadline:
            raise NotInTimeError(f"waited {patience:.0f} s for {what}")
        time.sleep(pause)


async def many(work: Iterable[Awaitable[Any]], at_once: int = CONCURRENCY) -> None:
    """Await all of ``work``, so many at once."""
    limit = asyncio.Semaphore(at_once)

    async def one(task: Awaitable[Any]) -> None:
        async with limit:
            await task

    await asyncio.gather(*(one(task) for task in work))


class Usage:
    """CPU seconds of several processes between two moments."""

    def __init__(self, **pids: int) -> None:
        self._pids = pids
        self._before = {name: proc.fine_cpu(pid) for name, pid in pids.items()}

    def so_far(self) -> dict[str, float]:
        """Seconds by name."""
        return {name: proc.fine_cpu(pid) - self._before[name] for name, pid in self._pids.items()}
