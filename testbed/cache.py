"""Folders of the cache, each made once, whole, and named by a digest over everything that went into it.

Any number of processes may ask at once: one makes, the others wait. A folder appears by a rename, so one that is
there is complete, however its maker ended.
"""

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from testbed import paths

LOG: Final = logging.getLogger("testbed")
"""What takes a while says so here; the command line shows it."""


def key(*inputs: Any) -> str:
    """A short digest over `inputs`, which are JSON."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


def folder(area: str, kind: str, name: str) -> Path:
    """Where `once` puts what it makes."""
    return paths.cache() / area / f"{kind}-{name}"


def once(area: str, kind: str, name: str, make: Callable[[Path], None], *, days: int = 0) -> Path:
    """The folder of this name; `make` fills it when it is not there. `kind` has no dot in it.

    With `days`, making one removes those of its kind that nobody has asked for in so many days.
    """
    wanted = folder(area, kind, name)
    if not wanted.is_dir():
        with workspace(area, kind) as partial:
            if not wanted.is_dir():  # made by another process while this one waited
                make(partial)
                partial.rename(wanted)
                if days:
                    _forget(wanted.parent, kind, days)
    if days:
        with contextlib.suppress(OSError):  # somebody else's cache, taken along
            os.utime(wanted)
    return wanted


def _forget(parent: Path, kind: str, days: int) -> None:
    oldest = time.time() - days * 24 * 3600
    for each in parent.glob(f"{kind}-*"):
        if each.stat().st_mtime < oldest:
            shutil.rmtree(each)


@contextmanager
def workspace(area: str, kind: str) -> Iterator[Path]:
    """A new folder, removed in the end unless it was renamed. One process at a time has one of a kind."""
    parent = paths.cache() / area
    parent.mkdir(parents=True, exist_ok=True)
    with _lock(parent / f".{kind}.lock", kind):
        # Of makers that were killed; the lock says they are nobody's. The pid in the name keeps a child that outlived
        # its maker from writing into ours.
        for abandoned in parent.glob(f".partial-{kind}.*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        partial = parent / f".partial-{kind}.{os.getpid()}"
        mask = os.umask(0o022)  # modes end up in images; a strict mask would make them unreadable for their users
        try:
            partial.mkdir()
            yield partial
        finally:
            os.umask(mask)
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _lock(path: Path, kind: str) -> Iterator[None]:
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            LOG.info("%s: another process makes it; waiting for that", kind)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
