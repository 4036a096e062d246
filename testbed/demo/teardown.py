"""Which cluster is the demonstration's own, and its end."""

from pathlib import Path

from testbed import TestbedError, cluster, state

_MARK = "demo"


def claim(name: str) -> bool:
    """Take the name for the demonstration, and remove what an earlier one left; whether there was one.

    The mark is set before anything else, so that whatever is found under the name later is known to be ours.

    Raises:
        TestbedError: a cluster of this name is there that is not the demonstration's.
    """
    left = down(name)
    folder = state.folder(name)
    with state.locked(folder, create=True):
        (folder / _MARK).mkdir(exist_ok=True)
    return left


def down(name: str) -> bool:
    """Remove what a demonstration started, in whatever state it is; whether there was anything.

    Raises:
        TestbedError: it is not the demonstration's, or something cannot be removed.
    """
    folder = state.folder(name)
    if folder.exists() and not _ours(folder):
        raise TestbedError(
            f"cluster {name!r} was not made by the demonstration; choose another --name, "
            f"or remove it with `python -m testbed down --name {name}`"
        )
    return cluster.down(name)


def _ours(folder: Path) -> bool:
    return (folder / _MARK).is_dir() or not any(folder.iterdir())
