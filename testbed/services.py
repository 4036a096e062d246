"""The processes of one cluster: started, watched until they are ready, and restarted when they are not."""

import http.client
import ssl
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from testbed import process
from testbed.errors import TestbedError

_POLL = 0.05  # seconds between two looks at a service that is coming up
_PATIENCE = 10.0  # seconds given to a process found running before it is taken for hung and restarted


@dataclass(frozen=True)
class Service:
    """One process: how it is started, and the URL that answers 200 once it is ready; or a file URL, of a file that is there then."""

    name: str
    argv: tuple[str | Path, ...]
    health: str
    context: ssl.SSLContext | None = None  # for https health URLs

    def pidfile(self, folder: Path) -> Path:
        """Where its identity is kept in the cluster's folder."""
        return folder / "run" / f"{self.name}.pid"

    def log(self, folder: Path) -> Path:
        """Where its output goes in the cluster's folder."""
        return folder / "log" / f"{self.name}.log"

    def healthy(self) -> bool:
        """Whether the health URL answers 200 now."""
        url = urlsplit(self.health)
        if url.scheme == "file":
            return Path(unquote(url.path)).exists()
        # Not urllib: it would ask a proxy from the environment.
        connection: http.client.HTTPConnection
        if self.context:
            connection = http.client.HTTPSConnection(url.netloc, timeout=3, context=self.context)
        else:
            connection = http.client.HTTPConnection(url.netloc, timeout=3)
        try:
            connection.request("GET", url.path)
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):  # refused, reset, timed out, or no HTTP
            return False
        finally:
            connection.close()


def pidfiles(folder: Path) -> list[Path]:
    """The pid files of all processes ever started for this cluster."""
    return sorted((folder / "run").glob("*.pid"))


def stop(folder: Path, prefix: str) -> None:
    """End the processes of this cluster whose names begin with `prefix`.

    Raises:
        TestbedError: one does not end.
    """
    process.stop(sorted((folder / "run").glob(f"{prefix}*.pid")))


def running(folder: Path, services: Sequence[Service]) -> bool:
    """Whether every service runs and answers, at this moment."""
    return all(process.alive(service.pidfile(folder)) for service in services) and all(
        service.healthy() for service in services
    )


def ensure_ready(folder: Path, services: Sequence[Service], timeout: float = 90) -> None:
    """Start what does not run, restart what runs without answering, wait until all answer; all at once.

    Raises:
        TestbedError: one does not get ready in `timeout` seconds; with the last lines of its log.
    """
    for name in ("run", "log"):
        (folder / name).mkdir(exist_ok=True)
    with ThreadPoolExecutor(len(services)) as pool:
        for outcome in [pool.submit(_ensure_one, folder, service, timeout) for service in services]:
            outcome.result()


def _ensure_one(folder: Path, service: Service, timeout: float) -> None:
    pidfile = service.pidfile(folder)
    if process.alive(pidfile):
        if _wait(service.healthy, _PATIENCE):
            return
        process.stop([pidfile])
    pidfile.unlink(missing_ok=True)
    process.start(pidfile, service.argv, service.log(folder))
    # The process writes the file before it becomes the program; once it is there and the process is not, it
    # has ended.
    _wait(pidfile.exists, 10)
    if not _wait(service.healthy, timeout, lambda: process.alive(pidfile)):
        ended = "is not ready" if process.alive(pidfile) else "ended"
        raise TestbedError(f"{service.name} {ended}; its log says:\n{_last_lines(service.log(folder))}")


def _wait(condition: Callable[[], bool], timeout: float, while_true: Callable[[], bool] | None = None) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline or (while_true and not while_true()):
            return False
        time.sleep(_POLL)
    return True


def _last_lines(log: Path, count: int = 8) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-count:])
    except FileNotFoundError:
        return "(nothing)"
