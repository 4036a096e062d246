"""Free TCP ports on loopback that stay free until their owner binds them."""

import random
import socket
from collections.abc import Collection

from testbed.errors import TestbedError

LOOPBACK = "127.0.0.1"

# Below the kernel's ephemeral range (32768 and up): no outgoing connection takes one between choice and use.
_RANGE = range(20_000, 32_000)


def choose(count: int, taken: Collection[int]) -> list[int]:
    """Choose `count` ports that nobody listens on and that are not in `taken` (chosen by other clusters).

    Raises:
        TestbedError: there are not that many.
    """
    chosen: list[int] = []
    for port in random.sample(_RANGE, len(_RANGE)):
        if port not in taken and _free(port):
            chosen.append(port)
            if len(chosen) == count:
                return chosen
    raise TestbedError(f"no {count} free ports between {_RANGE.start} and {_RANGE.stop} on {LOOPBACK}")


def _free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
