"""Whether an evidence ledger is whole: read, checked, and said in words."""

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

from sovereign.api.meta import ANNOTATION_EVIDENCE
from sovereign.cli.answers import Answer
from sovereign.cli.cluster import ask
from sovereign.cli.failure import CommandFailed
from sovereign.cluster.client import ApiError, Client
from sovereign.cluster.resources import LEASES
from sovereign.evidence import verify
from sovereign.evidence.ledger import Head, Seal
from sovereign.evidence.signature import KeyUnusable, holds, public_key


class EvidenceAnswer(Answer, frozen=True):
    """What a ledger is worth."""

    ok: bool
    """Whether nothing failed; there may be warnings."""
    entries: int
    seals: int
    first: str
    """Time of the first entry; empty where there is none."""
    last: str
    head: str
    """Its last entry as ``SEQ:DIGEST``, to be kept elsewhere."""
    anchored: bool
    """Whether a head from outside was compared."""
    signed: bool
    """Whether signatures were checked."""
    findings: tuple[verify.Finding, ...]


def examine(files: tuple[str, ...], key: str, anchor: str, silence: int) -> EvidenceAnswer:
    """Check the ledger in ``files``.

    Raises:
        CommandFailed: a file, the key or the anchor cannot be read.
    """
    ledger = verify.read(_lines(files))
    head = _anchor(anchor)
    findings = verify.check(
        ledger,
        anchor=head,
        signature_holds=_signature(key),
        silence=timedelta(seconds=silence) if silence else None,
    )
    entries = sorted(ledger.entries, key=lambda entry: entry.seq)
    return EvidenceAnswer(
        ok=all(finding.state != verify.FAIL for finding in findings),
        entries=len(entries),
        seals=len(ledger.seals),
        first=entries[0].time if entries else "",
        last=entries[-1].time if entries else "",
        head=str(entries[-1].head) if entries else "",
        anchored=head is not None,
        signed=bool(key),
        findings=findings,
    )


def head(kubeconfig: str, namespace: str, lease: str) -> str:
    """How far the ledger of a running operator goes, as its Lease says.

    Raises:
        CommandFailed: there is no such Lease, or it states none.
    """

    async def question(client: Client) -> str:
        try:
            found = await client.get(LEASES.path(namespace, lease))
        except ApiError as error:
            if error.not_found:
                raise CommandFailed(f"there is no Lease {lease} in namespace {namespace}: no operator runs") from error
            raise
        return str((found["metadata"].get("annotations") or {}).get(ANNOTATION_EVIDENCE, ""))

    stated = ask(kubeconfig, question)
    if not stated:
        raise CommandFailed(f"the Lease {lease} in namespace {namespace} states no head of a ledger")
    return stated


def _lines(files: tuple[str, ...]) -> Iterator[bytes]:
    for name in files:
        if name == "-":
            yield from sys.stdin.buffer
            continue
        try:
            yield from Path(name).read_bytes().splitlines()
        except OSError as error:
            raise CommandFailed(f"{name} cannot be read: {error.strerror}") from error


def _anchor(text: str) -> Head | None:
    if not text:
        return None
    try:
        return Head.parse(text)
    except ValueError as error:
        raise CommandFailed(f"--anchor: {error}") from error


def _signature(key: str) -> Callable[[Seal], bool] | None:
    if not key:
        return None
    try:
        public = public_key(Path(key))
    except KeyUnusable as error:
        raise CommandFailed(f"--key: {error}") from error
    return lambda seal: holds(seal, public)
