"""Another operator: its own program and kinds on the same API server, and objects of its own from a template.

It runs as a service account that may do anything, so its requests are those of its user, whatever it calls itself.
"""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

import yaml

from bench import places, proc
from bench.ground import CONTROLLERS, Ground, Usage, many, wait
from bench.results import Result
from bench.stats import Arm, over, result
from sovereign.cluster.client import ApiError, Client
from sovereign.cluster.resources import NAMESPACES, Resource
from testbed import audit

CHILD: Final = "apps/v1/deployments"
_PLACE: Final = "bench-peer"
_ACCOUNT: Final = "peer"
_USER: Final = f"system:serviceaccount:{_PLACE}:{_ACCOUNT}"


@dataclass(frozen=True)
class Peer:
    """An operator to compare with."""

    name: str
    binary: Path
    """Its manager, as one process."""
    crds: Path
    """A file or folder of its CustomResourceDefinitions."""
    template: Path
    """One custom resource, with ``{{name}}`` and ``{{namespace}}``."""
    until: str = CHILD
    """When an object counts as done: a child of this kind has it as its owner; or, without slashes, a condition of its own is true."""
    arguments: str = "--kubeconfig={kubeconfig}"
    """Separated by spaces. KUBECONFIG is in the environment, too."""

    def command(self, kubeconfig: Path) -> list[str]:
        """How it is started."""
        return [str(self.binary.resolve()), *self.arguments.format(kubeconfig=kubeconfig).split()]

    def manifest(self, name: str, namespace: str) -> dict[str, Any]:
        """One custom resource."""
        text = self.template.read_text().replace("{{name}}", name).replace("{{namespace}}", namespace)
        found: dict[str, Any] = yaml.safe_load(text)
        found["metadata"] |= {"name": name, "namespace": namespace}
        return found

    @property
    def child(self) -> Resource | None:
        """The kind of the child that is waited for; None when it is a condition."""
        version, _, plural = self.until.rpartition("/")
        return Resource(version, "", plural) if version else None


def owner(kind: str) -> places.Seen:
    """What names the owner of this kind that an object has."""

    def seen(manifest: dict[str, Any]) -> str:
        owners = manifest["metadata"].get("ownerReferences") or ()
        return next((str(one["name"]) for one in owners if one["kind"] == kind), "")

    return seen


@dataclass(frozen=True)
class _Program:
    popen: subprocess.Popen[bytes]

    @property
    def runs(self) -> bool:
        return self.popen.poll() is None


class PeerArm:
    """A peer on a ground; its kinds are installed, and its rights given, as long as this is entered."""

    def __init__(self, ground: Ground, peer: Peer, size: int) -> None:
        self.ground = ground
        self.peer = peer
        self.size = size
        self.requests: list[float] = []
        """For each object."""
        self.cpu: list[float] = []
        """Seconds for each object."""
        self._stack = ExitStack()
        self._places = count(1)

    def __enter__(self) -> "PeerArm":
        kubectl = self.ground.cluster.kubectl
        with self._stack as stack:
            kubectl("create", "namespace", _PLACE)
            stack.callback(kubectl, "delete", "namespace", _PLACE, "--wait=false")
            kubectl("create", "serviceaccount", _ACCOUNT, "-n", _PLACE)
            stack.enter_context(self.ground.everything_granted(_PLACE, _ACCOUNT))
            kubectl("apply", "--server-side", "-f", str(self.peer.crds))
            stack.callback(kubectl, "delete", "-f", str(self.peer.crds), "--wait=false")
            kubectl("wait", "--for=condition=Established", "-f", str(self.peer.crds))
            self._resource = self.ground.run(self._discovered)
            self._kubeconfig = self.ground.cluster.service_account_kubeconfig(_PLACE, _ACCOUNT)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    async def _discovered(self, client: Client) -> Resource:
        example = self.peer.manifest("x", "x")
        version, kind = example["apiVersion"], example["kind"]
        served = await client.get(f"/apis/{version}")
        plural = next(one["name"] for one in served["resources"] if one["kind"] == kind and "/" not in one["name"])
        resource = Resource(version, kind, plural)
        await client.get(resource.path(), {"resourceVersion": "0"})  # asked again until the API server has its cache
        return resource

    def results(self, found: Arm, ours: Arm) -> Iterator[Result]:
        """What is to be said of it, beside our own storm."""
        note = f"{self.peer.name}, until {self.peer.until}"
        yield result("storm.peer_requests", self.requests, "requests", self.size, note=note)
        yield result("storm.peer_cpu", [1000 * one for one in self.cpu], "ms", self.size, note=note)
        yield result("storm.over_peer", over(found, ours), "ratio", self.size, discarded=found.discarded, note=note)

    def seconds(self) -> float:
        """From the first creation until every object is done; what it made is gone at the end."""
        place = f"{_PLACE}-{next(self._places)}"
        with ExitStack() as stack:
            if self.peer.child is None:  # a condition may wait for what controllers do
                stack.enter_context(self.ground.resumed(*CONTROLLERS))
            self.ground.cluster.kubectl("create", "namespace", place)
            program = stack.enter_context(self._running())
            usage, since = Usage(program=program.popen.pid), self.ground.position()
            seconds = self.ground.run(lambda client: self._timed(client, place, program))
            wait(f"{self.peer.name} to rest", lambda: proc.rests(program.popen.pid), pause=0)
            self.cpu.append(usage.so_far()["program"] / self.size)
            self.requests.append(len(self._asked(since)) / self.size)
            self._remove(place)
        return seconds

    def _asked(self, since: int) -> list[audit.Request]:
        found = [one for one in self.ground.cluster.requests(since) if one.user == _USER]
        return [one for one in found if one.verb != "watch" and one.resource not in ("leases", "events")]

    @contextmanager
    def _running(self) -> Iterator["_Program"]:
        since = self.ground.position()
        log = self.ground.folder / f"{self.peer.name}.log"
        environment = os.environ | {"KUBECONFIG": str(self._kubeconfig)}
        with log.open("ab") as output:
            process = subprocess.Popen(
                self.peer.command(self._kubeconfig), env=environment, stdout=output, stderr=output
            )

        def watches() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"{self.peer.name} ended: {log.read_text()[-2000:]}")
            requests = self.ground.cluster.requests(since)
            return any(
                one.user == _USER and one.verb == "watch" and one.resource == self._resource.plural for one in requests
            )

        try:
            wait(f"{self.peer.name} to watch its objects", watches, pause=0.5)
            wait(f"{self.peer.name} to rest", lambda: proc.rests(process.pid), pause=0)
            yield _Program(process)
        finally:
            process.terminate()
            try:
                process.wait(30)
            finally:
                process.kill()

    async def _timed(self, client: Client, place: str, program: "_Program") -> float:
        child = self.peer.child
        path, seen = (
            (self._resource.path(place), places.true(self.peer.until))
            if child is None
            else (child.path(place), owner(self._resource.kind))
        )
        manifests = [self.peer.manifest(name, place) for name in places.names(self.size)]
        started = time.monotonic()
        done = asyncio.create_task(places.all_seen(client, path, seen, self.size))
        await many(client.create(self._resource.path(place), manifest) for manifest in manifests)
        await places.while_runs(program, done)
        return time.monotonic() - started

    def _remove(self, place: str) -> None:
        """While the peer runs, which may have finalizers to take off, and the controllers, which collect its children."""

        async def ask(client: Client) -> None:
            await client.delete(self._resource.path(place))
            await client.delete(NAMESPACES.path(name=place))

        async def gone(client: Client) -> bool:
            try:
                await client.get(NAMESPACES.path(name=place))
            except ApiError as error:
                return error.not_found
            return False

        with self.ground.resumed(*CONTROLLERS):
            self.ground.run(ask)
            wait("the peer's namespace to go", lambda: self.ground.run(gone), pause=0.5)
