"""The offline check of a ledger: needs its lines, and best a key and a head that somebody else has kept.

A chain alone cannot show that its end was cut off, or that it is a whole other chain: that takes a head from outside
(``anchor``), such as one that was noted down, or the one in the operator's Lease.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final, NamedTuple

import msgspec
import orjson

from sovereign.evidence.ledger import GENESIS, Entry, Head, Seal, digest

FAIL: Final = "fail"
WARN: Final = "warn"
HEARTBEAT: Final = "heartbeat"


class Finding(msgspec.Struct, frozen=True):
    """Something that is wrong with a ledger, or worth knowing."""

    state: str
    """fail, or warn."""
    what: str
    """edited, missing, forked, truncated, replayed, unsigned, bad-signature, unsealed, silent, late-start or unreadable."""
    seq: int
    """The entry that it is about; 0: the whole."""
    message: str


class Ledger(NamedTuple):
    """What the lines of a ledger hold."""

    entries: tuple[Entry, ...]
    seals: tuple[Seal, ...]
    unreadable: tuple[str, ...]
    """Lines that claim to be of the ledger, and are not."""


def read(lines: Iterable[bytes]) -> Ledger:
    """The entries and seals among ``lines``; other lines, such as the rest of a log, are passed over."""
    entries: list[Entry] = []
    seals: list[Seal] = []
    unreadable: list[str] = []
    for line in lines:
        start = line.find(b"{")
        text = line[start:].strip() if start >= 0 else b""
        if not text.startswith((b'{"evidence":', b'{"seal":')):
            continue
        try:
            content: dict[str, Any] = orjson.loads(text)
            if "evidence" in content:
                entries.append(_dated(msgspec.convert(content["evidence"], Entry)))
            else:
                seals.append(msgspec.convert(content["seal"], Seal))
        except (orjson.JSONDecodeError, msgspec.ValidationError, ValueError) as error:
            unreadable.append(f"{text[:60].decode(errors='replace')}...: {error}")
    return Ledger(tuple(entries), tuple(seals), tuple(unreadable))


def check(
    ledger: Ledger,
    *,
    anchor: Head | None = None,
    signature_holds: Callable[[Seal], bool] | None = None,
    silence: timedelta | None = None,
) -> tuple[Finding, ...]:
    """Everything that is wrong with ``ledger``, in order.

    Args:
        ledger: what was read.
        anchor: a head that was kept elsewhere.
        signature_holds: whether a seal's signature is good; None: signatures are not looked at.
        silence: the longest time that may pass between two entries; None: as long as heartbeats say, three intervals.
    """
    findings = [Finding(FAIL, "unreadable", 0, text) for text in ledger.unreadable]
    if not ledger.entries:
        return (*findings, Finding(FAIL, "missing", 0, "there is no entry at all"))
    seals, bad = _seals(ledger.seals, signature_holds)
    findings += bad
    chain, forks = _chain(ledger.entries, seals, anchor)
    findings += forks
    findings += _continuity(chain)
    findings += _ends(chain, seals, anchor)
    findings += _silences(chain, silence)
    return tuple(findings)


def _seals(seals: Iterable[Seal], signature_holds: Callable[[Seal], bool] | None) -> tuple[set[Head], list[Finding]]:
    """The heads that are sealed, and seals that are not to be believed."""
    heads: set[Head] = set()
    findings: list[Finding] = []
    for seal in seals:
        try:
            head = Head.parse(seal.head)
        except ValueError as error:
            findings.append(Finding(FAIL, "unreadable", 0, f"a seal's head: {error}"))
            continue
        if signature_holds is not None and not seal.signature:
            findings.append(Finding(FAIL, "unsigned", head.seq, f"the seal over entry {head.seq} is not signed"))
        elif signature_holds is not None and not signature_holds(seal):
            message = f"the seal over entry {head.seq} was not signed with this key, or was changed"
            findings.append(Finding(FAIL, "bad-signature", head.seq, message))
        else:
            heads.add(head)
    return heads, findings


def _chain(entries: Iterable[Entry], seals: set[Head], anchor: Head | None) -> tuple[dict[int, Entry], list[Finding]]:
    """One entry for each number: the sealed line where there are several, and what the others mean."""
    by_number: defaultdict[int, dict[str, Entry]] = defaultdict(dict)
    findings: list[Finding] = []
    for entry in entries:
        if digest(entry) != entry.digest:
            message = f"entry {entry.seq} is not what it was when it was written: its content does not have its digest"
            findings.append(Finding(FAIL, "edited", entry.seq, message))
        by_number[entry.seq][entry.digest] = entry
    kept = _sealed_line(by_number, seals | ({anchor} if anchor else set()))
    chain: dict[int, Entry] = {}
    for number in sorted(by_number):
        several = by_number[number]
        chosen = several.get(kept.get(number, "")) or several[min(several)]
        chain[number] = chosen
        findings += (_fork(other, chosen, seals) for other in several.values() if other is not chosen)
    return chain, findings


def _sealed_line(by_number: dict[int, dict[str, Entry]], heads: set[Head]) -> dict[int, str]:
    """The digests by number of the entries that lead up to a sealed head, the furthest head first."""
    line: dict[int, str] = {}
    for head in sorted(heads, reverse=True):
        number, wanted = head
        while number not in line and (entry := by_number.get(number, {}).get(wanted)) is not None:
            line[number] = wanted
            number, wanted = number - 1, entry.previous
    return line


def _fork(other: Entry, chosen: Entry, seals: set[Head]) -> Finding:
    number = other.seq
    if other.head in seals and chosen.head in seals:
        return Finding(FAIL, "forked", number, f"two ledgers that differ from entry {number} on were both sealed")
    message = (
        f"entry {number} of {other.by} was never sealed, and another took its number: its writer ended before its seal, "
        "or it was added later"
    )
    return Finding(WARN, "unsealed", number, message)


def _continuity(chain: dict[int, Entry]) -> Iterator[Finding]:
    numbers = sorted(chain)
    first = chain[numbers[0]]
    if first.seq != 1:
        message = f"the ledger begins at entry {first.seq}; what was before is not among these lines"
        yield Finding(WARN, "late-start", first.seq, message)
    elif first.previous != GENESIS:
        yield Finding(FAIL, "forked", 1, "entry 1 says that something was before it")
    for before, after in pairwise(numbers):
        if after != before + 1:
            span = f"entry {before + 1} is" if after == before + 2 else f"entries {before + 1} to {after - 1} are"
            yield Finding(FAIL, "missing", before + 1, f"{span} not there")
        elif chain[after].previous != chain[before].digest:
            message = f"entry {after} does not follow entry {before}: one of them was replaced"
            yield Finding(FAIL, "forked", after, message)


def _ends(chain: dict[int, Entry], seals: set[Head], anchor: Head | None) -> Iterator[Finding]:
    last = chain[max(chain)]
    furthest = max(seals, default=Head())
    for whose, head in (("the anchor", anchor), ("a seal", furthest if furthest.seq else None)):
        if head is None or not head.seq:
            continue
        there = chain.get(head.seq)
        if head.seq > last.seq:
            message = f"the ledger ends at entry {last.seq}, and {whose} says that there was an entry {head.seq}"
            yield Finding(FAIL, "truncated", head.seq, message)
        elif there is not None and there.digest != head.digest:
            message = f"entry {head.seq} is another than {whose} says: this is a different ledger, or an altered one"
            yield Finding(FAIL, "replayed", head.seq, message)
    if last.seq > max(furthest.seq, anchor.seq if anchor else 0):
        message = (
            f"entries after {furthest.seq} have no seal yet: whoever writes the last lines could still change them"
        )
        yield Finding(WARN, "unsealed", last.seq, message)


def _silences(chain: dict[int, Entry], silence: timedelta | None) -> Iterator[Finding]:
    """Times in which nothing was written, although heartbeats should have been (the operator was down, or cut off)."""
    allowed = silence
    before: Entry | None = None
    for number in sorted(chain):
        entry = chain[number]
        if silence is None and entry.kind == HEARTBEAT:
            interval = entry.body.get("interval")
            allowed = timedelta(seconds=3 * interval) if isinstance(interval, int) and interval > 0 else allowed
        if before is not None and allowed is not None:
            gap = _moment(entry) - _moment(before)
            if gap > allowed:
                message = (
                    f"nothing was written from {before.time} to {entry.time} ({gap}): nobody re-verified meanwhile"
                )
                yield Finding(WARN, "silent", entry.seq, message)
            elif gap < timedelta(0):
                message = f"entry {entry.seq} was written {-gap} before the one it follows, by its clock"
                yield Finding(WARN, "silent", entry.seq, message)
        before = entry


def _moment(entry: Entry) -> datetime:
    return datetime.fromisoformat(entry.time)


def _dated(entry: Entry) -> Entry:
    """``entry``, if its time can be understood.

    Raises:
        ValueError: it cannot.
    """
    if _moment(entry).tzinfo is None:
        raise ValueError(f"its time {entry.time} has no time zone")
    return entry
