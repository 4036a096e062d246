"""The raw lister: lists what it is told of, all collections at once, page by page, and decodes it. No rows, no planning.

``python -m bench.arms.lists KUBECONFIG ROUNDS`` reads collections from standard input as one JSON line, ``[[path, parameters], ...]``, and
says for each round when it had all of them, in seconds since the epoch. Each round has connections and a user agent of its own.
"""

import asyncio
import sys
import time
from pathlib import Path

import orjson

from sovereign.cluster.client import Client
from sovereign.cluster.connection import from_kubeconfig


def agent(number: int) -> str:
    """The user agent of a round."""
    return f"bench-lists-{number}/1"


async def _list(client: Client, path: str, params: dict[str, str]) -> int:
    return sum([len(page["items"]) async for page in client.pages(path, params)])


async def main(kubeconfig: Path, rounds: int) -> None:
    """List so many times."""
    wanted = orjson.loads(sys.stdin.readline())
    for number in range(rounds):
        async with Client(from_kubeconfig(kubeconfig), agent(number)) as client:
            await asyncio.gather(*(_list(client, path, params) for path, params in wanted))
            print(time.time(), flush=True)


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(Path(sys.argv[1]), int(sys.argv[2])))
