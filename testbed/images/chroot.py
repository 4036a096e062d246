"""Commands in a root file system, in namespaces of their own: no process, mount or network of the machine's.

It needs root on Linux. The environment is what is given, nothing of the caller's.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from testbed.errors import TestbedError

WHEELHOUSE: Final = "/run/wheelhouse"
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# /dev and /run are memory, so that what is put there leaves no trace in the root file system. The shell stays, as the
# namespace's first process and as root: --kill-child is lost on a process that becomes another user.
_SETUP: Final = """\
root=$1 offered=$2 readonly=$3; shift 3
mount --make-rprivate /
mount --rbind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 dev "$root/dev"
for device in full null random urandom zero; do
  : > "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir -m 1777 "$root/dev/shm"
mount -t tmpfs -o mode=755 run "$root/run"
if test -n "$offered"; then
  mkdir "$root/run/wheelhouse"
  mount --bind -o ro "$offered" "$root/run/wheelhouse"
fi
if test -n "$readonly"; then mount -o remount,bind,ro "$root"; fi
env -i "$@" || exit $?
"""


def run(
    root: Path,
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    user: int = 0,
    read_only: bool = False,
    wheels: Path | None = None,
) -> None:
    """Run `argv` in `root` to its end, without a network.

    Raises:
        TestbedError: not root, or the command failed (with its last words).
    """
    full = command(root, argv, environment=environment, user=user, read_only=read_only, wheels=wheels)
    done = subprocess.run(full, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=_PROGRAMS, check=False)
    if done.returncode != 0:
        words = (done.stdout + done.stderr).strip()[-3000:]
        raise TestbedError(f"`{' '.join(argv)}` in {root} ended with {done.returncode}:\n{words}")


def command(
    root: Path,
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    user: int = 0,
    network: bool = False,
    read_only: bool = False,
    wheels: Path | None = None,
) -> list[str]:
    """The command that runs `argv` in `root`; it ends when the command does, and takes it along when it is killed."""
    require_root()
    variables = [f"{name}={value}" for name, value in ({"PATH": PATH} | dict(environment)).items()]
    namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--ipc", "--uts", *([] if network else ["--net"])]
    setup = ["sh", "-ec", _SETUP, "sh", str(root), str(wheels or ""), "yes" if read_only else ""]
    inside = [shutil.which("chroot", path=PATH) or "chroot", f"--userspec={user}:{user}", "--groups=", str(root), *argv]
    return ["unshare", *namespaces, "--", *setup, *variables, *inside]


def require_root() -> None:
    """Refuse to go on where commands cannot be run in a root file system."""
    if os.geteuid() != 0:
        raise TestbedError(
            "images with Python in them are made by running commands in their root file system, which needs root on "
            "Linux (mount and chroot): run this as root, or take a cache along in which they were made"
        )
    if not shutil.which("unshare"):
        raise TestbedError("there is no `unshare` here: apt-get install util-linux")


_PROGRAMS: Final = {"PATH": PATH, "LC_ALL": "C"}
