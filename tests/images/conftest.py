"""Images out of the real cache, unpacked."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed import images

Unpacked = Callable[[str], Path]


@pytest.fixture(scope="session")
def can_make_images() -> None:
    """Skips where images with Python in them cannot be made."""
    if os.geteuid() != 0:
        pytest.skip("not root: these images are made by running commands in their root file system")
    if not shutil.which("apt-get"):
        pytest.skip("no apt-get: images are made from Debian packages")


@pytest.fixture(scope="session")
def unpacked(can_make_images: None, tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    """The root file system of an image, by name."""
    roots: dict[str, Path] = {}

    def unpack(name: str) -> Path:
        if name not in roots:
            roots[name] = tmp_path_factory.mktemp(name)
            images.unpack(images.build(name), roots[name])
        return roots[name]

    return unpack
