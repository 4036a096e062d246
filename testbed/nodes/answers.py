"""A host of the outside world: answers HTTP on port 80 of every address it is given, and writes down who asked.

Run as a program of its own inside the outside world's namespace.
"""

import argparse
import asyncio
import ipaddress
import json
import time
from pathlib import Path
from typing import TextIO

_BODY = b"outside\n"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(_BODY), _BODY)


async def _serve(addresses: list[str], log: TextIO) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = writer.get_extra_info("sockname")[0]
        entry = {"from": writer.get_extra_info("peername")[0], "to": asked, "at": time.time()}
        try:
            request = await asyncio.wait_for(reader.readline(), 5)
            log.write(json.dumps(entry | {"request": request.decode(errors="replace").strip()}) + "\n")
            log.flush()
            writer.write(_ANSWER)
            await writer.drain()
        except (OSError, TimeoutError):
            pass  # who asked is gone
        finally:
            writer.close()

    servers = [await asyncio.start_server(answer, address, 80) for address in addresses]
    await asyncio.gather(*(server.serve_forever() for server in servers))


def main() -> None:
    """Parse the command line and serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", action="append", required=True, type=lambda text: str(ipaddress.ip_address(text)))
    parser.add_argument("--log", required=True, type=Path)
    options = parser.parse_args()
    with options.log.open("a") as log:
        asyncio.run(_serve(options.listen, log))


if __name__ == "__main__":
    main()
