"""Writing the evidence ledger, without a request of its own: its head travels with the renewals of the lease.

Entries are chained when the lease is renewed, and written out once the API server has taken the renewal that states their
head. So the next leader goes on where this one ended, and a leader that is killed in between loses lines but never makes two
lines out of one.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sovereign.evidence.ledger import Entry, Head, Seal, append
from sovereign.evidence.signature import signed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

logger = logging.getLogger(__name__)
MOST_PENDING: Final = 10_000
"""Entries that wait for a renewal. Beyond, they are counted and dropped: the lease is lost long before."""


class _Pending(NamedTuple):
    time: str
    kind: str
    body: Mapping[str, Any]


class Recorder:
    """Collects entries, chains them, and writes them out when their head is in the lease."""

    def __init__(self, by: str, write: Callable[[bytes], None], key: "Ed25519PrivateKey | None" = None) -> None:
        self._by = by
        self._write = write
        self._key = key
        self._pending: list[_Pending] = []
        self._dropped = 0
        self._head: Head | None = None
        self._sealing: list[Entry] = []

    def record(self, kind: str, body: Mapping[str, Any]) -> None:
        """Take something in, to be written with the next renewal of the lease."""
        if len(self._pending) < MOST_PENDING:
            self._pending.append(_Pending(_now(), kind, body))
        else:
            self._dropped += 1

    def state(self, stated: str) -> str:
        """The head that the next renewal states; ``stated`` is the one that the lease has now."""
        head = _parsed(stated)
        if self._sealing and head == self._sealing[-1].head:
            self.renewed()  # the API server took a renewal whose answer was lost
        if head != self._head:
            self._head = head
        if self._dropped:
            self._pending.append(_Pending(_now(), "dropped", {"entries": self._dropped}))
            self._dropped = 0
        self._sealing = []
        for time, kind, body in self._pending:
            entry = append(head, time, self._by, kind, body)
            self._sealing.append(entry)
            head = entry.head
        return str(head)

    def renewed(self) -> None:
        """The API server has taken the renewal: write out what it seals."""
        if not self._sealing:
            return
        for entry in self._sealing:
            self._write(entry.line())
        last = self._sealing[-1]
        seal = Seal(str(last.head), _now(), self._by)
        self._write((signed(seal, self._key) if self._key else seal).line())
        self._head = last.head
        del self._pending[: len(self._sealing)]
        self._sealing = []


def _parsed(stated: str) -> Head:
    if not stated:
        return Head()
    try:
        return Head.parse(stated)
    except ValueError as error:
        logger.warning("The head of the evidence ledger in the lease is not one, so a new ledger begins: %s", error)
        return Head()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
