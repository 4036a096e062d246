"""Leader election on a coordination.k8s.io Lease.

As in client-go: a holder renews again and again and gives up when it could not until its deadline; others take the lease over when
they have seen no renewal for as long as it lasts by their own monotonic clocks, so wrong wall clocks do no harm. The holder's deadline
is shorter than the lease, so it has stopped before another may begin. A holder whose process stood still meanwhile does not know
that yet when it wakes up: what it is about to write asks ``held`` first.

A standby watches the lease besides looking at it now and then. It sees a renewal when it is made, and never before, so it may wake
just when the lease has run out; and it sees at once that the lease was given up.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import aiohttp

from sovereign.api.meta import ANNOTATION_EVIDENCE
from sovereign.cluster.client import ApiError, Client
from sovereign.cluster.evidence import Recorder
from sovereign.cluster.resources import LEASES

logger = logging.getLogger(__name__)
DURATION: Final = 15.0
_WATCH: Final = "300"
"""Seconds that one watch of the lease lasts."""
_PUNCTUAL: Final = 0.002
"""Seconds by which timers may be early."""


class Timing(NamedTuple):
    """Seconds, in client-go's proportions: 15, 10 and 2 by default."""

    duration: float
    """How long the lease lasts without a renewal."""
    deadline: float
    """How long its holder goes on without one."""
    retry: float
    """Between two attempts to renew or to take it."""

    @classmethod
    def of(cls, duration: float) -> "Timing":
        """The times that go with a lease of this duration."""
        return cls(duration, duration * 2 / 3, duration * 2 / 15)


class Lease:
    """One candidate's view of the lease."""

    def __init__(
        self, client: Client, namespace: str, name: str, identity: str, evidence: Recorder, timing: Timing
    ) -> None:
        self._client = client
        self._evidence = evidence
        self._namespace = namespace
        self._name = name
        self.identity = identity
        self._timing = timing
        self._renewed = 0.0
        self.leading = asyncio.Event()
        self.holder = ""
        self._seen: tuple[str, str] = ("", "")
        self._seen_at = 0.0
        self._lasts = timing.duration
        """Seconds for which the lease was taken when it was seen last."""
        self._stirred = asyncio.Event()
        """Set when there is reason to try at once."""
        self._transitions = 0

    async def run(self, lost: Callable[[], None]) -> None:
        """Take the lease and keep it; calls ``lost`` when it could not be kept. Ends only then, or when cancelled."""
        timing = self._timing
        self._renewed = await self._stand_by()
        self.leading.set()
        logger.info("Leading as %s", self.identity)
        while True:
            await asyncio.sleep(timing.retry)
            started = _now()
            if self.held and await self._attempt(self._renewed + timing.deadline - started):
                self._renewed = started
            elif not self.held or self.holder not in ("", self.identity):
                break
        self.leading.clear()
        logger.error("Lost the lease to %s", self.holder or "nobody")
        lost()

    async def _stand_by(self) -> float:
        """Wait until the lease can be taken, and take it; returns when that was sent."""
        following = asyncio.create_task(self._follow(), name="lease of another")
        try:
            while True:
                started = _now()
                if await self._attempt(self._timing.deadline):
                    return started
                await self._pause()
        finally:
            following.cancel()
            await asyncio.wait([following])

    async def _pause(self) -> None:
        """Wait until it is time for another attempt: when the lease runs out, or is given up, and never longer than between two looks."""
        left = self._seen_at + self._lasts - _now() + _PUNCTUAL
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left if 0 < left < self._timing.retry else self._timing.retry):
                await self._stirred.wait()
        self._stirred.clear()

    async def _follow(self) -> None:
        """Watch what another does with the lease. What this misses, the next attempt finds."""
        params = {"fieldSelector": f"metadata.name={self._name}", "timeoutSeconds": _WATCH}
        while True:
            try:
                async for event in self._client.watch(self._path(), params):
                    spec = event["object"].get("spec") or {}
                    self._regard(spec)
                    if event["type"] == "DELETED" or not spec.get("holderIdentity"):
                        self._stirred.set()
            except (ApiError, aiohttp.ClientError, OSError, TimeoutError) as error:
                logger.info("The lease cannot be watched, and is looked at now and then: %s", error)
            await asyncio.sleep(self._timing.retry)

    @property
    def held(self) -> bool:
        """Whether this candidate leads, and nobody else can yet: counted from before its last renewal was sent."""
        return self.leading.is_set() and _now() - self._renewed < self._timing.deadline

    async def release(self) -> None:
        """Give the lease up, so that a standby takes over at once."""
        if not self.leading.is_set():
            return
        self.leading.clear()
        try:
            lease = await self._client.get(self._path(self._name))
            if lease["spec"].get("holderIdentity") == self.identity:
                lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                await self._client.replace(self._path(self._name), self._with_head(lease))
                self._evidence.renewed()
        except (ApiError, aiohttp.ClientError, OSError, TimeoutError) as error:
            logger.info("The lease was not released and runs out by itself: %s", error)

    async def _attempt(self, limit: float) -> bool:
        """Take or renew the lease once, within ``limit`` seconds; whether this candidate holds it now."""
        try:
            async with asyncio.timeout(limit):
                return await self._take_or_renew()
        except (ApiError, aiohttp.ClientError, OSError, TimeoutError) as error:
            logger.warning("The lease cannot be taken or renewed: %s", error)
            return False

    async def _take_or_renew(self) -> bool:
        try:
            lease = await self._client.get(self._path(self._name))
        except ApiError as error:
            if not error.not_found:
                raise
            return await self._write(None)
        spec = lease.get("spec") or {}
        self._regard(spec)
        self._transitions = spec.get("leaseTransitions") or 0
        if self.holder not in ("", self.identity) and _now() - self._seen_at < self._lasts:
            return False
        return await self._write(lease)

    def _regard(self, spec: dict[str, Any]) -> None:
        """See who holds the lease; a renewal lasts from when it is seen, by our own clock."""
        self.holder = spec.get("holderIdentity") or ""
        self._lasts = float(spec.get("leaseDurationSeconds") or self._timing.duration)
        seen = (self.holder, spec.get("renewTime") or "")
        if seen != self._seen:
            self._seen, self._seen_at = seen, _now()

    async def _write(self, lease: dict[str, Any] | None) -> bool:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec: dict[str, Any] = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(self._timing.duration),
            "renewTime": now,
        }
        old = (lease or {}).get("spec") or {}
        renewal = old.get("holderIdentity") == self.identity
        spec["acquireTime"] = old.get("acquireTime", now) if renewal else now
        spec["leaseTransitions"] = self._transitions + (0 if renewal or lease is None else 1)
        try:
            if lease is None:
                metadata = {"name": self._name, "namespace": self._namespace}
                body = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata, "spec": spec}
                await self._client.create(self._path(), self._with_head(body))
            else:
                await self._client.replace(self._path(self._name), self._with_head(lease | {"spec": spec}))
        except ApiError as error:
            if error.conflict:
                return False
            raise
        self.holder = self.identity
        self._evidence.renewed()
        return True

    def _with_head(self, lease: dict[str, Any]) -> dict[str, Any]:
        """``lease`` with the head of the evidence ledger, as far as it goes with this write."""
        metadata = lease["metadata"]
        annotations = metadata.get("annotations") or {}
        head = self._evidence.state(annotations.get(ANNOTATION_EVIDENCE, ""))
        return lease | {"metadata": metadata | {"annotations": annotations | {ANNOTATION_EVIDENCE: head}}}

    def _path(self, name: str = "") -> str:
        return LEASES.path(self._namespace, name)


def _now() -> float:
    return asyncio.get_running_loop().time()
