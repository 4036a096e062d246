"""One replica of the operator behind a proxy of its own, started again when it ends, as a kubelet does."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from testbed.chaos.clock import Clock
from testbed.chaos.operator import Process
from testbed.chaos.proxy import Proxy, Treatment

_BACK_OFF = 0.3
_LOST = "Lost the lease"


@dataclass
class Trap:
    """Waits in the proxy for requests of one sort, and treats the next few of them."""

    matches: Callable[[web.Request], bool]
    treat: Callable[[web.Request], web.Response | Treatment | None]
    left: int = 1
    skip: int = 0
    """How many of them pass first."""


@dataclass
class Traps:
    """The traps of one proxy, the oldest first. Set in one thread, sprung in another."""

    traps: list[Trap] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def set(self, trap: Trap) -> None:
        """Add one."""
        with self.lock:
            self.traps.append(trap)

    def clear(self) -> None:
        """Remove all."""
        with self.lock:
            self.traps.clear()

    def __call__(self, request: web.Request) -> web.Response | Treatment | None:
        """What becomes of a request: the first trap that it falls into decides."""
        with self.lock:
            for trap in self.traps:
                if not trap.matches(request):
                    continue
                if trap.skip:
                    trap.skip -= 1
                    continue
                trap.left -= 1
                if trap.left == 0:
                    self.traps.remove(trap)
                return trap.treat(request)
        return None


class Replica:
    """An operator that is kept running. Use its proxy as a context manager around it."""

    def __init__(self, name: str, kubeconfig: Path, folder: Path, lease_seconds: int) -> None:
        folder.mkdir()
        self.name = name
        self.proxy = Proxy(kubeconfig, folder)
        self.traps = Traps()
        self.proxy.fault = self.traps
        self.clock = Clock(folder / "clock")
        self.log = folder / "operator.log"
        self.process: Process | None = None
        self.starts = 0
        self.lost_leases = 0
        self.deaths: list[str] = []
        """Ends that nobody asked for, with the last words."""
        self._lease_seconds = lease_seconds
        self._pod = 1
        self._asked = False
        self._frozen = False

    @property
    def pid(self) -> int:
        """Of its process."""
        return self.process.popen.pid if self.process else 0

    @property
    def runs(self) -> bool:
        """Whether its process is there and can act."""
        return self.process is not None and self.process.runs and not self._frozen

    def start(self) -> None:
        """Start it; the API server's audit log tells each of its processes from all others."""
        self.starts += 1
        self._asked = self._frozen = False
        self.proxy.tag = f"{self.name}.{self.starts}"
        identity = f"{self.name}-{self._pod}"
        lease = {"SOVEREIGN_LEASE_DURATION": str(self._lease_seconds)}
        self.process = Process.start(self.proxy.kubeconfig, identity, self.log, **lease, **self.clock.environment)

    def signal(self, number: int, *, new_pod: bool = False) -> None:
        """Send a signal to its process; with `new_pod`, the next one has another name, and so another identity."""
        if self.process is None or not self.process.runs:
            return
        self._asked = self._asked or number in (signal.SIGKILL, signal.SIGTERM)
        self._frozen = number == signal.SIGSTOP or (self._frozen and number != signal.SIGCONT)
        self._pod += new_pod
        os.kill(self.pid, number)

    async def tend(self) -> None:
        """Start it again whenever it has ended, until cancelled."""
        while True:
            await asyncio.sleep(0.1)
            if self.process is not None and not self.process.runs:
                self._account(self.process)
                await asyncio.sleep(_BACK_OFF)
                self.start()

    async def leads(self) -> bool:
        """Whether it says that it is the leader."""
        return self.runs and self.process is not None and await asyncio.to_thread(lambda p: p.leads, self.process)

    def stop(self) -> None:
        """End it for good."""
        if self.process is not None and self.process.runs:
            self.signal(signal.SIGKILL)
            self.process.popen.wait(30)

    def last_words(self, lines: int = 12) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def _account(self, process: Process) -> None:
        words = self.last_words(60)
        if self._asked:
            return
        if process.popen.returncode == 1 and _LOST in words:
            self.lost_leases += 1
        else:
            self.deaths.append(
                f"{self.proxy.tag} ended with {process.popen.returncode}; its log ends with {words[-1500:]}"
            )
