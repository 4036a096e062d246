"""The audit log, read as it grows."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from bench.ground import NotInTimeError
from bench.tail import Tail


def line(name: str, agent: str = "operator/1", **event: Any) -> bytes:
    full = {
        "auditID": name,
        "verb": "patch",
        "user": {"username": "u"},
        "userAgent": agent,
        "requestURI": f"/api/v1/nodes/{name}",
        "objectRef": {"resource": "nodes", "name": name},
        "requestReceivedTimestamp": "2026-11-24T10:00:00.000000Z",
        "stageTimestamp": "2026-11-24T10:00:00.250000Z",
    }
    return orjson.dumps(full | event) + b"\n"


def test_one_programs_requests_are_read_once_each_and_whole(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(line("before"))
    tail = Tail(log, "operator")
    last = line("b")
    with log.open("ab") as end:
        end.write(line("a") + line("c", "kubectl/1") + line("w", verb="watch") + last[:40])
        end.flush()
        (found,) = tail.read()
        end.write(last[40:])
        end.flush()
        assert [one.name for one in tail.read()] == ["b"]
    assert found.answered - found.received == pytest.approx(0.25)
    assert tail.read() == []
    assert [one.name for one in tail.seen] == ["a", "b"]


def test_what_never_comes_is_told(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(b"")
    with pytest.raises(NotInTimeError, match="a miracle"):
        Tail(log, "operator").until("a miracle", lambda: False, patience=0.02)
