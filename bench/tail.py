"""What a program asks the API server, as the audit log grows: to wait for a request, or for the end of them, costs the program nothing."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from bench.ground import PATIENCE, NotInTimeError
from testbed import audit

_PAUSE = 0.005


class Tail:
    """The requests of one program since this was made, besides watches and leases, in the order of their lines."""

    def __init__(self, log: Path, agent: str) -> None:
        self.log = log
        self._agent = agent
        self._at = audit.position(log)
        self.seen: list[audit.Request] = []

    def read(self) -> list[audit.Request]:
        """Those that are new; they are added to ``seen``."""
        with self.log.open("rb") as log:
            log.seek(self._at)
            content = log.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._at += len(whole)
        needle = f'"userAgent":"{self._agent}'.encode()
        found = [audit.request(orjson.loads(line)) for line in whole.splitlines() if needle in line]
        new = [one for one in found if one.verb != "watch" and one.resource != "leases"]
        self.seen += new
        return new

    def until(self, what: str, done: Callable[[], Any], patience: float = PATIENCE) -> None:
        """Read until ``done``, which looks at ``seen``, says something true.

        Raises:
            NotInTimeError: it never does.
        """
        deadline = time.monotonic() + patience
        while not done():
            self.read()
            if time.monotonic() > deadline:
                raise NotInTimeError(f"waited {patience:.0f} s for {what}")
            time.sleep(_PAUSE)

    def quiet(self, seconds: float = 1.5) -> None:
        """Wait until nothing was asked for so many seconds.

        Raises:
            NotInTimeError: it never ends.
        """
        began = since = time.monotonic()
        while time.monotonic() - since < seconds:
            if self.read():
                since = time.monotonic()
            if since - began > PATIENCE:
                raise NotInTimeError("the requests do not end")
            time.sleep(_PAUSE)
