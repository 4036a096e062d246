"""Attempts to reach a listener, and what they come to.

A connection counts as reached only when the operator's banner was read from it: something on the way (a proxy) may accept
connections that never arrive.
"""

import errno
import ipaddress
import socket
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Final, NamedTuple

from sovereign.api.meta import PROBE_BANNER

ATTEMPT: Final = 2.0
"""Seconds that one connection may take."""
PAUSE: Final = 0.5
"""Seconds between two attempts."""
_UNREACHABLE: Final = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM)


class Outcome(StrEnum):
    """What was seen of one target."""

    REACHED = "reached"
    LATE = "late"
    """Reached at first, and then no more."""
    REFUSED = "refused"
    """A reset: nobody listens, or a filter says so."""
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    UNCLEAR = "unclear"
    """Something answered, and it was not the operator."""


class Target(NamedTuple):
    """An address to reach."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Read ``10.0.0.1:8081`` or ``[fd00::1]:8081``.

        Raises:
            ValueError: it is neither.
        """
        host, colon, port = text.rpartition(":")
        bare = host.removeprefix("[").removesuffix("]")
        address = ipaddress.ip_address(bare)
        if not colon or (address.version == 6) != host.startswith("["):
            raise ValueError(f"{text} is not IP:PORT")
        return cls(str(address), int(port))


def attempt(target: Target, timeout: float = ATTEMPT) -> Outcome:
    """Connect once, and read the banner."""
    try:
        connection = socket.create_connection(target, timeout)
    except ConnectionRefusedError:
        return Outcome.REFUSED
    except TimeoutError:
        return Outcome.TIMEOUT
    except OSError as error:
        return Outcome.UNREACHABLE if error.errno in _UNREACHABLE else Outcome.UNCLEAR
    with connection:
        try:
            return Outcome.REACHED if _said(connection) == PROBE_BANNER else Outcome.UNCLEAR
        except OSError:
            return Outcome.UNCLEAR


def _said(connection: socket.socket) -> bytes:
    """What the other side says until it is through, or has said enough."""
    said = b""
    while len(said) <= len(PROBE_BANNER) and (part := connection.recv(256)):
        said += part
    return said


def watch(
    target: Target,
    window: float,
    *,
    until_reached: bool,
    connect: Callable[[Target], Outcome] = attempt,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Outcome:
    """Try again and again for ``window`` seconds, or only until the target is reached.

    A pod's network may come up a moment after the pod, and so may the filter in front of it: one attempt shows neither
    that it is closed nor that it stays open.
    """
    end = clock() + window
    seen: list[Outcome] = []
    while True:
        seen.append(connect(target))
        if (until_reached and seen[-1] is Outcome.REACHED) or clock() + PAUSE >= end:
            return concluded(seen)
        sleep(PAUSE)


def concluded(seen: list[Outcome]) -> Outcome:
    """What a row of attempts comes to."""
    if Outcome.REACHED in seen:
        return Outcome.REACHED if seen[-1] is Outcome.REACHED else Outcome.LATE
    return Outcome.UNCLEAR if Outcome.UNCLEAR in seen else seen[-1]
