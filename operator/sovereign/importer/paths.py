"""Which file names a model may have: safe to create anywhere, and the same on every file system."""

import unicodedata
from collections.abc import Iterable

from sovereign.importer.failure import ImportFailure, Reason

MAX_PATH_BYTES = 1024
MAX_SEGMENT_BYTES = 255


def problem_of(path: str) -> str | None:
    """Say what is wrong with a relative path, or None when it is safe.

    A safe path is relative, separated by ``/``, in Unicode NFC, without empty, ``.`` or ``..`` segments,
    backslashes, and control, format or unassigned characters (Unicode categories C*, Zl, Zp).
    """
    rules = (
        (not path, "it is empty"),
        (path.startswith("/"), "it is absolute"),
        ("\\" in path, "it holds a backslash"),
        (any(_unprintable(char) for char in path), "it holds a control or invisible character"),
        (not unicodedata.is_normalized("NFC", path), "it is not in Unicode NFC"),
    )
    for broken, message in rules:
        if broken:
            return message
    return _problem_of_segments(path)


def _problem_of_segments(path: str) -> str | None:
    for segment in path.split("/"):
        if segment in {"", ".", ".."}:
            return "it holds an empty, '.' or '..' segment"
        if len(segment.encode()) > MAX_SEGMENT_BYTES:
            return f"a segment is longer than {MAX_SEGMENT_BYTES} bytes"
    if len(path.encode()) > MAX_PATH_BYTES:
        return f"it is longer than {MAX_PATH_BYTES} bytes"
    return None


def _unprintable(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] == "C" or category in {"Zl", "Zp"}


def check(path: str) -> None:
    """Raise UnsafeFile unless the path is safe (see `problem_of`)."""
    if problem := problem_of(path):
        raise ImportFailure(Reason.UNSAFE_FILE, f"{path!r} is refused: {problem}")


def check_distinct(paths: Iterable[str]) -> None:
    """Raise UnsafeFile when two names are one on a case-insensitive file system, or a file is also a directory."""
    files: dict[str, str] = {}
    directories: dict[str, str] = {}
    for path in paths:
        _claim(files, directories, path)
        segments = path.split("/")[:-1]
        for depth in range(1, len(segments) + 1):
            parent = "/".join(segments[:depth])
            if directories.setdefault(_folded(parent), parent) != parent or _folded(parent) in files:
                _collide(parent, directories[_folded(parent)])


def _claim(files: dict[str, str], directories: dict[str, str], path: str) -> None:
    key = _folded(path)
    if key in files or key in directories:
        _collide(path, files.get(key) or directories[key])
    files[key] = path


def _collide(path: str, other: str) -> None:
    raise ImportFailure(
        Reason.UNSAFE_FILE,
        f"{path!r} and {other!r} are the same name on some file systems: rename one at the source",
    )


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path.casefold())
