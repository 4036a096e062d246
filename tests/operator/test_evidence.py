"""The evidence ledger of real operators, over a kill and a handover: whole, and in step with the lease."""

import signal
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from typer.testing import CliRunner

from sovereign.cli import app
from sovereign.evidence.ledger import Head
from sovereign.evidence.verify import FAIL, Ledger, check, read
from tests.operator.lab import Lab, Process, wait_for

LEASE = ["evidence", "head", "--operator-namespace", "sovereign-system"]


def ledger(*processes: Process) -> Ledger:
    return read([line for process in processes for line in process.evidence.read_bytes().splitlines()])


def test_a_ledger_goes_on_over_a_kill_and_a_handover_row_26(
    lab: Lab, operator: Process, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(lab.cluster.kubeconfig))
    operator.stop()
    begun = CliRunner().invoke(app, LEASE).stdout.strip()
    key = Ed25519PrivateKey.generate()
    private, public = tmp_path / "key.pem", tmp_path / "key.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    first = lab.start(SOVEREIGN_EVIDENCE_KEY=str(private), SOVEREIGN_EVIDENCE_INTERVAL="2s")
    wait_for("the first to lead", lambda: first.leads)
    lab.cluster.kubectl(
        "patch", "sovpol", place, "--type=merge", "-p", '{"spec":{"placement":{"jurisdictions":["DE"]}}}'
    )
    wait_for("the change of the policy on record", lambda: b'"jurisdictions":["DE"]' in first.evidence.read_bytes())
    second = lab.start(SOVEREIGN_EVIDENCE_KEY=str(private), SOVEREIGN_EVIDENCE_INTERVAL="2s")
    wait_for("the second to stand by", lambda: second.get("/readyz") == "ok")
    first.stop(signal.SIGKILL)
    wait_for("the second to lead", lambda: second.leads)
    wait_for("a heartbeat of the second", lambda: b'"kind":"heartbeat"' in second.evidence.read_bytes())
    second.stop()

    anchor = CliRunner().invoke(app, LEASE).stdout.strip()
    both = ledger(first, second)
    assert Head.parse(anchor).seq > Head.parse(begun).seq
    assert both.entries[0].seq == Head.parse(begun).seq + 1, "it goes on where the operator before ended"
    assert {"started", "heartbeat", "policy"} <= {entry.kind for entry in both.entries}
    assert both.entries[-1].kind == "stopped"
    assert [one for one in check(both, anchor=Head.parse(anchor)) if one.state == FAIL] == []

    files = [str(first.evidence), str(second.evidence)]
    verify = ["evidence", "verify", *files, "--key", str(public), "--anchor", anchor]
    answer = CliRunner().invoke(app, verify)
    assert answer.exit_code == 0, answer.stdout
    # A silence is told where nobody led (row 23); the ledger is whole all the same.
    assert "nobody re-verified meanwhile" in answer.stdout
    assert answer.stdout.rstrip().endswith("whole")

    short = tmp_path / "short.log"
    short.write_bytes(b"\n".join(second.evidence.read_bytes().splitlines()[:-4]))
    cut = CliRunner().invoke(app, ["evidence", "verify", files[0], str(short), "--anchor", anchor])
    assert cut.exit_code == 1
    assert "truncated" in cut.stdout


def test_a_key_that_is_none_is_said_at_the_start(lab: Lab, tmp_path: Path) -> None:
    wrong = tmp_path / "key.pem"
    wrong.write_text("no key")
    process = lab.start(SOVEREIGN_EVIDENCE_KEY=str(wrong))
    assert process.popen.wait(30) == 2
    assert "--evidence-key" in process.log.read_text()
