"""The listener that network probes try to reach. It says one fixed sentence to everybody and hangs up."""

import asyncio

from sovereign.api.meta import PROBE_BANNER
from sovereign.cluster.endpoints import AddressUnavailable, split


async def _answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(PROBE_BANNER)
    writer.close()


async def listen(address: str) -> asyncio.Server:
    """Listen on ``host:port``; the caller calls ``close`` on the result.

    Raises:
        AddressUnavailable: the address is taken, not of this machine, or none.
    """
    try:
        host, port = split(address)
        return await asyncio.start_server(_answer, host, port)
    except (OSError, ValueError) as error:
        raise AddressUnavailable(f"{address}: {error}; set --probe-listen to a free address") from error
