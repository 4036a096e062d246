"""Where things are: sources in the tree, binaries in the cache, clusters in the state directory."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
GO_MODULES = PACKAGE / "go"
DEFAULT_INVENTORY = PACKAGE / "inventory.yaml"


def _xdg(variable: str, fallback: str) -> Path:
    # The XDG specification: a relative path in the variable is invalid and is to be ignored.
    given = Path(os.environ.get(variable, ""))
    return (given if given.is_absolute() else Path.home() / fallback) / "sovereign-testbed"


def cache() -> Path:
    """Directory of all that is made or fetched once. Safe to delete at any time, by parts too."""
    return _xdg("XDG_CACHE_HOME", ".cache")


def binary_cache() -> Path:
    """Directory of built binaries, one folder for each state of a Go module. Safe to delete at any time."""
    return cache() / "bin"


def clusters() -> Path:
    """Directory that holds one folder per cluster."""
    return _xdg("XDG_STATE_HOME", ".local/state")
