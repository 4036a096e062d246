"""Processes that outlive the tool, found again by pid files that cannot lie.

A pid alone may belong to another process by the time it is read. A pid file therefore holds the first line of
``/proc/PID/stat`` as the process itself wrote it before it became the program: pid and start time together
name one process for as long as the machine runs. Because the process writes the file and only then executes
the program, there is no moment at which a program runs and no file says so, however the tool ends.
"""

import contextlib
import os
import select
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import TestbedError

# $0 is the pid file, "$@" the program. The rename makes the file appear whole; when the cluster's directory
# has been moved away meanwhile (`down`), it fails and the program is never started.
_BECOME = 'cat "/proc/$$/stat" > "$0.new" && mv "$0.new" "$0" && exec "$@"'


@dataclass(frozen=True)
class Process:
    """One process of this machine, identified beyond reuse of its pid."""

    pid: int
    start_time: int  # clock ticks after boot, field 22 of /proc/PID/stat

    def alive(self) -> bool:
        """Whether it still runs (a zombie does not)."""
        return _running(self.pid) == self

    def kill(self, timeout: float = 10) -> None:
        """End it and everything in its session's first process group; return when it is gone.

        SIGKILL at once: what these processes would write on a polite end is about to be deleted.

        Raises:
            TestbedError: it is still there after `timeout` seconds.
        """
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            # Compared after the handle is open: from here on the pid cannot come to mean another process.
            if self.alive():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.pid, signal.SIGKILL)
                if not select.select([handle], [], [], timeout)[0]:
                    raise TestbedError(f"process {self.pid} does not end; end it by hand and run `down` again")
        finally:
            os.close(handle)
        with contextlib.suppress(ChildProcessError):  # ours only when the same Python process started it
            os.waitpid(self.pid, os.WNOHANG)


def start(pidfile: Path, argv: Sequence[str | Path], log: Path) -> None:
    """Start `argv` in a session of its own, output appended to `log`, working directory the pid file's.

    Raises:
        OSError: no shell, or the log cannot be opened.
    """
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    script = f'cd "${{0%/*}}" && {_BECOME}'
    os.posix_spawn(
        "/bin/sh",
        ["sh", "-c", script, str(pidfile), *map(str, argv)],
        environment(),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), append, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            # What the tool inherited: whoever waits for its end by a pipe or a lock would wait for this process instead.
            *((os.POSIX_SPAWN_CLOSE, int(path.name)) for path in Path("/proc/self/fd").iterdir() if int(path.name) > 2),
        ],
        setsid=True,
    )


def read(pidfile: Path) -> Process | None:
    """The process that wrote `pidfile`, alive or not; None when there is no such file."""
    try:
        return _parse(pidfile.read_text())
    except FileNotFoundError:
        return None


def alive(pidfile: Path) -> bool:
    """Whether the process that wrote `pidfile` still runs."""
    process = read(pidfile)
    return process is not None and process.alive()


def stop(pidfiles: Iterable[Path]) -> None:
    """Kill the processes that wrote these files, then remove the files."""
    for pidfile in pidfiles:
        process = read(pidfile)
        if process is not None:
            process.kill()
        pidfile.unlink(missing_ok=True)


def _running(pid: int) -> Process | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if _fields(stat)[0] in "ZX" else _parse(stat)


def _parse(stat: str) -> Process:
    return Process(pid=int(stat.split(" ", 1)[0]), start_time=int(_fields(stat)[19]))


def _fields(stat: str) -> list[str]:
    # The second field is the program's name in parentheses and may hold spaces and parentheses itself.
    return stat.rpartition(")")[2].split()


def environment() -> dict[str, str]:
    # Nothing of the caller's: proxies or a KUBECONFIG must not reach a control plane on loopback.
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent", "LC_ALL": "C"}
