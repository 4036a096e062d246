"""The layers that several images begin with, from Debian packages."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from testbed.errors import TestbedError
from testbed.images import chroot, layers, packages, rootfs
from testbed.images.layers import Layer, Tree
from testbed.images.packages import Package, Selection

# The Debian release whose Python is the one that images/Containerfile names.
RELEASE: Final = "trixie"
PATH: Final = f"PATH={chroot.PATH}"
_SCRIPTS_NEED: Final = ("debconf", "debianutils", "dpkg", "mawk=awk", "openssl", "perl-base", "tar")
_PYTHON: Final = Selection(
    RELEASE, ("base-files", "ca-certificates", "netbase", "python3", "python3-venv", "tzdata"), _SCRIPTS_NEED
)
# Only for building: venv, and the pip it puts into new environments.
_VENV: Final = re.compile(r"python3([.]\d+)?-venv_|python3-(pip|setuptools)-whl_")
BUSYBOX: Final = Selection(RELEASE, ("busybox-static",), ("libc6",))


def python() -> Layer:
    """Debian's Python, as a root file system: the lowest layer of all images with Python in them."""
    found = packages.fetch(_PYTHON)
    return layers.layer(tree("python", [each for each in found if not _VENV.match(each.path.name)], _finish_python))


def venv() -> Layer:
    """What building with `python` needs besides, to lie upon it."""
    return layers.layer(tree("venv", [each for each in packages.fetch(_PYTHON) if _VENV.match(each.path.name)]))


def tools() -> Layer:
    """A shell and small tools, to lie upon `python`."""
    return layers.layer(tree("tools", packages.fetch(BUSYBOX), rootfs.busybox))


def python_version() -> str:
    """Version of `python`, such as 3.13.5."""
    for package in packages.fetch(_PYTHON):
        if match := re.match(r"python3[.]\d+_(\d+[.]\d+[.]\d+)", package.path.name):
            return match[1]
    raise TestbedError(f"no Python among the packages in {packages.fetch(_PYTHON)[0].path.parent}; delete that folder")


def tree(name: str, found: Sequence[Package], finish: Callable[[Path], None] = lambda root: None) -> Tree:
    """A layer of unpacked packages, `finish`ed."""

    def make(root: Path) -> None:
        rootfs.unpack(found, root)
        finish(root)

    return Tree(name, tuple(package.sha256 for package in found), make)


def _finish_python(root: Path) -> None:
    rootfs.finish(root)
    (root / "usr/bin/python").symlink_to("python3")
    # Debian does this in a maintainer script.
    libraries = [f"/{path.relative_to(root)}" for path in sorted((root / "usr/lib").glob("python3*"))]
    chroot.run(root, ["python3", "-m", "compileall", "-q", *libraries], environment={})
