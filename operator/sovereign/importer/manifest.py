"""The canonical manifest of a model: what its digest is the digest of.

Canonical form, byte for byte::

    {"files":[{"path":P,"sha256":H,"size":N},...],"version":1}

UTF-8 JSON without white space, object keys in ascending order, strings escaped no more than JSON asks (``"``,
``\\`` and control characters; the path rules leave only ``"``), ``files`` in ascending order of the paths'
code points (which is the order of their UTF-8 bytes). P is a path as `sovereign.importer.paths` allows, H 64
lower-case hexadecimal digits, N the size in bytes. The digest is ``sha256:`` and the SHA-256 of these bytes.

A stored manifest may be formatted in any way: its digest is that of its canonical form.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from sovereign.importer import catalogue, paths
from sovereign.importer.failure import ImportFailure, Reason

FILE_NAME = catalogue.MANIFEST_NAME
VERSION = 1
MAX_BYTES = 16 << 20
MAX_FILES = 20_000
MAX_FILE_SIZE = 1 << 53

_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file: its path, its size in bytes, the SHA-256 of its content in hexadecimal."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a model, in canonical order. Build one with `of` or `parse`."""

    files: tuple[FileEntry, ...]

    @property
    def digest(self) -> str:
        """``sha256:`` and 64 hexadecimal digits."""
        return "sha256:" + hashlib.sha256(self.encode()).hexdigest()

    @property
    def size(self) -> int:
        """The sum of the files' sizes in bytes."""
        return sum(entry.size for entry in self.files)

    def check(self, expected: str | None) -> None:
        """Raise DigestMismatch unless the digest is the expected one (None: any)."""
        if expected is not None and self.digest != expected:
            raise ImportFailure(
                Reason.DIGEST_MISMATCH,
                f"the source holds {self.digest}, expected is {expected}: correct the model's digest if this is "
                "the version that is meant, else its source",
            )

    def encode(self) -> bytes:
        """The canonical form."""
        return orjson.dumps(
            {"files": [_as_json(entry) for entry in self.files], "version": VERSION},
            option=orjson.OPT_SORT_KEYS,
        )


def _as_json(entry: FileEntry) -> dict[str, str | int]:
    return {"path": entry.path, "sha256": entry.sha256, "size": entry.size}


def of(entries: Iterable[FileEntry]) -> Manifest:
    """Make a manifest of checked entries, in any order.

    Raises:
        ImportFailure: UnsafeFile for a name that is refused, SourceInvalid for anything else that is wrong.
    """
    files = tuple(sorted(entries, key=lambda entry: entry.path))
    if not files:
        raise _invalid("it lists no file")
    if len(files) > MAX_FILES:
        raise _invalid(f"it lists more than {MAX_FILES} files")
    for entry in files:
        paths.check(entry.path)
        if not 0 <= entry.size <= MAX_FILE_SIZE:
            raise _invalid(f"the size of {entry.path} is out of bounds")
        if not _SHA256.fullmatch(entry.sha256):
            raise _invalid(f"the sha256 of {entry.path} is not 64 lower-case hexadecimal digits")
    paths.check_distinct(entry.path for entry in files)
    return Manifest(files)


def parse(data: bytes) -> Manifest:
    """Read a stored manifest, strictly: unknown fields, versions and types are refused.

    Raises:
        ImportFailure: as `of`.
    """
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise _invalid("it is not JSON") from error
    if not isinstance(document, dict) or document.keys() != {"files", "version"}:
        raise _invalid('it must be an object with "files" and "version"')
    if document["version"] != VERSION or isinstance(document["version"], bool):
        raise _invalid(f"its version is not {VERSION}")
    if not isinstance(document["files"], list):
        raise _invalid('"files" is not a list')
    return of(_entry(item) for item in document["files"])


def _entry(item: object) -> FileEntry:
    if not isinstance(item, Mapping) or item.keys() != {"path", "size", "sha256"}:
        raise _invalid('each file must be an object with "path", "size" and "sha256"')
    path, size, sha256 = item["path"], item["size"], item["sha256"]
    if not (isinstance(path, str) and type(size) is int and isinstance(sha256, str)):
        raise _invalid('"path" and "sha256" must be strings, "size" an integer')
    return FileEntry(path, size, sha256)


def _invalid(what: str) -> ImportFailure:
    return ImportFailure(Reason.SOURCE_INVALID, f"{FILE_NAME} is not valid: {what}")


def is_digest(text: str) -> bool:
    """Whether the text is ``sha256:`` and 64 lower-case hexadecimal digits."""
    return _DIGEST.fullmatch(text) is not None


def hash_file(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def build(
    root: Path,
    *,
    weights: catalogue.Format | None = None,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
) -> Manifest:
    """Make the manifest of a directory, with the files an import of it would take (see `catalogue.select`).

    Args:
        root: the directory; a `sovereign.manifest.json` in it is left out.
        weights: the format; by default safetensors when the directory holds any such file, else gguf.
        include: glob patterns; when given, only files that match one are taken.
        exclude: glob patterns of files to leave out.

    Raises:
        ImportFailure: UnsafeFile for a file that is refused and not excluded, SourceInvalid for an empty
            directory.
    """
    found = catalogue.walk(root, exclude=exclude)
    chosen = catalogue.select(found, weights or catalogue.guess_format(found), include=include, exclude=exclude)
    return of(FileEntry(path, (root / path).stat().st_size, hash_file(root / path)) for path in chosen)
