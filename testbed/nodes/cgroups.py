"""Control groups of the nodes' pods: made before kubelets start, removed when the nodes are gone."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from testbed.errors import TestbedError
from testbed.nodes.layout import Layout

_ROOT = Path("/sys/fs/cgroup")


def up(layout: Layout) -> None:
    """Make a group for each node, in every hierarchy."""
    for hierarchy in _hierarchies():
        group = hierarchy / layout.prefix
        for path in (group, *(group / node.name for node in layout.nodes)):
            path.mkdir(exist_ok=True)
            _inherit(path)


def down(layout: Layout, timeout: float = 20) -> None:
    """Remove them; waits for the last processes in them to be gone.

    Raises:
        TestbedError: something still runs in one after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    for hierarchy in _hierarchies():
        group = hierarchy / layout.prefix
        while group.exists():
            _remove(group)
            if group.exists():
                if time.monotonic() > deadline:
                    raise TestbedError(f"{group} cannot be removed; see which processes its cgroup.procs files name")
                time.sleep(0.05)


def forget_pods(layout: Layout, node: str) -> None:
    """Remove what the pods of a node that was stopped have left: a kubelet that finds it looks for their containers, 3 s for each."""
    for hierarchy in _hierarchies():
        for pods in (hierarchy / layout.prefix / node).glob("kubepods*"):
            _remove(pods)


def processes(layout: Layout, pod: str) -> set[int]:
    """Process ids, as the machine numbers them, of everything that runs in the pod with this UID."""
    found: set[int] = set()
    for name in (f"pod{pod}", f"pod{pod.replace('-', '_')}"):
        for path in _first_hierarchy().glob(f"{layout.prefix}/*/kubepods/**/{name}/**/cgroup.procs"):
            found |= set(map(int, path.read_text().split()))
    return found


def _first_hierarchy() -> Path:
    return _ROOT if (_ROOT / "cgroup.controllers").exists() else _ROOT / "pids"


def _hierarchies() -> list[Path]:
    if (_ROOT / "cgroup.controllers").exists():
        return [_ROOT]
    return sorted(path for path in _ROOT.iterdir() if (path / "cgroup.procs").exists() and not path.is_symlink())


def _inherit(group: Path) -> None:
    """Version 1: a cpuset is empty until it is filled. Version 2: controllers are handed down one level at a time."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        own, parent = group / name, group.parent / name
        if own.exists() and parent.exists() and not own.read_text().strip():
            own.write_text(parent.read_text())
    available = group.parent / "cgroup.controllers"
    if available.exists():
        wanted = " ".join(f"+{controller}" for controller in available.read_text().split())
        (group.parent / "cgroup.subtree_control").write_text(wanted)


def _remove(group: Path) -> None:
    for path in _deepest_first(group):
        with contextlib.suppress(OSError):  # busy: tried again
            path.rmdir()


def _deepest_first(group: Path) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError):
        for path in group.iterdir():
            if path.is_dir():
                yield from _deepest_first(path)
    yield group
