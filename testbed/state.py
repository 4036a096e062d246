"""One folder per cluster: found, locked, remembered, and removed so that a kill at any point does no harm."""

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from testbed import paths, pki, process, services
from testbed.errors import TestbedError
from testbed.nodes import fleet
from testbed.nodes.layout import Layout, parse

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
_FILE = "cluster.json"
_REMOVING = ".removing-"


@dataclass
class State:
    """What has to be known about a cluster the next time the tool runs."""

    provider: str
    programs: dict[str, str]  # paths by name
    ports: dict[str, int] = field(default_factory=dict)
    apiserver_args: list[str] = field(default_factory=list)
    fake_nodes: bool = True
    inventory: str | None = None  # path of the file that was last asked for
    filled: str | None = None  # digest of the inventory that the cluster was last filled from, to the end
    nodes: str | None = None  # real nodes, as in "fr:2,de:1,us:1"
    plugin: str = "calico"  # their network plugin
    slot: int | None = None  # which of the machine's places for clusters with real nodes this one has

    @property
    def layout(self) -> Layout | None:
        """Names and addresses of the real nodes, where there are any."""
        return Layout(self.slot, parse(self.nodes), self.plugin) if self.nodes and self.slot is not None else None


def folder(name: str) -> Path:
    """The folder of the cluster `name`, which need not exist.

    Raises:
        TestbedError: not a name a cluster can have.
    """
    if not _NAME.fullmatch(name):
        raise TestbedError(f"{name!r} is no cluster name: use at most 40 of a-z, 0-9 and - (not at the ends)")
    return paths.clusters() / name


def names() -> list[str]:
    """Names of the clusters that have a folder, sorted."""
    root = paths.clusters()
    return sorted(path.name for path in root.glob("*") if _NAME.fullmatch(path.name)) if root.exists() else []


def load(path: Path) -> State | None:
    """What is remembered of the cluster in this folder; None when it never got that far."""
    try:
        return State(**json.loads((path / _FILE).read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise TestbedError(f"{path / _FILE} is of another version ({error}); run `down` for this cluster") from error


def save(path: Path, state: State) -> None:
    """Remember the state of the cluster in this folder, in one step."""
    pki.write_private(path / _FILE, json.dumps(asdict(state), indent=2).encode())


@contextmanager
def locked(path: Path, *, create: bool) -> Iterator[bool]:
    """Hold the cluster's folder alone; with `create`, make it first. Yields whether the folder is there.

    The lock is on the folder itself, so it leaves no file behind, and ends with the process that holds it.
    """
    while True:
        try:
            if create:
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            if create:
                continue
            yield False
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _same(handle, path):
                yield True
                return
        finally:
            os.close(handle)


@contextmanager
def port_choice() -> Iterator[tuple[set[int], set[int]]]:
    """Hold the choice of ports and slots for all clusters; yields those that are taken by any of them."""
    root = paths.clusters()
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        known = [state for name in names() if (state := _known(root / name))]
        yield (
            {port for state in known for port in state.ports.values()},
            {state.slot for state in known if state.slot is not None},
        )
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """End every process of the cluster in this (locked) folder, and delete the folder.

    The folder is moved away first: a process that is just being started then has nowhere to leave its pid
    file and gives up (see `testbed.process`), so the pid files found afterwards are all there will ever be.
    """
    moved = path.with_name(f"{_REMOVING}{path.name}-{os.getpid()}")
    path.rename(moved)
    _end(moved)


def sweep(root: Path) -> None:
    """Finish removals below `root` that were killed half-way, and drop `root` when nothing is left in it."""
    for moved in root.glob(f"{_REMOVING}*"):
        _end_if_abandoned(moved)
    with contextlib.suppress(OSError):  # not empty, or gone
        root.rmdir()


def _end(moved: Path) -> None:
    process.stop(services.pidfiles(moved))
    known = _known(moved)
    if known and known.layout:
        fleet.remove(known.layout)
    shutil.rmtree(moved, ignore_errors=True)
    if moved.exists():
        raise TestbedError(f"cannot delete {moved}; delete it by hand")


def _end_if_abandoned(moved: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        handle = os.open(moved, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the lock went with the folder when it was moved
            _end(moved)
        except BlockingIOError:
            pass  # whoever moved it is at work
        finally:
            os.close(handle)


def _known(path: Path) -> State | None:
    with contextlib.suppress(TestbedError):
        return load(path)
    return None


def _same(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
