"""Servers that misbehave, and sources that hold what they should not."""

import itertools
import json

import pytest

from tests.importer import models
from tests.importer.harness import Importer
from tests.importer.test_web import MODEL, SHARD, put
from tests.importer.webserver import Fault, FileServer

PATH = f"m/{SHARD}"


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(times=3, status=503), id="503 three times"),
        pytest.param(Fault(times=1, status=429, retry_after="0"), id="429 with Retry-After"),
        pytest.param(Fault(times=3, cut=20_000), id="bodies cut short"),
        pytest.param(Fault(times=3, cut=20_000, reset=True), id="connections reset"),
        pytest.param(Fault(plain=True), id="no ranges"),
        pytest.param(Fault(plain=True, start=65536), id="no ranges, noticed late"),
    ],
)
def test_passing_faults_are_survived(fault: Fault, web: FileServer, importer: Importer) -> None:
    source = put(web, MODEL)
    web.faults[PATH] = fault
    assert importer.run("--source", source, "--digest", models.digest(MODEL)).code == 0
    assert importer.published() == MODEL
    assert web.faults[PATH].times <= 0


def test_a_cut_body_goes_on_where_it_ended(web: FileServer, importer: Importer) -> None:
    source = put(web, MODEL)
    web.faults[PATH] = Fault(times=1, start=65536, cut=32768)
    assert importer.run("--source", source).code == 0
    assert (65536, 131072) in web.ranges(PATH)
    assert (65536 + 32768, 131072) in web.ranges(PATH)


def test_a_stream_without_ranges_that_breaks_starts_over(web: FileServer, importer: Importer) -> None:
    source = put(web, MODEL)
    # The first connections only find out that there are no ranges; then two streams break, the third is whole.
    broken = iter([True, True])
    web.faults[PATH] = Fault(plain=True, cut_whole=lambda: 200_000 if next(broken, False) else None)
    assert importer.run("--source", source, "--digest", models.digest(MODEL)).code == 0
    assert importer.published() == MODEL
    assert web.ranges(PATH).count(None) == 3


def test_a_server_that_drips_is_given_up(web: FileServer, importer: Importer) -> None:
    source = put(web, MODEL)
    web.faults[PATH] = Fault(pause=0.05, chunk=16)
    # One part at a time, and 40 drips to a time-out: on a busy machine, too, something comes before the socket is given up.
    outcome = importer.run("--source", source, "--timeout", "2", "--max-attempts", "2", "--concurrency", "1")
    assert outcome.reason == "SourceUnreachable"
    assert outcome.code == 1
    assert "next to nothing" in outcome.message["message"]
    assert importer.published() is None


def test_a_server_that_is_down_for_good(web: FileServer, importer: Importer) -> None:
    source = put(web, MODEL)
    web.faults[PATH] = Fault(status=503)
    outcome = importer.run("--source", source)
    assert outcome.reason == "SourceUnreachable"
    assert outcome.code == 1
    assert outcome.message["bytesDone"] > 0
    assert importer.published() is None
    assert sum("trying again" in line["message"] for line in outcome.lines()) >= 3


def test_nobody_listens(importer: Importer) -> None:
    outcome = importer.run("--source", "https://127.0.0.1:9/m")
    assert outcome.reason == "SourceUnreachable"
    assert outcome.code == 1


@pytest.mark.parametrize(("status", "reason"), [(403, "AccessDenied"), (404, "SourceNotFound"), (400, "SourceInvalid")])
def test_lasting_refusals_are_not_tried_again(status: int, reason: str, web: FileServer, importer: Importer) -> None:
    source = put(web, MODEL)
    web.faults["m/config.json"] = Fault(status=status)
    outcome = importer.run("--source", source)
    assert outcome.reason == reason
    assert outcome.code == 3
    assert len(web.ranges("m/config.json")) == 1
    assert importer.published() is None


def test_wrong_bytes(web: FileServer, importer: Importer) -> None:
    source = put(web, MODEL)
    web.faults[PATH] = Fault(start=65536, corrupt=True)
    outcome = importer.run("--source", source)
    assert outcome.reason == "DigestMismatch"
    assert outcome.code == 3
    assert SHARD in outcome.message["message"]
    assert importer.published() is None
    web.faults.clear()
    assert importer.run("--source", source).code == 0


def test_wrong_size(web: FileServer, importer: Importer) -> None:
    source = put(web, MODEL)
    web.files["m/config.json"] += b" "
    outcome = importer.run("--source", source)
    assert outcome.reason == "SizeMismatch"
    assert outcome.code == 3


def test_a_file_that_changes_between_parts(web: FileServer, importer: Importer) -> None:
    source = put(web, MODEL)
    count = itertools.count()
    web.faults[PATH] = Fault(etag=lambda: f'"{next(count)}"')
    outcome = importer.run("--source", source)
    assert outcome.reason == "SourceChanged"
    assert outcome.code == 1
    assert importer.published() is None


PICKLE = {"pytorch_model.bin": b"\x80\x04"}
UNSAFE: dict[str, dict[str, bytes]] = {
    "pickle": PICKLE,
    "code": {"modeling.py": b"import os"},
    "unknown kind": {"weights.xyz": b"?"},
    "outside": {"../evil.json": b"{}"},
    "absolute": {"/etc/evil.json": b"{}"},
    "one name on some file systems": {"Config.json": b"{}"},
    "code by configuration": {"config.json": json.dumps(models.CONFIG | {"auto_map": {"a": "b"}}).encode()},
    "code by nested configuration": {
        "tokenizer_config.json": b'{"x": [{"auto_map": {"AutoTokenizer": ["a.B", null]}}]}'
    },
}


@pytest.mark.parametrize("extra", UNSAFE.values(), ids=UNSAFE)
def test_unsafe_manifests_are_refused(extra: dict[str, bytes], web: FileServer, importer: Importer) -> None:
    files = MODEL | extra
    outcome = importer.run("--source", put(web, files), "--digest", models.digest(files), "--exclude", "*.bin")
    assert outcome.reason == "UnsafeFile"
    assert outcome.code == 3
    assert next(iter(extra)) in outcome.message["message"]
    assert importer.published() is None
    assert importer.leftovers() == []
    assert PATH not in [request.path for request in web.seen]
    assert {path.name for path in importer.root.iterdir()} <= {"volume", "secret", "termination-log"}


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (SHARD, models.noise(300_000)),
        (SHARD, models.safetensors(4000)[:-4]),
        ("config.json", b"{"),
        ("config.json", b'{"a": 1, "a": 2}'),
        ("model.safetensors.index.json", b'{"weight_map": {"a": "model-00009-of-00009.safetensors"}}'),
    ],
    ids=["noise", "shortened", "broken configuration", "ambiguous configuration", "missing shard"],
)
def test_broken_weights_are_refused(path: str, content: bytes, web: FileServer, importer: Importer) -> None:
    outcome = importer.run("--source", put(web, MODEL | {path: content}))
    assert outcome.reason == "InvalidWeights"
    assert outcome.code == 3
    assert importer.published() is None


def test_a_volume_that_is_too_small(web: FileServer, importer: Importer) -> None:
    source = put(web, MODEL)
    document = json.loads(models.manifest(MODEL))
    document["files"][-1]["size"] = 1 << 52
    web.files["m/sovereign.manifest.json"] = json.dumps(document).encode()
    outcome = importer.run("--source", source)
    assert outcome.reason == "InsufficientStorage"
    assert outcome.code == 3
    assert "available" in outcome.message["message"]


def test_a_volume_that_fills_up_on_the_way(web: FileServer, importer: Importer) -> None:
    """A limit on the size of files (in blocks of 512 bytes) stands for a full disk: the kernel refuses the same calls."""
    source = put(web, MODEL)
    outcome = importer.run("--source", source, within=["sh", "-c", 'ulimit -f 400 && exec "$@"', "sh"])
    assert outcome.reason == "InsufficientStorage"
    assert outcome.code == 3
    assert importer.published() is None
    assert importer.run("--source", source).code == 0


def test_a_volume_that_cannot_be_written(web: FileServer, importer: Importer) -> None:
    importer.volume.write_text("not a directory")
    outcome = importer.run("--source", put(web, MODEL))
    assert outcome.reason == "StorageFailed"
    importer.volume.unlink()


def test_messages_never_repeat_signed_urls(web: FileServer, importer: Importer) -> None:
    source = put(web, MODEL)
    importer.private.add("c2lnbmVk")
    outcome = importer.run("--source", f"{source}?X-Signature=c2lnbmVk")
    assert outcome.reason == "SourceInvalid"


def test_wrong_usage(importer: Importer) -> None:
    assert importer.run("--source", "https://127.0.0.1/m", "--digest", "sha256:short").code == 2
    assert importer.run().code == 2
    outcome = importer.run("--source", "ftp://127.0.0.1/m")
    assert outcome.reason == "SourceInvalid"
