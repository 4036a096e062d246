"""Imports that are stopped, killed, or started twice."""

import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.importer.download import parts_of
from tests.importer import models
from tests.importer.harness import Importer, eventually
from tests.importer.test_web import MODEL, SHARD, put
from tests.importer.webserver import Fault, FileServer

PATH = f"m/{SHARD}"
PART = 64 << 10


@pytest.fixture
def held(web: FileServer) -> Iterator[threading.Event]:
    """The last part of the shard does not arrive until the event is set."""
    release = threading.Event()
    last = len(MODEL[SHARD]) // PART * PART
    web.faults[PATH] = Fault(start=last, cut=0, hold=release)
    yield release
    release.set()


def recorded(importer: Importer) -> int:
    """How many parts of the shard are in its journal."""
    for journal in importer.volume.glob(".import-*/parts/*.parts"):
        header, *records = journal.read_text().splitlines() or ["{}"]
        if json.loads(header).get("path") == SHARD:
            return len(records)
    return 0


def others_recorded(importer: Importer) -> bool:
    """Whether every file but the shard is whole: each is a single part."""
    journals = importer.volume.glob(".import-*/parts/*.parts")
    return sum(len(path.read_text().splitlines()) == 2 for path in journals) == len(MODEL) - 1


PARTS_BEFORE_THE_LAST = len(MODEL[SHARD]) // PART


@pytest.mark.usefixtures("held")
def test_killed_half_way_and_resumed(web: FileServer, importer: Importer) -> None:
    source = put(web, MODEL)
    process = importer.start("--source", source)
    eventually(lambda: recorded(importer) == PARTS_BEFORE_THE_LAST, "all parts but one are recorded")
    eventually(lambda: others_recorded(importer), "all other files are recorded")
    killed = importer.kill(process)
    assert killed.code == -signal.SIGKILL
    assert importer.published() is None
    web.faults.clear()
    web.seen.clear()
    outcome = importer.run("--source", source, "--digest", models.digest(MODEL))
    assert outcome.code == 0
    assert importer.published() == MODEL
    fetched = {request.path: request.range for request in web.seen}
    assert fetched == {"m/sovereign.manifest.json": None, PATH: (PARTS_BEFORE_THE_LAST * PART, len(MODEL[SHARD]))}


@pytest.mark.usefixtures("held")
def test_stopped_politely(web: FileServer, importer: Importer) -> None:
    source = put(web, MODEL)
    process = importer.start("--source", source)
    eventually(lambda: recorded(importer) == PARTS_BEFORE_THE_LAST, "parts are recorded")
    begun = time.monotonic()
    outcome = importer.kill(process, signal.SIGTERM)
    assert time.monotonic() - begun < 2
    assert outcome.code == 1
    assert outcome.reason == "Interrupted"
    assert outcome.message["retryable"] is True
    assert outcome.message["bytesDone"] >= PARTS_BEFORE_THE_LAST * PART
    assert importer.published() is None


def wait_for_requests(web: FileServer, process: "subprocess.Popen[str]", count: int) -> None:
    eventually(lambda: len(web.seen) >= count or process.poll() is not None, f"{count} requests")


def test_killed_at_any_time(web: FileServer, importer: Importer) -> None:
    source = put(web, MODEL)
    web.faults[PATH] = Fault(pause=0.01, chunk=4096)
    for count in (1, 4, 8):
        process = importer.start("--source", source)
        wait_for_requests(web, process, count)
        importer.kill(process)
    assert importer.run("--source", source, "--digest", models.digest(MODEL)).code == 0
    assert importer.published() == MODEL


@pytest.mark.usefixtures("held")
def test_parts_that_were_damaged_meanwhile_are_fetched_again(web: FileServer, importer: Importer) -> None:
    source = put(web, MODEL)
    process = importer.start("--source", source)
    eventually(lambda: recorded(importer) == PARTS_BEFORE_THE_LAST, "parts are recorded")
    importer.kill(process)
    (staged,) = importer.volume.glob(f".import-*/files/{SHARD}")
    with staged.open("r+b") as file:
        file.seek(PART)
        file.write(b"damage")
    web.faults.clear()
    outcome = importer.run("--source", source)
    assert outcome.code == 0
    assert importer.published() == MODEL


@pytest.mark.usefixtures("held")
def test_a_source_that_changed_meanwhile_is_fetched_anew(web: FileServer, importer: Importer) -> None:
    process = importer.start("--source", put(web, MODEL))
    eventually(lambda: recorded(importer) == PARTS_BEFORE_THE_LAST, "parts are recorded")
    importer.kill(process)
    web.faults.clear()
    changed = MODEL | {SHARD: models.safetensors(300_000, 77)}
    assert importer.run("--source", put(web, changed)).code == 0
    assert importer.published() == changed


def test_links_in_the_staging_directory_are_not_followed(web: FileServer, importer: Importer) -> None:
    source = put(web, MODEL)
    web.faults["m/config.json"] = Fault(status=403)
    importer.run("--source", source)
    web.faults.clear()
    victim = importer.root / "victim"
    victim.write_text("precious")
    (files,) = importer.volume.glob(".import-*/files")
    (files / "config.json").unlink(missing_ok=True)
    (files / "config.json").symlink_to(victim)
    (files / "stray.py").write_text("import os")
    assert importer.run("--source", source).code == 0
    assert importer.published() == MODEL
    assert victim.read_text() == "precious"


def test_two_at_once(web: FileServer, importer: Importer, held: threading.Event) -> None:
    arguments = ("--source", put(web, MODEL), "--digest", models.digest(MODEL))
    first = importer.start(*arguments)
    eventually(lambda: web.ranges(PATH), "the first importer fetches")
    second = Importer(importer.root, importer.authority)
    waiting = second.start(*arguments, env={"SOVEREIGN_IMPORT_TERMINATION_LOG": str(importer.root / "second")})
    assert waiting.stdout is not None
    assert "waiting for another importer" in waiting.stdout.readline()
    assert first.poll() is None
    held.set()
    assert importer.finish(first).code == 0
    requests = len(web.seen)
    assert waiting.wait(20) == 0
    waiting.stdout.close()
    assert importer.published() == MODEL
    assert len(web.seen) == requests


def test_remains_of_other_sources_are_removed_when_asked(web: FileServer, importer: Importer) -> None:
    web.faults[PATH] = Fault(status=403)
    assert importer.run("--source", put(web, MODEL)).code == 3
    assert len(importer.leftovers()) == 1
    other = put(web, MODEL, "other")
    assert importer.run("--source", other).code == 0
    assert len(importer.leftovers()) == 1
    again = put(web, MODEL | {"LICENSE": b"MIT"}, "third")
    assert importer.run("--source", again, "--clean").code == 0
    assert importer.leftovers() == []


@given(size=st.integers(0, 1 << 42), limit=st.integers(64 << 10, 1 << 30))
def test_a_kill_loses_a_part_of_a_file_and_not_all_of_it(size: int, limit: int) -> None:
    part = parts_of(size, limit)
    assert 0 < part <= limit
    assert part <= 1 << 20 or part * 63 < size, "fewer parts than a file is to have"


def test_parts_of_files_as_there_are() -> None:
    assert parts_of(98 << 20, 32 << 20) == (98 << 20) // 64
    assert parts_of(5 << 30, 32 << 20) == 32 << 20
    assert parts_of(300_000, 32 << 20) == 1 << 20
