"""The ledger: entries that each hold the hash of the one before, and seals over how far they go.

An entry is one line of JSON. Its digest is the SHA-256 of its canonical form (keys sorted, no spaces, UTF-8), which holds
the digest of the entry before: whoever changes, drops or inserts one changes all that follow. A seal states the last entry;
it stands in the operator's Lease too, and is signed where the installation has a key.

Source: RFC 6962, section 2 (why a head outside is needed); RFC 8785 in spirit (canonical JSON; only strings, integers,
booleans, lists and maps occur, for which sorted keys suffice).
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
import orjson

GENESIS: Final = "0" * 64
"""What the first entry has in the place of a digest before it."""


class Head(NamedTuple):
    """How far a ledger goes: its last entry."""

    seq: int = 0
    digest: str = GENESIS

    def __str__(self) -> str:
        """As it stands in the Lease, and as a person notes it down: ``SEQ:DIGEST``."""
        return f"{self.seq}:{self.digest}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """The head that ``text`` states.

        Raises:
            ValueError: it is not ``SEQ:DIGEST``.
        """
        number, _, digest = text.strip().partition(":")
        known = len(digest) == len(GENESIS) and set(digest) <= set("0123456789abcdef")
        if not (number.isascii() and number.isdigit() and known):
            raise ValueError(f"{text!r} is not SEQ:DIGEST, with a SHA-256 in 64 hex digits")
        return cls(int(number), digest)


class Entry(msgspec.Struct, frozen=True):
    """One line of the ledger."""

    seq: int
    """1, 2, 3 ..."""
    time: str
    """RFC 3339 in UTC, by the operator's clock."""
    by: str
    """The operator process that wrote it."""
    kind: str
    """started, stopped, heartbeat, policy or event."""
    body: Mapping[str, Any]
    previous: str
    """Digest of the entry before."""
    digest: str = ""

    def line(self) -> bytes:
        """The entry as it is written out."""
        return orjson.dumps({"evidence": msgspec.to_builtins(self)}, option=orjson.OPT_SORT_KEYS)

    @property
    def head(self) -> Head:
        """The ledger up to here."""
        return Head(self.seq, self.digest)


def append(head: Head, time: str, by: str, kind: str, body: Mapping[str, Any]) -> Entry:
    """The entry that follows ``head``."""
    entry = Entry(head.seq + 1, time, by, kind, body, head.digest)
    return msgspec.structs.replace(entry, digest=digest(entry))


def digest(entry: Entry) -> str:
    """The SHA-256 of an entry without its own digest, in hex."""
    content = {name: value for name, value in msgspec.to_builtins(entry).items() if name != "digest"}
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


class Seal(msgspec.Struct, frozen=True):
    """A statement that the ledger goes as far as ``head``, and no other way."""

    head: str
    """``SEQ:DIGEST``."""
    time: str
    by: str
    signature: str = ""
    """Ed25519 over `statement`, in base64; empty where the installation has no key."""

    def line(self) -> bytes:
        """The seal as it is written out."""
        return orjson.dumps({"seal": msgspec.to_builtins(self)}, option=orjson.OPT_SORT_KEYS)

    def statement(self) -> bytes:
        """What is signed. Its first words keep it from being taken for something else that the key signs."""
        content = {"head": self.head, "time": self.time, "by": self.by}
        return b"sovereignai.io/evidence/v1\n" + orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
