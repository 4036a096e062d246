"""The images and what is in them."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from testbed import binaries
from testbed.images import chroot, layers, oci, packages, rootfs
from testbed.images.layers import Layer, Tree
from testbed.images.oci import Image
from testbed.images.packages import Selection

# trixie has the Python that images/Containerfile names; llama.cpp is in forky only.
BASE: Final = "trixie"
_SCRIPTS_NEED: Final = ("debconf", "debianutils", "dpkg", "mawk=awk", "openssl", "perl-base", "tar")
_PYTHON: Final = Selection(BASE, ("base-files", "ca-certificates", "netbase", "python3", "tzdata"), _SCRIPTS_NEED)
_VENV: Final = Selection(BASE, ("python3-pip-whl", "python3-setuptools-whl"))
_BUSYBOX: Final = Selection(BASE, ("busybox-static",), ("libc6",))
# wget fetches models and debconf asks about it, neither of which happens here; nothing converts character sets.
_ENGINE: Final = Selection(
    "forky", ("llama.cpp-tools",), ("debconf", "wget"), ("libc-gconv-modules-extra", "openssl-provider-legacy")
)
_PATH_ENV: Final = f"PATH={chroot.PATH}"


@dataclass(frozen=True)
class Recipe:
    """An image that can be asked for by name."""

    name: str
    content: str
    base: str
    build: Callable[[], Image]


def pause() -> Image:
    """What holds a pod's namespaces: it sleeps."""
    settings = {"Entrypoint": ["/usr/bin/busybox", "sleep", "infinity"], "User": f"{rootfs.NOBODY}:{rootfs.NOBODY}"}
    return oci.image("pause", [layers.layer(_tree("pause", _BUSYBOX, rootfs.finish))], _settings(settings))


def engine() -> Image:
    """llama.cpp's server, and no shell beside it."""
    settings = {
        "Entrypoint": ["llama-server"],
        "User": f"{rootfs.NOBODY}:{rootfs.NOBODY}",
        "WorkingDir": "/tmp",
        "ExposedPorts": {"8080/tcp": {}},
    }
    return oci.image("engine", [layers.layer(_tree("engine", _ENGINE, rootfs.finish))], _settings(settings))


def client() -> Image:
    """Python and a shell with small network tools."""
    settings = {"Cmd": ["sleep", "infinity"], "User": f"{rootfs.NOBODY}:{rootfs.NOBODY}"}
    return oci.image("client", [python(), tools()], _settings(settings))


def coredns() -> Image:
    """The cluster's name server."""
    settings = {"Entrypoint": ["/coredns"], "User": f"{rootfs.NOBODY}:{rootfs.NOBODY}", "ExposedPorts": {"53/udp": {}}}
    program = binaries.require("coredns")
    tree = Tree("coredns", (program.parent.name,), lambda root: _program(program, root))
    return oci.image("coredns", [layers.layer(tree)], _settings(settings))


def python() -> Layer:
    """Debian's Python, as a root file system: the lowest layer of all images with Python in them."""
    return layers.layer(_tree("python", _PYTHON, _finish_python))


def tools() -> Layer:
    """A shell and small tools, to lie upon `python`."""
    return layers.layer(_tree("tools", _BUSYBOX, rootfs.busybox))


def _tree(name: str, selection: Selection, finish: Callable[[Path], None]) -> Tree:
    found = packages.fetch(selection)

    def make(root: Path) -> None:
        rootfs.unpack(found, root)
        finish(root)

    return Tree(name, tuple(package.sha256 for package in found), make)


def _settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"Env": [_PATH_ENV], **settings}


def _finish_python(root: Path) -> None:
    rootfs.finish(root)
    (root / "usr/bin/python").symlink_to("python3")
    # Debian compiles in a maintainer script. Not checked against time stamps, which are made equal when packing.
    libraries = [f"/{path.relative_to(root)}" for path in sorted((root / "usr/lib").glob("python3*"))]
    compiling = ["python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", *libraries]
    chroot.run(root, compiling, environment={})


def _program(program: Path, root: Path) -> None:
    rootfs.finish(root)
    shutil.copy(program, root / program.name)


RECIPES: Final = {
    recipe.name: recipe
    for recipe in (
        Recipe("pause", "sleeps; holds a pod's namespaces", f"Debian {BASE}: busybox-static", pause),
        Recipe("engine", "llama.cpp's server", "Debian forky: llama.cpp-tools", engine),
        Recipe("client", "Python and a shell with network tools", f"Debian {BASE}: python3, busybox-static", client),
        Recipe("coredns", "the cluster's name server", "nothing: one static program", coredns),
    )
}
