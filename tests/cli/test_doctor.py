"""What doctor makes of the pools' conditions."""

from typing import Any

import pytest

from sovereign.cli.checks import network_of


def pool(name: str, status: str, message: str = "why") -> dict[str, Any]:
    conditions = [
        {"type": "Ready", "status": "True"},
        {"type": "NetworkEnforced", "status": status, "message": message},
    ]
    return {"metadata": {"namespace": "chat", "name": name}, "status": {"conditions": conditions}}


@pytest.mark.parametrize(
    ("pools", "state", "word"),
    [
        ([], "warn", "no pool has been probed"),
        ([{"metadata": {"namespace": "chat", "name": "new"}}], "warn", "no pool has been probed"),
        ([pool("a", "True"), pool("b", "True")], "ok", "egress of 2 pools"),
        ([pool("a", "True"), pool("b", "Unknown")], "warn", "Unknown of pools chat/b"),
        ([pool("a", "Unknown"), pool("b", "False"), pool("c", "True")], "fail", "False of pools chat/b"),
    ],
)
def test_the_network_is_as_good_as_the_worst_that_was_seen(pools: list[dict[str, Any]], state: str, word: str) -> None:
    found = network_of(pools)
    assert found.state == state
    assert word in found.message
    assert found.advice or state == "ok"
