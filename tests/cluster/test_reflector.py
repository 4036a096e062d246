"""What a cache makes of answers and events that come in another order than they were meant."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, NamedTuple

import orjson

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

    async def pages_of(self, _: str, __: dict[str, str], parse: Callable[[bytes], Any]) -> AsyncIterator[Any]:
        yield parse(orjson.dumps(self._page))

    async def lines(self, _: str, __: dict[str, str], ___: float) -> AsyncIterator[bytes]:
        for kind, found in self._events:
            yield orjson.dumps({"type": kind, "object": found})
        self.sent.set()
        await asyncio.Event().wait()


async def after(answers: Answers, *known: Manifest) -> Reflector[Row]:
    """The cache when all events were taken in; ``known`` was written before the list was read."""
    reflector: Reflector[Row] = Reflector(answers, PODS, decode, lambda _, __: None)  # type: ignore[arg-type]
    for found in known:
        reflector.put(decode(found))
    await watch(reflector, answers)
    return reflector


async def watch(reflector: Reflector[Row], answers: Answers) -> None:
    """Run until all events were taken in."""
    task = asyncio.create_task(reflector.run())
    await answers.sent.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_an_answer_does_not_bring_back_what_was_deleted_meanwhile() -> None:
    reflector = await after(Answers([], 5, [("ADDED", manifest("a", 6)), ("DELETED", manifest("a", 7))]))
    reflector.put(decode(manifest("a", 6)))
    assert reflector.rows == {}
    reflector.put(decode(manifest("a", 8)))
    assert set(reflector.rows) == {("n", "a")}, "made anew"


async def test_an_answer_is_known_before_its_event() -> None:
    reflector = await after(Answers([manifest("a", 4)], 5, []))
    reflector.put(decode(manifest("b", 6)))
    reflector.put(decode(manifest("a", 7)))
    assert {row.name: row.version for row in reflector.rows.values()} == {"a": 7, "b": 6}


async def test_a_list_does_not_remove_what_is_newer_than_it() -> None:
    reflector = await after(Answers([], 5, []), manifest("old", 4), manifest("new", 6))
    assert set(reflector.rows) == {("n", "new")}


async def test_what_is_known_is_not_read_again() -> None:
    read: list[int] = []

    def counted(found: Manifest) -> Row:
        row = decode(found)
        read.append(row.version)
        return row

    answers = Answers([manifest("a", 4)], 5, [("MODIFIED", manifest("a", 7)), ("MODIFIED", manifest("a", 8))])
    reflector: Reflector[Row] = Reflector(answers, PODS, counted, lambda _, __: None)  # type: ignore[arg-type]
    reflector.put(decode(manifest("a", 7)))
    await watch(reflector, answers)
    assert read == [8], "the list and the first event are older than the answer, or as old"


async def test_a_deletion_that_is_late_does_not_take_what_was_made_anew() -> None:
    answers = Answers([manifest("a", 4)], 5, [("DELETED", manifest("a", 6))])
    reflector = await after(answers, manifest("a", 7))
    assert {row.version for row in reflector.rows.values()} == {7}


async def test_a_bookmark_moves_the_version_and_nothing_else() -> None:
    bookmark = {"metadata": {"resourceVersion": "9"}}
    reflector = await after(Answers([manifest("a", 4)], 5, [("BOOKMARK", bookmark)]))
    assert set(reflector.rows) == {("n", "a")}
    reflector.put(decode(manifest("b", 9)))
    assert set(reflector.rows) == {("n", "a")}, "it was deleted before the bookmark"
