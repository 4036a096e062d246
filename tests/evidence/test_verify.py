"""Row 26: a ledger that was edited, truncated, forked or replayed does not pass."""

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from sovereign.evidence.ledger import Entry, Head, Seal, append, digest
from sovereign.evidence.signature import KeyUnusable, holds, private_key, public_key, signed
from sovereign.evidence.verify import FAIL, Finding, Ledger, check, read

KEY = Ed25519PrivateKey.generate()
STRANGER = Ed25519PrivateKey.generate()


def at(minute: int) -> str:
    return f"2026-11-24T{minute // 60:02d}:{minute % 60:02d}:00.000+00:00"


def ledger(count: int = 10, start: Head = Head(), by: str = "a", minutes: int = 1) -> list[Entry]:  # noqa: B008 - immutable
    entries = []
    for number in range(count):
        entries.append(append(start, at(minutes * (start.seq + 1)), by, "heartbeat", {"interval": 60, "n": number}))
        start = entries[-1].head
    return entries


def seal(head: Head, key: Ed25519PrivateKey | None = KEY) -> Seal:
    plain = Seal(str(head), at(head.seq), "a")
    return signed(plain, key) if key else plain


def judged(entries: list[Entry], seals: list[Seal], anchor: Head | None = None) -> tuple[Finding, ...]:
    lines = [entry.line() for entry in entries] + [one.line() for one in seals]
    return check(read(lines), anchor=anchor, signature_holds=lambda one: holds(one, KEY.public_key()))


def failures(findings: tuple[Finding, ...]) -> set[str]:
    return {finding.what for finding in findings if finding.state == FAIL}


def test_a_whole_ledger_passes_in_any_order_and_among_other_lines() -> None:
    entries = ledger()
    seals = [seal(entries[4].head), seal(entries[-1].head)]
    lines = [entry.line() for entry in reversed(entries)] + [one.line() for one in seals]
    log = [
        b'{"time":"x","message":"hello"}',
        b"not json {",
        b"2026-11-24T00:00:00Z stdout F " + lines.pop(),
        *lines * 2,
    ]
    found = check(read(log), anchor=entries[-1].head, signature_holds=lambda one: holds(one, KEY.public_key()))
    assert found == ()


@given(st.integers(0, 9), st.sampled_from(["time", "by", "kind", "body", "previous", "digest"]))
def test_an_edited_entry_is_found(index: int, field: str) -> None:
    entries = ledger()
    seals = [seal(entries[-1].head)]
    changed = {
        "time": at(500),
        "by": "b",
        "kind": "event",
        "body": {"interval": 60, "n": 99},
        "previous": "f" * 64,
        "digest": "f" * 64,
    }
    entries[index] = msgspec.structs.replace(entries[index], **{field: changed[field]})
    assert failures(judged(entries, seals))


@given(st.integers(0, 9))
def test_an_edited_entry_with_a_digest_that_fits_is_found(index: int) -> None:
    entries = ledger()
    seals = [seal(entries[-1].head)]
    forged = msgspec.structs.replace(entries[index], body={"n": -1})
    entries[index] = msgspec.structs.replace(forged, digest=digest(forged))
    assert failures(judged(entries, seals, anchor=None)) & {"forked", "replayed"}


@given(st.integers(0, 9))
def test_all_entries_rewritten_from_one_on_do_not_have_the_seals(index: int) -> None:
    entries = ledger()
    seals = [seal(entries[-1].head)]
    forged = [append(entries[index].head, at(index + 2), "a", "event", {})] if index == 0 else []
    forged = forged or ledger(10 - index, entries[index - 1].head, by="forger")
    assert failures(judged([*entries[:index], *forged], seals)) & {"replayed", "truncated"}


@given(st.sets(st.integers(1, 8), min_size=1))
def test_entries_taken_out_of_the_middle_are_missing(gone: set[int]) -> None:
    entries = ledger()
    kept = [entry for index, entry in enumerate(entries) if index not in gone]
    assert failures(judged(kept, [seal(entries[-1].head)])) == {"missing"}


@given(st.integers(1, 9))
def test_an_end_that_was_cut_off_is_found_by_an_anchor_alone(kept: int) -> None:
    entries = ledger()
    short = entries[:kept]
    assert failures(judged(short, [seal(short[-1].head)])) == set()
    assert failures(judged(short, [seal(short[-1].head)], anchor=entries[-1].head)) == {"truncated"}
    assert failures(judged(short, [seal(entries[-1].head)])) == {"truncated"}


def test_another_ledger_with_seals_of_its_own_is_not_the_one_of_the_anchor() -> None:
    true, other = ledger(10), ledger(12, by="b")
    assert failures(judged(other, [seal(other[-1].head)], anchor=true[-1].head)) == {"replayed"}


def test_two_sealed_ledgers_that_part_are_a_fork() -> None:
    one = ledger(10)
    two = ledger(5, one[4].head, by="b")
    seals = [seal(one[-1].head), seal(two[-1].head)]
    assert "forked" in failures(judged([*one, *two], seals)) or "replayed" in failures(judged([*one, *two], seals))


def test_lines_of_a_leader_that_was_killed_before_its_seal_are_told_and_harmless() -> None:
    one = ledger(5)
    lost = ledger(2, one[-1].head, by="killed")
    going_on = ledger(3, one[-1].head, by="next")
    findings = judged([*one, *lost, *going_on], [seal(one[-1].head), seal(going_on[-1].head)])
    assert failures(findings) == set()
    assert [(finding.what, finding.seq) for finding in findings] == [("unsealed", 6), ("unsealed", 7)]


def test_seals_of_a_stranger_and_without_signature_fail() -> None:
    entries = ledger()
    assert failures(judged(entries, [seal(entries[-1].head, STRANGER)])) == {"bad-signature"}
    assert failures(judged(entries, [seal(entries[-1].head, None)])) == {"unsigned"}


@given(st.sampled_from(["head", "time", "by"]))
def test_a_changed_seal_fails(field: str) -> None:
    entries = ledger()
    changed = {"head": str(entries[2].head), "time": at(400), "by": "b"}
    forged = msgspec.structs.replace(seal(entries[-1].head), **{field: changed[field]})
    assert "bad-signature" in failures(judged(entries, [forged]))


def test_entries_after_the_last_seal_are_not_sure_yet() -> None:
    entries = ledger()
    assert [finding.what for finding in judged(entries, [seal(entries[7].head)])] == ["unsealed"]


def test_a_silence_is_told_row_23() -> None:
    entries = ledger(3)
    late = append(entries[-1].head, at(90), "a", "heartbeat", {"interval": 60})
    (found,) = judged([*entries, late], [seal(late.head)])
    assert (found.what, found.seq) == ("silent", 4)
    assert "nobody re-verified" in found.message
    assert check(Ledger((*entries, late), (seal(late.head),), ()), silence=timedelta(hours=3)) == ()


def test_nothing_is_no_ledger() -> None:
    assert failures(check(read([b"some log"]))) == {"missing"}
    assert failures(check(read([b'{"evidence":{"seq":"x"}}']))) == {"missing", "unreadable"}


@pytest.mark.parametrize("text", ["", "1", "1:", "x:" + "0" * 64, "1:" + "g" * 64, "-1:" + "0" * 64])
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="SEQ:DIGEST"):
        Head.parse(text)


def test_keys_are_read_from_pem_files(tmp_path: Path) -> None:
    private, public = tmp_path / "key.pem", tmp_path / "key.pub"
    private.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert holds(signed(seal(Head(), None), private_key(private)), public_key(public))
    for wrong in (public, tmp_path / "none"):
        with pytest.raises(KeyUnusable):
            private_key(wrong)
