"""What the benches stand on: a control plane of their own, the chart's RBAC and kinds, operator processes, and loaders.

Controllers that would make ReplicaSets and pods are stopped (SIGSTOP) while writers are compared: they would take
the cores from both.
"""

import asyncio
import json
import os
import signal
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
from testbed import Cluster, audit, process
from testbed.chaos.operator import OPERATOR, ZERO, Process
from testbed.chaos.stage import install

IMAGE: Final = f"registry.example.eu/ai/vllm@sha256:{ZERO}"
CONCURRENCY: Final = 8
"""Requests at once, of every writer: more are slower on two cores."""
CONTROLLERS: Final = ("kube-controller-manager", "kube-scheduler", "kwok")
"""What answers to what is written."""
PATIENCE: Final = 1800.0
_START: Final = 120.0
Manifest = dict[str, Any]
T = TypeVar("T")


class NotInTimeError(Exception):
    """Something that should have happened has not."""


@dataclass
class Ground:
    """One control plane, and what runs against it."""

    cluster: Cluster
    kubeconfig: Path
    """Of the operator's service account, with the chart's rights."""
    folder: Path
    programs: list[Process] = field(default_factory=list)

    # --- processes ----------------------------------------------------------------------------------

    def program(self, module: Sequence[str] = OPERATOR, **env: str) -> Process:
        """Start the operator, or another Python program in its place; does not wait. Canaries are left out: they are counted apart."""
        identity = f"operator-{len(self.programs)}"
        log = self.folder / f"{identity}.log"
        program = Process.start(
            self.kubeconfig, identity, log, module=module, SOVEREIGN_CANARY_SERVICE_ACCOUNT="", **env
        )
        self.programs.append(program)
        return program

    def leading(self, **env: str) -> Process:
        """An operator that leads and has nothing left to do."""
        program = self.program(**env)
        wait("the operator to lead", lambda: _leads(program), _START)
        self.settle(program)
        return program

    def settle(self, program: Process, quiet: float = 1.0) -> None:
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
    def everything_granted(self, namespace: str = sync.NAMESPACE, account: str = sync.RELEASE) -> Iterator[None]:
        """Let a service account, the operator's by default, do anything meanwhile."""
        group = "rbac.authorization.k8s.io"
        name = f"bench-{namespace}-{account}"
        binding = {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "namespace": namespace, "name": account}],
        }
        self.cluster.kubectl("create", "-f", "-", input=json.dumps(binding))
        try:
            yield
        finally:
            self.cluster.kubectl("delete", "clusterrolebinding", name)

    @contextmanager
    def stopped(self, *services: str) -> Iterator[None]:
        """Controllers that stand still meanwhile."""
        self._signal(services, signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(services, signal.SIGCONT)

    @contextmanager
    def resumed(self, *services: str) -> Iterator[None]:
        """Controllers that were `stopped`, and work meanwhile."""
        self._signal(services, signal.SIGCONT)
        try:
            yield
        finally:
            self._signal(services, signal.SIGSTOP)

    def _signal(self, services: Sequence[str], number: int) -> None:
        for service in services:
            os.kill(self.pid(service), number)

    # --- requests -----------------------------------------------------------------------------------

    def position(self) -> int:
        """Now, in the audit log."""
        assert self.cluster.audit_log is not None
        return audit.position(self.cluster.audit_log)

    def requests(self, since: int, agent: str | tuple[str, ...]) -> list[audit.Request]:
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
            kubeconfig = install(cluster, Path(folder))
            made = Ground(cluster, kubeconfig, Path(folder))
            try:
                yield made
            finally:
                for program in made.programs:
                    program.stop(signal.SIGKILL)
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


def _leads(program: Process) -> bool:
    if not program.runs:
        raise NotInTimeError(f"the operator ended before it led: {program.log.read_text()[-2000:]}")
    return program.leads


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
        self._before = {name: proc.cpu(pid) for name, pid in pids.items()}

    def so_far(self) -> dict[str, float]:
        """Seconds by name."""
        return {name: proc.cpu(pid) - self._before[name] for name, pid in self._pids.items()}
