"""The requests that end a pod, and what each pod was told last, because the cache learns of that a moment later."""

import time
from collections.abc import Awaitable
from typing import Any, Final, NamedTuple

from sovereign.cluster.client import ApiError, Client
from sovereign.cluster.resources import PODS
from sovereign.cluster.rows import Pod
from sovereign.residency import ending

SETTLE: Final = 5.0
"""Seconds in which an accepted eviction is not asked for again."""


class Refused(Exception):
    """An eviction is not possible now."""


class _Told(NamedTuple):
    at: float
    grace: int


class Removal:
    """Evictions and deletions of exactly the pod that was judged: what has its name by then is left alone."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._told: dict[str, _Told] = {}
        """By UID: the evictions and deletions that the API server accepted."""

    def forget(self, uid: str) -> None:
        """Nothing more is asked of this pod."""
        self._told.pop(uid, None)

    def settling(self, pod: Pod, now: float) -> float:
        """Seconds until it makes sense to ask again."""
        told = self._told.get(pod.uid)
        return told.at + SETTLE - now if told else 0.0

    async def evict(self, pod: Pod, grace: int) -> None:
        """Ask for an eviction.

        Raises:
            Refused: a disruption budget does not allow it now, or several budgets select the pod.
        """
        at = time.monotonic()
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": pod.namespace},
            "deleteOptions": _options(pod, grace),
        }
        try:
            await guarded(self._client.create(PODS.path(pod.namespace, pod.name, "eviction"), body))
        except ApiError as error:
            # 429: a budget does not allow it now. 500: several budgets select the pod, which evictions do not support.
            if error.status not in (429, 500):
                raise
            raise Refused(error.message) from error
        self._told[pod.uid] = _Told(at, grace)

    async def end(self, pod: Pod, grace: int) -> None:
        """Delete it, with ``grace`` seconds to end."""
        at = time.monotonic()
        await guarded(self._client.delete(PODS.path(pod.namespace, pod.name), _options(pod, grace)))
        self._told[pod.uid] = _Told(at, grace)

    async def shorten(self, pod: Pod, until: float) -> int | None:
        """Give a pod that was told to end less time, where it would end after ``until``; returns the seconds it has now."""
        now = time.monotonic()
        given, remaining = pod.grace, pod.ends - time.time()
        if (told := self._told.get(pod.uid)) is not None:
            given, remaining = min(given, told.grace), min(remaining, told.at + told.grace - now)
        grace = ending.shortened(given, remaining, until - now)
        if grace is not None:
            await self.end(pod, grace)
        return grace

    async def drop(self, pod: Pod) -> None:
        """Delete it, with its own time to end."""
        await guarded(self._client.delete(PODS.path(pod.namespace, pod.name), {"preconditions": {"uid": pod.uid}}))


async def guarded(request: Awaitable[Any]) -> None:
    """Await a request about a pod; a pod that is gone or replaced needs nothing any more."""
    try:
        await request
    except ApiError as error:
        if not (error.not_found or error.conflict):
            raise


def _options(pod: Pod, grace: int) -> dict[str, object]:
    """DeleteOptions for exactly this pod."""
    return {"preconditions": {"uid": pod.uid}, "gracePeriodSeconds": grace}
