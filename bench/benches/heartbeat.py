"""The heartbeat tax: what it costs the operator that a kubelet says that nothing has changed.

A node's status is large (fifty images, conditions, addresses), is written every few minutes on each node, and says nothing new.
An administrator's client writes such heartbeats as fast as the API server takes them. The operator's CPU in that time, less what
it uses in as long a time without them, is divided by their number.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final

from bench import objects
from bench.ground import Ground, Manifest, Usage, many, wait
from bench.proc import cpu
from bench.results import Result
from bench.stats import result
from bench.suite import Work
from sovereign.cluster.client import Client
from sovereign.cluster.resources import NODES
from testbed.chaos.operator import Process

UPDATES: Final = (300, 1000)
"""Heartbeats of one turn: at least, and at most."""
IMAGES: Final = 50
STRATEGIC: Final = "application/strategic-merge-patch+json"
_CONDITIONS: Final = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable", "Ready")
_STILL: Final = ("kube-controller-manager", "kube-scheduler", "kwok")
"""They have their own opinion on nodes without a kubelet."""
_QUIET: Final = 0.3
"""Seconds in which an operator uses next to no CPU when it has taken in all events."""
_LITTLE: Final = 0.002


def run(ground: Ground, work: Work) -> Iterator[Result]:
    """CPU and requests for each heartbeat of ``size`` nodes."""
    heart = Heart(ground, work.size)
    program = ground.leading()
    try:
        with ground.stopped(*_STILL), heart.nodes():
            ground.settle(program)
            heart.beat()  # as long as a turn takes, and the first fills caches
            turns = [heart.turn(program) for _ in range(work.turns)]
    finally:
        program.stop()
    yield result("heartbeat.cpu", [1e6 * seconds for seconds, _ in turns], "us", work.size)
    yield result("heartbeat.requests", [float(requests) for _, requests in turns], "requests", work.size)


class Heart:
    """Heartbeats of so many nodes."""

    def __init__(self, ground: Ground, size: int) -> None:
        self._ground = ground
        self._names = [f"heart-{number}" for number in range(size)]
        self._ticks = count(1)
        fewest, most = UPDATES
        self._updates = max(fewest, min(size, most))

    @contextmanager
    def nodes(self) -> Iterator[None]:
        """The nodes, as long as they are needed."""
        self._all(lambda client, name: client.create(NODES.path(), node(name)))
        try:
            yield
        finally:
            self._all(lambda client, name: client.delete(NODES.path("", name)))

    def _all(self, work: Any) -> None:
        self._ground.run(lambda client: many(work(client, name) for name in self._names))

    def turn(self, program: Process) -> tuple[float, int]:
        """CPU seconds for each heartbeat, and the requests of the operator meanwhile."""
        since = self._ground.position()
        pid = program.popen.pid
        usage = Usage(operator=pid)
        lasted = self.beat()
        _still(pid)
        busy = usage.so_far()["operator"]
        requests = len(self._ground.requests(since, "sovereign-operator"))
        usage = Usage(operator=pid)
        time.sleep(lasted)
        idle = usage.so_far()["operator"]
        return (busy - idle) / self._updates, requests

    def beat(self) -> float:
        """Write heartbeats; returns the seconds that it took.

        Raises:
            RuntimeError: the API server took some of them for no change, and no event came of them.
        """
        started = time.monotonic()
        versions: set[str] = set()

        async def one(client: Client, number: int) -> None:
            moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(self._ticks))
            beats = [{"type": kind, "lastHeartbeatTime": moment.isoformat()} for kind in _CONDITIONS]
            path = NODES.path("", self._names[number % len(self._names)], "status")
            answer = await client.patch(path, {"status": {"conditions": beats}}, kind=STRATEGIC)
            versions.add(answer["metadata"]["resourceVersion"])

        self._ground.run(lambda client: many(one(client, number) for number in range(self._updates)))
        if len(versions) != self._updates:
            raise RuntimeError(f"{len(versions)} of {self._updates} heartbeats were a change")
        return time.monotonic() - started


def node(name: str) -> Manifest:
    """A node as a kubelet reports it, 17 kB; of a country whose nodes no policy here approves."""
    manifest = objects.node(name, "US")
    labels = {f"feature.node.kubernetes.io/cpu-cpuid.F{number}": "true" for number in range(30)}
    manifest["metadata"]["labels"] |= labels
    manifest["spec"] = {"providerID": f"cloud:///{name}", "podCIDR": "10.0.0.0/24"}
    status = manifest["status"]
    status["capacity"] = status["allocatable"]
    status["conditions"] = [_condition(kind) for kind in _CONDITIONS]
    status["addresses"] = [{"type": "InternalIP", "address": "192.0.2.1"}, {"type": "Hostname", "address": name}]
    status["nodeInfo"] = {
        **dict.fromkeys(("machineID", "systemUUID", "bootID"), f"{name}-0c4f1b7e"),
        "kernelVersion": "6.12.0-amd64",
        "osImage": "Debian GNU/Linux 13 (trixie)",
        "containerRuntimeVersion": "containerd://2.1.0",
        "kubeletVersion": "v1.36.0",
        "kubeProxyVersion": "v1.36.0",
        "operatingSystem": "linux",
        "architecture": "amd64",
    }
    status["images"] = [_image(number) for number in range(IMAGES)]
    return manifest


def _condition(kind: str) -> Manifest:
    started = "2026-01-01T00:00:00Z"
    return {
        "type": kind,
        "status": str(kind == "Ready"),
        "lastHeartbeatTime": started,
        "lastTransitionTime": started,
        "reason": f"KubeletHasNo{kind}",
        "message": f"kubelet has looked at {kind} and has nothing new to say about it",
    }


def _image(number: int) -> Manifest:
    repository = f"registry.example.eu/platform/some-component-{number}"
    names = [f"{repository}@sha256:{number:064x}", f"{repository}:v1.{number}", f"{repository}:stable"]
    return {"names": names, "sizeBytes": 100_000_000 + number}


def _still(pid: int) -> None:
    """Wait until a process uses next to no CPU."""

    def check() -> bool:
        before = cpu(pid)
        time.sleep(_QUIET)
        return cpu(pid) - before < _LITTLE

    wait("the operator to have taken in all events", check)
