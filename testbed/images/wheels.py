"""Wheels of a lock file for another Python than this one, fetched ahead of a build without a network."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from testbed import cache
from testbed.errors import TestbedError

_GLIBC: Final = range(17, 42)  # minor releases of glibc 2 whose wheels run on the base


def wheelhouse(locks: Sequence[Path], python: str) -> Path:
    """A folder with the wheels of `locks` for CPython `python` (such as 3.13.5) on Linux.

    Raises:
        TestbedError: pip's own last words.
    """
    name = cache.key([lock.read_text() for lock in locks], python, platform.machine())
    return cache.once("wheels", "operator", name, lambda folder: _fetch(locks, python, folder))


def pins(lock: Path, python: str) -> dict[str, str]:
    """Version of each distribution that a lock file means for this Python, hashes left out."""
    found = (Requirement(entry.split(" --hash")[0]) for entry in _entries(lock, python))
    return {each.name: str(each.specifier).removeprefix("==") for each in found}


def _fetch(locks: Sequence[Path], python: str, folder: Path) -> None:
    cache.LOG.info("fetching the wheels of %s", " and ".join(lock.name for lock in locks))
    major, minor, *_ = python.split(".")
    target = ["--implementation", "cp", "--python-version", f"{major}.{minor}"]
    for release in _GLIBC:
        target += ["--platform", f"manylinux_2_{release}_{platform.machine()}"]
    for lock in locks:
        # pip reads markers for the Python it runs on, so only those for the other one are left in.
        meant = folder / lock.name
        meant.write_text("\n".join(_entries(lock, python)))
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        command += ["--only-binary=:all:", "--dest", str(folder), *target, "--requirement", str(meant)]
        environment = os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode != 0:
            raise TestbedError(f"fetching the wheels of {lock} failed:\n{done.stderr.strip()[-2000:]}")
        meant.unlink()


def _entries(lock: Path, python: str) -> Iterator[str]:
    """The entries that are meant for `python`, markers taken away."""
    environment = {
        "implementation_name": "cpython",
        "implementation_version": python,
        "platform_python_implementation": "CPython",
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "platform_system": "Linux",
        "sys_platform": "linux",
        "os_name": "posix",
        "platform_machine": platform.machine(),
    }
    joined = lock.read_text().replace("\\\n", " ")
    for line in joined.splitlines():
        entry, *hashes = line.split(" --hash=")
        if not entry.strip() or entry.startswith("#"):
            continue
        wanted = Requirement(entry.strip())
        if wanted.marker is None or wanted.marker.evaluate(environment):
            yield " --hash=".join([f"{wanted.name}{wanted.specifier}", *(each.strip() for each in hashes)])
