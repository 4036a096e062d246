"""Events, deduplicated: the same word about the same object is one Event whose count grows, written once a minute at most."""

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import aiohttp

from sovereign.api.conditions import Reason
from sovereign.api.meta import FIELD_MANAGER
from sovereign.cluster.client import ApiError, Client
from sovereign.cluster.resources import EVENTS
from sovereign.cluster.status import now

logger = logging.getLogger(__name__)
INTERVAL: Final = 60.0
REMEMBERED: Final = 4096
Severity = Literal["Normal", "Warning"]


@dataclass(slots=True)
class _Told:
    name: str
    count: int
    first: str
    written: float


@dataclass(frozen=True)
class Subject:
    """What an Event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str

    def reference(self) -> dict[str, str]:
        """As involvedObject."""
        reference = {"apiVersion": self.api_version, "kind": self.kind, "name": self.name, "uid": self.uid}
        return reference | ({"namespace": self.namespace} if self.namespace else {})


class Events:
    """Writes Events in the background; a lost Event is logged and never fails a reconcile."""

    def __init__(self, client: Client, record: Callable[[str, dict[str, Any]], None]) -> None:
        self._client = client
        self._record = record
        self._told: OrderedDict[str, _Told] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def emit(self, subject: Subject, severity: Severity, reason: Reason, message: str) -> None:
        """Say ``message`` about ``subject``."""
        key = hashlib.sha256("\0".join((subject.uid, severity, reason, message)).encode()).hexdigest()[:16]
        clock = time.monotonic()
        told = self._told.get(key)
        if told is None:
            told = self._told[key] = _Told(f"{subject.name[:200].rstrip('-.')}.{key}", 1, now(), clock)
            if len(self._told) > REMEMBERED:
                self._told.popitem(last=False)
        else:
            told.count += 1
            self._told.move_to_end(key)
            if clock - told.written < INTERVAL:
                return
            told.written = clock
        said = {"type": severity, "reason": reason.value, "message": message, "count": told.count}
        self._record("event", said | {"about": subject.reference()})
        task = asyncio.get_running_loop().create_task(self._write(subject, severity, reason, message, told))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Wait for Events that are being written."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2.0)

    async def _write(self, subject: Subject, severity: Severity, reason: Reason, message: str, told: _Told) -> None:
        namespace = subject.namespace or "default"
        body: dict[str, Any] = {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": told.name, "namespace": namespace},
            "involvedObject": subject.reference(),
            "type": severity,
            "reason": reason.value,
            "message": message[:1024],
            "count": told.count,
            "firstTimestamp": told.first,
            "lastTimestamp": now(),
            "source": {"component": FIELD_MANAGER},
            "reportingComponent": FIELD_MANAGER,
            "reportingInstance": FIELD_MANAGER,
        }
        try:
            await self._send(namespace, told.name, body)
        except (ApiError, aiohttp.ClientError, OSError, TimeoutError) as error:
            logger.warning("Event %s about %s %s was not written: %s", reason.value, subject.kind, subject.name, error)

    async def _send(self, namespace: str, name: str, body: dict[str, Any]) -> None:
        if body["count"] > 1:
            try:
                change = {"count": body["count"], "lastTimestamp": body["lastTimestamp"]}
                await self._client.patch(EVENTS.path(namespace, name), change)
            except ApiError as error:
                if not error.not_found:
                    raise
            else:
                return
        try:
            await self._client.create(EVENTS.path(namespace), body)
        except ApiError as error:
            if not error.conflict:
                raise
            await self._client.patch(EVENTS.path(namespace, name), {"lastTimestamp": body["lastTimestamp"]})
