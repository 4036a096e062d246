"""What admission is asked about: two namespaces, one of them governed, the same pod and Binding in each, and rules that come and go."""

import http.client
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import orjson

from bench import objects, proc
from bench.arms import bodies
from bench.ground import IMAGE, Ground, Manifest, wait
from bench.stats import Pair
from sovereign.api.kinds import POLICY
from sovereign.api.meta import FIELD_MANAGER, approved_label
from sovereign.cluster.client import APPLY, ApiError, Client
from sovereign.cluster.connection import from_kubeconfig
from sovereign.cluster.resources import BY_KIND
from sovereign.plan import canaries
from sovereign.plan.admission import Admission, compile_policy
from sovereign.plan.canaries import Trial
from sovereign.plan.inventory import Owner, Policy, Settings

NAME: Final = "admission"
"""Of the policy, and what the names of the namespaces begin with."""
GOVERNED: Final = f"{NAME}-governed"
FREE: Final = f"{NAME}-free"
_LABEL: Final = "bench-admission"
_WAITING: Final = "waiting"
_CONTROLLER: Final = "system:serviceaccount:kube-system:replicaset-controller"
_AS_CONTROLLER: Final = MappingProxyType({"Impersonate-User": _CONTROLLER, "Impersonate-Group": "system:authenticated"})
_SOON: Final = 60.0
"""Seconds in which the API server must have taken rules in, or have dropped them."""
_IDLE: Final = 0.1
"""The share of a core that the API server takes at most when it has nothing to do but its own rounds."""
_LOOK: Final = 0.5
"""Seconds between two looks at that."""
_EACH_TIME: Final = 10
"""Requests in one namespace before it is the other's turn."""


class Turn(NamedTuple):
    """What was seen of as many requests in either namespace, a few here and a few there."""

    wall: Pair
    """Median milliseconds of a request: in the free namespace in the first half, in the governed one, and free in the second half."""
    cpu: float
    """Milliseconds of the API server's CPU that a request costs more where it is governed."""
    bare_cpu: float
    """What one costs in the free namespace."""

    @property
    def wall_added(self) -> float:
        """Milliseconds that a request takes longer."""
        return self.wall.arm - self.wall.bare


@dataclass(frozen=True)
class Subject:
    """A request that is admitted in either namespace."""

    path: str
    """With a place for the namespace."""
    body: Manifest
    headers: Mapping[str, str] = field(default_factory=dict)

    def send(self, line: "Line", place: str) -> float:
        """Seconds of one dry run."""
        body = self.body | {"metadata": self.body["metadata"] | {"namespace": place}}
        content = orjson.dumps(body)
        started = perf_counter()
        line.post(self.path.format(place), content, self.headers)
        return perf_counter() - started


class Line:
    """One connection to the API server, which is kept: requests one after the other."""

    def __init__(self, kubeconfig: Path) -> None:
        connection = from_kubeconfig(kubeconfig)
        context: Any = connection.ssl_context()
        self._connection = http.client.HTTPSConnection(urlsplit(connection.server).netloc, context=context)

    def post(self, path: str, content: bytes, headers: Mapping[str, str]) -> None:
        """A dry run, which must be admitted.

        Raises:
            RuntimeError: it is not.
        """
        every_time = {"Content-Type": "application/json", "Accept": "application/json"}
        self._connection.request("POST", f"{path}?dryRun=All", content, every_time | dict(headers))
        response = self._connection.getresponse()
        answer = response.read()
        if response.status >= 300:
            raise RuntimeError(f"{path}: {answer[:2000].decode(errors='replace')}")

    def close(self) -> None:
        """End it."""
        self._connection.close()


class Place:
    """Two namespaces on one ground, and the policy that governs one of them."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        manifest = objects.policy(NAME, namespaceSelector={"matchLabels": {_LABEL: "yes"}})
        stored = ground.run(lambda client: _make(client, manifest))
        self.policy = Policy(Owner("SovereigntyPolicy", NAME, stored["metadata"]["uid"]), POLICY.parse(manifest))
        self._line = Line(ground.cluster.kubeconfig)
        self._apiserver = ground.pid("kube-apiserver")
        wait("the accounts of new namespaces", lambda: all(self._ready(place) for place in (GOVERNED, FREE)))
        ground.run(_fill)

    def _ready(self, place: str) -> bool:
        try:
            self.ground.run(lambda client: client.get(f"/api/v1/namespaces/{place}/serviceaccounts/default"))
        except ApiError as error:
            if not error.not_found:
                raise
            return False
        return True

    def remove(self) -> None:
        """Leave the ground as it was."""
        self._line.close()
        self.ground.run(_remove)

    def compiled(self, nodes: int) -> Admission:
        """All that is compiled from the policy when so many nodes are approved."""
        approved = [f"gpu-{number:05}.eu-west-3.compute.internal" for number in range(nodes)]
        return compile_policy(self.policy, approved, Settings())

    # --- what is asked ------------------------------------------------------------------------------

    def pod(self, *, pinned: bool = True) -> Subject:
        """The pod of a pool as the ReplicaSet's controller makes it; one that nobody ``pinned`` is changed by admission."""
        template = _template()
        spec = {
            key: value for key, value in template["spec"].items() if key not in ("serviceAccountName", "nodeSelector")
        }
        if pinned:
            spec["nodeSelector"] = {approved_label(NAME): "true"}
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u", "controller": True}
        metadata = template["metadata"] | {"name": "asked-about", "ownerReferences": [owner]}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        return Subject("/api/v1/namespaces/{}/pods", body, _AS_CONTROLLER)

    def binding(self, nodes: int) -> Subject:
        """A pod that waits is bound to the last of so many approved nodes, which no API server looks for."""
        name = f"gpu-{max(nodes - 1, 0):05}.eu-west-3.compute.internal"
        target = {"apiVersion": "v1", "kind": "Node", "name": name}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": _WAITING}, "target": target}
        return Subject(f"/api/v1/namespaces/{{}}/pods/{_WAITING}/binding", body)

    def turn(self, subject: Subject, rounds: int) -> Turn:
        """A few requests here, a few there, as many times."""
        walls: dict[str, list[float]] = {FREE: [], GOVERNED: []}
        cpu = {FREE: 0.0, GOVERNED: 0.0}
        for number in range(rounds):
            for place in (FREE, GOVERNED) if number % 2 else (GOVERNED, FREE):
                before = proc.cpu(self._apiserver)
                walls[place] += [1000 * subject.send(self._line, place) for _ in range(_EACH_TIME)]
                cpu[place] += proc.cpu(self._apiserver) - before
        middle = len(walls[FREE]) // 2
        bare, later = median(walls[FREE][:middle]), median(walls[FREE][middle:])
        each = {place: 1000 * seconds / (rounds * _EACH_TIME) for place, seconds in cpu.items()}
        return Turn(Pair(bare, median(walls[GOVERNED]), later), each[GOVERNED] - each[FREE], each[FREE])

    # --- what is in force ---------------------------------------------------------------------------

    @contextmanager
    def in_force(self, manifests: Sequence[Manifest], trials: Sequence[tuple[str, Trial]]) -> Iterator[None]:
        """These objects, until they refuse what they must; afterwards none of them, until they do not."""
        tried = [(name, canary) for name, trial in trials if (canary := trial(self._ground_of_canaries())) is not None]
        self.ground.run(lambda client: _apply(client, manifests))
        for name, canary in tried:
            wait(f"{name} to be in force", partial(self._refused, name, canary), _SOON)
        self._settle()
        try:
            yield
        finally:
            self.ground.run(lambda client: _delete(client, manifests))
            for name, canary in tried:
                wait(f"{name} to be gone", partial(self._let_through, name, canary), _SOON)

    def _settle(self) -> None:
        """Wait until the API server is done with what was written: it reads and compiles large rules."""
        seen = proc.cpu(self._apiserver)

        def idle() -> bool:
            nonlocal seen
            before, seen = seen, proc.cpu(self._apiserver)
            return seen - before < _IDLE * _LOOK

        wait("the API server to settle", idle, _SOON, _LOOK)

    @staticmethod
    def _ground_of_canaries() -> canaries.Ground:
        return canaries.Ground(f"{canaries.PREFIX}bench", GOVERNED, stranger=FREE)

    def _let_through(self, name: str, canary: canaries.Canary) -> bool:
        return not self._refused(name, canary)

    def _refused(self, name: str, canary: canaries.Canary) -> bool:
        async def send(client: Client) -> bool:
            body = None if canary.body is None else orjson.dumps(canary.body)
            params = {"dryRun": "All"} if canary.dry_run else None
            try:
                stored = await client.request(
                    canary.method, canary.path, params=params, body=body, content_type=canary.content_type
                )
            except ApiError as error:
                return f"'{name}'" in error.message
            return canary.changed is not None and canary.changed(stored)

        return self.ground.run(send)


def matching(admission: Admission, kinds: Collection[str]) -> Iterator[tuple[str, list[Manifest]]]:
    """The objects that are asked about the creation of one of ``kinds`` (plural, with subresource), each with its binding."""
    by_name: dict[str, list[Manifest]] = {}
    for one in admission.objects:
        by_name.setdefault(one["metadata"]["name"], []).append(one)
    for name, pair in by_name.items():
        rules = pair[0]["spec"]["matchConstraints"]["resourceRules"]
        if any("CREATE" in rule["operations"] and set(kinds) & set(rule["resources"]) for rule in rules):
            yield name, pair


def _template() -> Manifest:
    (deployment,) = [one for one in bodies.children(GOVERNED, "chat", "uid") if one["kind"] == "Deployment"]
    template: Manifest = deployment["spec"]["template"]
    return template


async def _make(client: Client, policy: Manifest) -> Manifest:
    for place, labels in ((GOVERNED, {_LABEL: "yes"}), (FREE, {})):
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place, "labels": labels}}
        await client.create("/api/v1/namespaces", namespace)
    return await client.create(BY_KIND["SovereigntyPolicy"].path(), policy)


async def _fill(client: Client) -> None:
    """In each namespace a pod that nobody schedules, so that it can be bound, dry, again and again."""
    spec = {"schedulerName": "nobody", "containers": [{"name": "main", "image": IMAGE}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": _WAITING}, "spec": spec}
    for place in (GOVERNED, FREE):
        await client.create(f"/api/v1/namespaces/{place}/pods", pod)


async def _remove(client: Client) -> None:
    for place in (GOVERNED, FREE):
        await client.delete(f"/api/v1/namespaces/{place}/pods/{_WAITING}", {"gracePeriodSeconds": 0})
        await client.delete(f"/api/v1/namespaces/{place}")
    await client.delete(BY_KIND["SovereigntyPolicy"].path("", NAME))


async def _apply(client: Client, manifests: Sequence[Manifest]) -> None:
    for one in manifests:
        path = BY_KIND[one["kind"]].path("", one["metadata"]["name"])
        await client.patch(path, one, kind=APPLY, params={"fieldManager": FIELD_MANAGER, "force": "true"})


async def _delete(client: Client, manifests: Sequence[Manifest]) -> None:
    for one in reversed(manifests):
        await client.delete(BY_KIND[one["kind"]].path("", one["metadata"]["name"]))
