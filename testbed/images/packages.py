"""Debian packages of any suite, with their dependencies, by an apt of our own.

Lists, package cache and the list of what is installed are private: nothing of the machine's is read or changed but the
address of its mirror, its keyring and its proxy settings. What was fetched once is kept, so that an image can be made
again without a network, and from the same packages although the suite has moved on.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from hashlib import file_digest
from pathlib import Path
from platform import freedesktop_os_release
from typing import Final

from testbed import cache
from testbed.errors import TestbedError

MIRROR_VARIABLE: Final = "TESTBED_DEBIAN_MIRROR"
KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_INDEX: Final = "packages.json"


@dataclass(frozen=True)
class Selection:
    """Packages of one suite, with all they depend on.

    What is `assumed` is taken to be there already, with what it would have brought: a dependency of the maintainer
    scripts, which are not run, or of a feature that nobody uses here. ``mawk=awk`` says that mawk provides awk. What is
    `dropped` is such a feature too, but wanted in one version, so that it has to be fetched before it is thrown away.
    """

    suite: str
    packages: tuple[str, ...]
    assumed: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Package:
    """A package file that was fetched."""

    path: Path
    sha256: str


def fetch(selection: Selection) -> list[Package]:
    """The package files, dependencies first come by name; from the cache when they are there.

    Raises:
        TestbedError: no apt here, no mirror known, or apt's own last words.
    """
    architecture = debian_architecture()
    name = cache.key(*astuple(selection), architecture)
    folder = cache.once("packages", selection.suite, name, lambda folder: _fetch(selection, architecture, folder))
    index: dict[str, str] = json.loads((folder / _INDEX).read_text())
    return [Package(folder / file, sha256) for file, sha256 in sorted(index.items())]


def debian_architecture() -> str:
    """What Debian calls this machine's architecture (and OCI calls it the same)."""
    for program in ("apt-get", "dpkg", "dpkg-deb"):
        if not shutil.which(program):
            raise TestbedError(
                f"images are made from Debian packages, and there is no {program} here. Make them on Debian or Ubuntu, "
                "or take an existing cache along ($XDG_CACHE_HOME/sovereign-testbed)."
            )
    return _run(["dpkg", "--print-architecture"]).strip()


def mirror() -> str:
    """Address of a Debian mirror: what the machine's own apt uses, or the variable says."""
    if given := os.environ.get(MIRROR_VARIABLE):
        return given
    release = freedesktop_os_release()
    if release.get("ID") == "debian":
        # indextargets reads sources.list and *.sources alike, and needs no lists.
        rows = _run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)"]).splitlines()
        for row in rows:
            uri, suite, component = row.split()
            if (suite, component) == (release.get("VERSION_CODENAME"), "main"):
                return uri
    raise TestbedError(
        "the machine's apt knows no Debian mirror to fetch packages from: set "
        f"{MIRROR_VARIABLE} to the address of one (the folder with dists/ and pool/)"
    )


def _fetch(selection: Selection, architecture: str, folder: Path) -> None:
    cache.LOG.info("fetching %s and dependencies from Debian %s", " ".join(selection.packages), selection.suite)
    if not KEYRING.exists():
        raise TestbedError(f"no {KEYRING} to check packages with: apt-get install debian-archive-keyring")
    apt = folder / "apt"
    archives = apt / "archives"
    for each in (archives / "partial", apt / "lists/partial"):
        each.mkdir(parents=True)
    source = f"deb [signed-by={KEYRING} target=Packages] {mirror()} {selection.suite} main\n"
    (apt / "sources.list").write_text(source)
    (apt / "status").write_text("\n".join(_present(each, architecture) for each in selection.assumed))
    command = ["apt-get", "--quiet", *_options(apt, architecture)]
    _run([*command, "update"])
    _run([*command, "install", "--yes", "--download-only", "--no-install-recommends", *selection.packages])
    debs = [deb for deb in sorted(archives.glob("*.deb")) if deb.name.partition("_")[0] not in selection.dropped]
    for deb in debs:
        deb.rename(folder / deb.name)
    (folder / _INDEX).write_text(json.dumps({deb.name: _sha256(folder / deb.name) for deb in debs}, indent=1))
    shutil.rmtree(apt)


def _options(apt: Path, architecture: str) -> list[str]:
    # On the command line, where they outrank every file of the machine's.
    options = {
        "Dir::State": apt,
        "Dir::State::lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt,
        "Dir::Cache::archives": apt / "archives",
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": os.devnull,
        "Dir::Etc::preferences": os.devnull,
        "Dir::Etc::preferencesparts": os.devnull,
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "",  # apt's own user may not enter this user's cache
        "Acquire::Languages": "none",
        "Acquire::Retries": 3,
        "APT::Update::Error-Mode": "any",  # else it goes on without lists, and packages are said not to exist
    }
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def _present(assumed: str, architecture: str) -> str:
    name, _, provided = assumed.partition("=")
    provides = f"Provides: {provided}\n" if provided else ""
    fields = "Status: install ok installed\nVersion: 9999\nMaintainer: none\nDescription: taken to be there\n"
    return f"Package: {name}\nArchitecture: {architecture}\nMulti-Arch: foreign\n{provides}{fields}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _run(command: Sequence[str]) -> str:
    environment = os.environ | {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise TestbedError(f"`{command[0]} ... {' '.join(command[-4:])}` failed:\n{words}")
    return done.stdout
