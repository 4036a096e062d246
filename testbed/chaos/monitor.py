"""What is measured while a run goes on: unlawful pods that are served, and what each process holds."""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from sovereign.api.meta import FACT_JURISDICTION
from sovereign.cluster.client import ApiError, Client
from sovereign.cluster.resources import BY_KIND, NAMESPACES, NODES, PODS
from testbed.chaos.replica import Replica

Manifest = dict[str, Any]
_EVERY: Final = 1.0
_SLICES: Final = "/apis/discovery.k8s.io/v1/endpointslices"
_FAILURES: Final = (ApiError, aiohttp.ClientError, OSError, TimeoutError)


@dataclass
class Served:
    """How long pods were in the endpoints of a pool on a node that a policy does not want.

    Judged apart from the operator's own code: by the node's jurisdiction and the policies' lists alone.
    """

    client: Client
    longest: float = 0.0
    which: str = ""
    _since: dict[str, float] = field(default_factory=dict)

    async def watch(self) -> None:
        """Look each second, until cancelled."""
        while True:
            with contextlib.suppress(*_FAILURES):  # the API server is one of those that are made to fail
                self.account(await self._unlawful(), time.monotonic())
            await asyncio.sleep(_EVERY)

    def account(self, pods: dict[str, str], now: float) -> None:
        """Take in what was seen: names by UID."""
        self._since = {uid: self._since.get(uid, now) for uid in pods}
        for uid, since in self._since.items():
            if now - since > self.longest:
                self.longest, self.which = now - since, pods[uid]

    async def _unlawful(self) -> dict[str, str]:
        slices, pods, nodes, namespaces, policies = await asyncio.gather(
            *(
                self.client.get(path)
                for path in (_SLICES, PODS.path(), NODES.path(), NAMESPACES.path(), BY_KIND["SovereigntyPolicy"].path())
            )
        )
        served = {
            endpoint["targetRef"]["uid"]
            for entry in slices["items"]
            for endpoint in entry.get("endpoints") or ()
            if endpoint.get("targetRef") and endpoint["conditions"].get("ready")
        }
        where = {node["metadata"]["name"]: jurisdiction(node) for node in nodes["items"]}
        tiers = {item["metadata"]["name"]: tier(item) for item in namespaces["items"]}
        found = {}
        for pod in pods["items"]:
            metadata = pod["metadata"]
            if metadata["uid"] not in served:
                continue
            country = where.get(pod["spec"].get("nodeName", ""), "")
            if not all(country in wanted(policy, tiers[metadata["namespace"]]) for policy in policies["items"]):
                found[metadata["uid"]] = f"{metadata['namespace']}/{metadata['name']} on {pod['spec'].get('nodeName')}"
        return found


class _Everything:
    def __contains__(self, _: object) -> bool:
        return True


def wanted(policy: Manifest, of: str) -> Any:
    """The jurisdictions that a policy wants in a namespace of this tier; all, where it does not govern or enforce."""
    (selector,) = policy["spec"]["namespaceSelector"]["matchExpressions"]
    if of not in selector["values"] or policy["spec"].get("enforcement", "Enforce") != "Enforce":
        return _Everything()
    return policy["spec"]["placement"]["jurisdictions"]


def jurisdiction(node: Manifest) -> str:
    """The fact."""
    return str((node["metadata"].get("labels") or {}).get(FACT_JURISDICTION, ""))


def tier(namespace: Manifest) -> str:
    """The label."""
    return str((namespace["metadata"].get("labels") or {}).get("tier", ""))


@dataclass(frozen=True)
class Sample:
    """What one process holds when everything is quiet."""

    process: str
    leads: bool
    tasks: int
    threads: int
    descriptors: int
    resident: int
    """MiB."""


def sample(replica: Replica) -> Sample:
    """Ask the kernel, and the process itself."""
    assert replica.process is not None
    folder = Path(f"/proc/{replica.pid}")
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
    return Sample(
        process=replica.proxy.tag,
        leads=replica.process.leads,
        tasks=int(replica.process.metric("sovereign_asyncio_tasks")),
        threads=int(status["Threads"]),
        descriptors=len(list((folder / "fd").iterdir())),
        resident=int(status["VmRSS"].split()[0]) // 1024,
    )


TASKS: Final = 6
THREADS: Final = 4
DESCRIPTORS: Final = 24
"""Connections that are kept alive for the next request come and go."""
RESIDENT: Final = 40
"""MiB: caches of a workload that changes, and what the allocator keeps."""


def leaks(samples: list[Sample]) -> list[str]:
    """What grew, comparing each process with itself when it was first seen in the same part."""
    first: dict[tuple[str, bool], Sample] = {}
    found = []
    for now in samples:
        then = first.setdefault((now.process, now.leads), now)
        for what, bound in (
            ("tasks", TASKS),
            ("threads", THREADS),
            ("descriptors", DESCRIPTORS),
            ("resident", RESIDENT),
        ):
            if getattr(now, what) > getattr(then, what) + bound:
                found.append(f"{now.process}: {what} grew from {getattr(then, what)} to {getattr(now, what)}")
    return found
