"""A root file system from Debian packages whose maintainer scripts were not run.

Packages are unpacked and nothing more. What their scripts would have done and these images need is done here, by
name: the links of the merged /usr, accounts, name service, the bundle of certificates.
"""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from testbed.errors import TestbedError
from testbed.images.packages import Package

NOBODY: Final = 65532  # the user of pods in the chart and in pools
_MERGED: Final = ("bin", "sbin", "lib", "lib64")
_FOLDERS: Final = ("dev", "etc", "proc", "root", "run", "sys", "tmp", "var/tmp", "usr/bin", "usr/sbin", "usr/lib")
_LEFT_OUT: Final = ("doc", "doc-base", "info", "lintian", "locale", "man", "bug", "debianutils")
_ACCOUNTS: Final = (("root", 0, "/root"), ("nonroot", NOBODY, "/tmp"), ("nobody", 65534, "/nonexistent"))
# Applets of busybox that get a name of their own; all others are there as `busybox NAME`.
_APPLETS: Final = """
    awk base64 basename cat chmod chown clear cp cut date dd df dirname du echo env expr false find free grep gunzip gzip
    head hostname id ip kill ln ls md5sum mkdir mktemp mv nc netstat nslookup od ping printf ps pwd readlink realpath rm
    rmdir sed seq sh sha256sum sleep sort stat tail tar tee test timeout top touch tr traceroute true uname uniq vi wc
    wget which whoami xargs
"""


def unpack(packages: Iterable[Package], root: Path) -> None:
    """Unpack `packages` into `root`, documentation left out."""
    for package in packages:
        subprocess.run(["dpkg-deb", "--extract", package.path, root], check=True)
    for name in _LEFT_OUT:
        shutil.rmtree(root / "usr/share" / name, ignore_errors=True)


def finish(root: Path) -> None:
    """Make a complete root file system of unpacked packages."""
    for folder in _FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for folder in ("tmp", "var/tmp"):
        (root / folder).chmod(0o1777)
    for name in _MERGED:
        _merge(root, name)
    # No passwd entry is needed to run as any uid; some programs ask for one's own name all the same.
    passwd = [f"{name}:x:{number}:{number}:{name}:{home}:/bin/sh\n" for name, number, home in _ACCOUNTS]
    (root / "etc/passwd").write_text("".join(passwd))
    (root / "etc/group").write_text("".join(f"{name}:x:{number}:\n" for name, number, _ in _ACCOUNTS))
    (root / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\nservices: files\n")
    _certificates(root)


def busybox(root: Path) -> None:
    """Links for the applets of an unpacked busybox-static."""
    for applet in _APPLETS.split():
        link = root / "usr/bin" / applet
        if not link.exists():
            link.symlink_to("busybox")


def _merge(root: Path, name: str) -> None:
    link = root / name
    if link.is_symlink():
        return
    if link.exists():
        raise TestbedError(f"a package has files in /{name}, which is a link to usr/{name}: take a newer suite")
    if name != "lib64" or (root / "usr/lib64").exists():
        link.symlink_to(f"usr/{name}")


def _certificates(root: Path) -> None:
    # What update-ca-certificates does, without the links by hash; and OpenSSL's own name for the bundle instead of them.
    found = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    if found:
        bundle = root / "etc/ssl/certs/ca-certificates.crt"
        bundle.parent.mkdir(parents=True, exist_ok=True)
        bundle.write_text("".join(each.read_text() for each in found))
        known = root / "usr/lib/ssl/cert.pem"
        known.parent.mkdir(parents=True, exist_ok=True)
        known.symlink_to("/etc/ssl/certs/ca-certificates.crt")
