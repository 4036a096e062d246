"""What a cache makes of answers and events that come in another order than they were meant."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, NamedTuple

from sovereign.cluster.reflector import Reflector
from sovereign.cluster.resources import PODS

Manifest = dict[str, Any]


class Row(NamedTuple):
    namespace: str
    name: str
    version: int


def manifest(name: str, version: int) -> Manifest:
    return {"metadata": {"namespace": "n", "name": name, "resourceVersion": str(version)}}


def decode(found: Manifest) -> Row:
    metadata = found["metadata"]
    return Row(metadata["namespace"], metadata["name"], int(metadata["resourceVersion"]))


class Answers:
    """An API server that lists and sends what it was given, and then nothing."""

    def __init__(self, items: list[Manifest], version: int, events: list[tuple[str, Manifest]]) -> None:
        self._page = {"items": items, "metadata": {"resourceVersion": str(version)}}
        self._events = events
        self.sent = asyncio.Event()

    async def pages(self, _: str, __: dict[str, str]) -> AsyncIterator[Manifest]:
        yield self._page

    async def watch(self, _: str, __: dict[str, str]) -> AsyncIterator[Manifest]:
        for kind, found in self._events:
            yield {"type": kind, "object": found}
        self.sent.set()
        await asyncio.Event().wait()


async def after(answers: Answers, *known: Manifest) -> Reflector[Row]:
    """The cache when all events were taken in; ``known`` was written before the list was read."""
    reflector: Reflector[Row] = Reflector(answers, PODS, decode, lambda _, __: None)  # type: ignore[arg-type]
    for found in known:
        reflector.put(found)
    task = asyncio.create_task(reflector.run())
    await answers.sent.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return reflector


async def test_an_answer_does_not_bring_back_what_was_deleted_meanwhile() -> None:
    reflector = await after(Answers([], 5, [("ADDED", manifest("a", 6)), ("DELETED", manifest("a", 7))]))
    reflector.put(manifest("a", 6))
    assert reflector.rows == {}
    reflector.put(manifest("a", 8))
    assert set(reflector.rows) == {("n", "a")}, "made anew"


async def test_an_answer_is_known_before_its_event() -> None:
    reflector = await after(Answers([manifest("a", 4)], 5, []))
    reflector.put(manifest("b", 6))
    reflector.put(manifest("a", 7))
    assert {row.name: row.version for row in reflector.rows.values()} == {"a": 7, "b": 6}


async def test_a_list_does_not_remove_what_is_newer_than_it() -> None:
    reflector = await after(Answers([], 5, []), manifest("old", 4), manifest("new", 6))
    assert set(reflector.rows) == {("n", "new")}
