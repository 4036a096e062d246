"""Who wrote when, by the API server's audit log: never two at the same time.

A leader's time begins with its first successful write to the lease. Whatever another one wrote has to have reached the API server
before that write was answered.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

_WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class Write:
    """One write of an operator that the API server took."""

    writer: str
    """The tag of its proxy."""
    received: str
    """RFC 3339 in microseconds: compared as text."""
    answered: str
    lease: bool
    what: str


def writes(log: Path, since: int, tags: Iterable[str]) -> tuple[list[Write], int]:
    """The successful writes of operators after the byte `since`, by the time of their answer, and where the log ends now."""
    found, names = [], tuple(tags)
    with log.open("rb") as lines:
        lines.seek(since)
        for line in lines:
            if not line.endswith(b"\n"):
                break
            since += len(line)
            if b"sovereign-operator/" in line and (write := _write(line, names)):
                found.append(write)
    return sorted(found, key=lambda write: write.answered), since


def _write(line: bytes, names: tuple[str, ...]) -> Write | None:
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:  # the API server was killed while it wrote
        return None
    writer = event.get("userAgent", "").rpartition(" ")[2]
    target = event.get("objectRef") or {}
    done = event["stage"] == "ResponseComplete" and (event.get("responseStatus") or {}).get("code", 500) < 300
    if not done or event["verb"] not in _WRITES or not writer.startswith(names):
        return None
    if target.get("resource", "").endswith("reviews"):
        return None
    where = "/".join(part for part in (target.get("namespace"), target.get("name")) if part)
    return Write(
        writer,
        event["requestReceivedTimestamp"],
        event["stageTimestamp"],
        target.get("resource") == "leases",
        f"{event['verb']} {target.get('resource')} {where}",
    )


class Leadership:
    """Follows the writes of a run."""

    def __init__(self) -> None:
        self.leader = ""
        self._since = ""
        self.changes = 0
        self.writes = 0

    def follow(self, found: Iterable[Write]) -> Iterator[str]:
        """What is wrong with the next writes, in the order of their answers."""
        for write in found:
            self.writes += 1
            if write.writer == self.leader:
                continue
            if write.lease:
                self.leader, self._since = write.writer, write.answered
                self.changes += 1
            elif not self.leader or write.received > self._since:
                yield (
                    f"{write.writer} wrote ({write.what}) at {write.received}, "
                    f"when {self.leader or 'nobody'} had led since {self._since or 'never'}"
                )
