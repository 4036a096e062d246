"""What real nodes need of this machine, and commands run on it as root."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from testbed import process
from testbed.errors import TestbedError

_PROGRAMS = {
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "runc": "runc",
    "iptables": "iptables",
    "ipset": "ipset",
    "conntrack": "conntrack",
}
_INOTIFY_PER_NODE, _INOTIFY_OTHERS = 12, 20
CNI_PLUGINS = Path("/usr/lib/cni")
_PACKAGES = (*dict.fromkeys(_PROGRAMS.values()), "containernetworking-plugins")
_DEBIAN = f"apt-get install {' '.join(_PACKAGES)}"


def requirement(otherwise: str = "") -> str | None:
    """What this machine lacks for real nodes, said with what to do; None when it has all.

    Args:
        otherwise: what else can be done about it, where that is not `testbed up` without real nodes.
    """
    if sys.platform != "linux":
        return f"real nodes need Linux; {otherwise or 'use --provider kind, or fake nodes alone'}"
    if os.geteuid() != 0:
        what = "real nodes need root (network namespaces, mounts, cgroups); run as root"
        return f"{what}, or {otherwise or 'leave --nodes out'}"
    missing = [program for program in _PROGRAMS if not shutil.which(program)]
    if missing or not (CNI_PLUGINS / "host-local").exists():
        what = ", ".join(missing) or f"the CNI plugins in {CNI_PLUGINS}"
        return f"real nodes need {what}; on Debian: {_DEBIAN}"
    return None


def too_many(nodes: int) -> str | None:
    """What keeps this machine from having so many real nodes, said with what to do; None when nothing does."""
    limit = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    if limit >= (needed := _INOTIFY_PER_NODE * nodes + _INOTIFY_OTHERS):
        return None
    return (
        f"{nodes} real nodes take some {needed} inotify instances, and this machine allows {limit}: fewer nodes, or "
        f"sysctl fs.inotify.max_user_instances={needed}"
    )


def install() -> None:
    """Install what is missing, on Debian and its kin.

    Raises:
        TestbedError: it is no such machine, or apt-get failed; the text says what it said.
    """
    if requirement() is None:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise TestbedError(f"{requirement()}; only as root, and with apt-get, can this be installed from here")
    environment = process.environment() | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-q", "-y", "--no-install-recommends", *_PACKAGES],
    ):
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode != 0:
            raise TestbedError(f"{' '.join(command[:2])}: {done.stderr.strip()}")
    if reason := requirement():
        raise TestbedError(reason)


def run(*argv: str | Path, stdin: str | None = None) -> str:
    """Run a command and return what it prints.

    Raises:
        TestbedError: it failed; with what it said.
    """
    command = list(map(str, argv))
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=process.environment(), check=False)
    if done.returncode != 0:
        raise TestbedError(f"{' '.join(command[:8])}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def batch(program: str, commands: list[str], *arguments: str) -> None:
    """Give several lines to a program that reads them, such as ``ip -batch -``; nothing when there are none."""
    if commands:
        run(program, *arguments, stdin="\n".join(commands) + "\n")
