"""Bare writers as child processes, one in Python and one in Go, and what they are told.

The protocol: the writer says ``ready``; reads jobs from standard input, one JSON object a line, ``{"waves": [[{path, body, kind,
params}, ...], ...]}``; does eight jobs at once, the waves of each in order, the requests of a wave at once; and says ``done`` when
its input has ended and all is written.
"""

import fcntl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from testbed import binaries

GO: Final = binaries.Module(
    "gowriter", ("gowriter",), source="k8s.io/client-go", minutes=1, package=".", root=Path(__file__).parent
)
_PIPE: Final = 2**20


def python(kubeconfig: Path) -> Sequence[str]:
    """The command of the writer that uses the operator's own client."""
    return (sys.executable, "-m", "bench.arms.bare", str(kubeconfig))


def go(kubeconfig: Path) -> Sequence[str]:
    """The command of the writer that uses client-go; it is built when it is not in the cache."""
    return (str(binaries.ensure(GO) / "gowriter"), str(kubeconfig))


class Writer:
    """A running writer that is ready."""

    def __init__(self, popen: subprocess.Popen[bytes], pipe: IO[bytes]) -> None:
        self.popen = popen
        self._pipe = pipe

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.popen.poll() is None

    def tell(self, job: bytes) -> None:
        """Have one job done; does not wait."""
        self._pipe.write(job)
        self._pipe.flush()


@contextmanager
def writer(command: Sequence[str]) -> Iterator[Writer]:
    """Start a writer; at the end its input is closed, and what it was told of is written.

    Raises:
        RuntimeError: it failed.
    """
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        # The loader must not wait for the writer to read.
        fcntl.fcntl(process.stdin, fcntl.F_SETPIPE_SZ, _PIPE)
        try:
            _expect(process.stdout, b"ready\n")
            yield Writer(process, process.stdin)
            process.stdin.close()
            _expect(process.stdout, b"done\n")
        finally:
            process.kill()


def _expect(output: IO[bytes], line: bytes) -> None:
    said = output.readline()
    if said != line:
        raise RuntimeError(f"a bare writer said {said!r} and not {line!r}")
