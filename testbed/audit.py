"""Counting requests in an API server's audit log, by who sent them.

The log has one JSON line for each stage of a request; a watch that is still open has only its first. Requests
are therefore counted by audit id, never by line.
"""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from testbed.errors import TestbedError
from testbed.kubectl import Kubectl


@dataclass(frozen=True)
class Request:
    """One request as the API server saw it."""

    agent: str  # the User-Agent header
    user: str
    verb: str  # get, list, watch, create, update, patch, delete, deletecollection
    resource: str  # "pods", "pods/status", or the path when it is not a resource
    namespace: str
    name: str
    code: int  # HTTP status, 0 while it is unknown
    uri: str
    received: float = 0.0  # seconds since the epoch, by the API server's clock
    answered: float = 0.0  # the same; when it was answered, or a watch was opened

    @property
    def writes(self) -> bool:
        """Whether it was meant to change something: not a dry run, a question, or the wish for a token, of which nothing is stored."""
        asks = self.resource.endswith(("reviews", "/token")) or "dryRun=All" in self.uri
        return self.verb not in ("get", "list", "watch", "head", "options") and not asks


def position(log: Path) -> int:
    """Where the log ends now, in bytes: the `since` of a later `requests`."""
    return log.stat().st_size


def requests(log: Path, since: int = 0) -> list[Request]:
    """The requests logged after `since`, one each, in the order of their first line."""
    found: dict[str, Request] = {}
    with log.open("rb") as lines:
        lines.seek(since)
        for line in lines:
            if line.endswith(b"\n"):  # else it is being written
                event = orjson.loads(line)
                found[event["auditID"]] = request(event)
    return list(found.values())


def by_agent(found: Iterable[Request]) -> Counter[str]:
    """Requests by the program's name: the User-Agent up to its first slash."""
    return Counter(request.agent.partition("/")[0] for request in found)


def settle(log: Path, kubectl: Kubectl, timeout: float = 10) -> None:
    """Return when everything that was answered before this call is in the log.

    A line is written just after the answer is sent, so this sends a request of its own and waits for its
    line.

    Raises:
        TestbedError: it does not appear in `timeout` seconds.
    """
    since = position(log)
    marker = f"settle-{time.monotonic_ns()}"
    kubectl.run("get", "--raw", f"/api/v1/namespaces/default/configmaps/{marker}")  # there is none: it is logged
    deadline = time.monotonic() + timeout
    while not any(request.name == marker for request in requests(log, since)):
        if time.monotonic() > deadline:
            raise TestbedError(f"no audit line for a request in {timeout:g} s; is {log} the right log?")
        time.sleep(0.02)


def request(event: dict[str, Any]) -> Request:
    """One line of the log, parsed."""
    target = event.get("objectRef", {})
    parts = [target[key] for key in ("resource", "subresource") if target.get(key)]
    return Request(
        agent=event.get("userAgent", ""),
        user=event["user"].get("username", ""),
        verb=event["verb"],
        resource="/".join(parts) or event["requestURI"].partition("?")[0],
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        uri=event["requestURI"],
        received=_epoch(event["requestReceivedTimestamp"]),
        answered=_epoch(event["stageTimestamp"]),
    )


def _epoch(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
