"""The canonical manifest and the rules for paths."""

import hashlib
import json
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.importer import manifest as manifests
from sovereign.importer import paths
from sovereign.importer.failure import ImportFailure, Reason
from sovereign.importer.manifest import FileEntry
from tests.importer import models

SEGMENTS = st.text(st.sampled_from(string.ascii_lowercase + string.digits + "._- é\"'"), min_size=1, max_size=8).filter(
    lambda text: text not in {".", ".."}
)
PATHS = st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join).filter(lambda text: paths.problem_of(text) is None)
ENTRIES = st.builds(
    FileEntry, PATHS, st.integers(0, 1 << 53), st.binary(max_size=4).map(lambda data: hashlib.sha256(data).hexdigest())
)


def _distinct(entries: list[FileEntry]) -> bool:
    try:
        paths.check_distinct(entry.path for entry in entries)
    except ImportFailure:
        return False
    return True


MANIFESTS = st.lists(ENTRIES, min_size=1, max_size=6, unique_by=lambda entry: entry.path).filter(_distinct)


@given(MANIFESTS, st.randoms(use_true_random=False))
def test_the_canonical_form_is_one(entries: list[FileEntry], shuffled: random.Random) -> None:
    manifest = manifests.of(entries)
    shuffled.shuffle(entries)
    assert manifests.of(entries).encode() == manifest.encode()
    document = json.loads(manifest.encode())
    assert manifests.parse(json.dumps(document, indent=3).encode()) == manifest
    assert manifests.parse(manifest.encode()).digest == manifest.digest


@given(MANIFESTS)
def test_the_canonical_form_is_as_documented(entries: list[FileEntry]) -> None:
    files = [
        {"path": entry.path, "sha256": entry.sha256, "size": entry.size}
        for entry in sorted(entries, key=lambda entry: entry.path.encode())
    ]
    text = json.dumps({"files": files, "version": 1}, separators=(",", ":"), ensure_ascii=False)
    assert manifests.of(entries).encode() == text.encode()


@given(MANIFESTS, st.data())
def test_any_change_changes_the_digest(entries: list[FileEntry], data: st.DataObject) -> None:
    before = manifests.of(entries).digest
    index = data.draw(st.integers(0, len(entries) - 1))
    entry = entries[index]
    entries[index] = FileEntry(entry.path, (entry.size + 1) % (1 << 53), entry.sha256)
    assert manifests.of(entries).digest != before


def test_a_known_digest() -> None:
    """Pins the form: a change of it would orphan every published model."""
    files = {"config.json": b"{}", "model.safetensors": b"weights"}
    assert models.digest(files) == manifests.parse(models.manifest(files)).digest
    assert manifests.parse(models.manifest(files)).encode() == (
        b'{"files":[{"path":"config.json","sha256":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",'
        b'"size":2},{"path":"model.safetensors","sha256":'
        b'"' + hashlib.sha256(b"weights").hexdigest().encode() + b'","size":7}],"version":1}'
    )


ENTRY = {"path": "a.json", "size": 1, "sha256": "0" * 64}


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"files": [ENTRY]},
        {"files": [ENTRY], "version": 2},
        {"files": [ENTRY], "version": True},
        {"files": [ENTRY], "version": 1, "more": 1},
        {"files": {}, "version": 1},
        {"files": [], "version": 1},
        {"files": [ENTRY | {"mode": 1}], "version": 1},
        {"files": [ENTRY | {"size": True}], "version": 1},
        {"files": [ENTRY | {"size": -1}], "version": 1},
        {"files": [ENTRY | {"size": 1.5}], "version": 1},
        {"files": [ENTRY | {"sha256": "A" * 64}], "version": 1},
        {"files": [ENTRY | {"path": 7}], "version": 1},
        {"files": ["a"], "version": 1},
    ],
)
def test_anything_else_is_not_a_manifest(document: object) -> None:
    with pytest.raises(ImportFailure) as failure:
        manifests.parse(json.dumps(document).encode())
    assert failure.value.reason is Reason.SOURCE_INVALID


UNSAFE = [
    "",
    "/a",
    "a//b",
    "a/",
    "./a",
    "a/../b",
    "..",
    "a\\b",
    "a\nb",
    "a\x00",
    "a\u202eb",
    "a\u2028",
    "e\u0301",
    "\ud800",
]
UNSAFE += ["x" * 256, "a/" * 600 + "b"]


@pytest.mark.parametrize("path", UNSAFE)
def test_unsafe_paths(path: str) -> None:
    assert paths.problem_of(path)
    with pytest.raises(ImportFailure) as failure:
        manifests.of([FileEntry(path, 1, "0" * 64)])
    assert failure.value.reason is Reason.UNSAFE_FILE


@pytest.mark.parametrize(
    "names",
    [("a", "A"), ("a/b", "A/c"), ("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/B"), ("straße", "STRASSE"), ("a", "a")],
)
def test_colliding_paths(names: tuple[str, ...]) -> None:
    with pytest.raises(ImportFailure, match="same name"):
        paths.check_distinct(names)


@given(st.text(max_size=40))
def test_safe_paths_stay_below_their_root(path: str) -> None:
    if paths.problem_of(path) is None:
        segments = path.split("/")
        assert not {"", ".", ".."} & set(segments)
        assert all(char.isprintable() or char == "\u3000" or char.isspace() for char in path)
