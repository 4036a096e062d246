"""The bare writer: applies what it is told of, and nothing else. No watch, no cache, no planning.

``python -m bench.arms.bare KUBECONFIG`` reads a job from standard input, one JSON object a line, and writes it with eight requests at
once: ``{"requests": [[path, body, content type, parameters], ...]}``, in order. It says ``ready`` first, and ``done`` at the end.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import orjson

from bench.ground import CONCURRENCY
from sovereign.cluster.client import Client
from sovereign.cluster.connection import from_kubeconfig


async def _write(client: Client, job: dict[str, Any]) -> None:
    for path, body, kind, params in job["requests"]:
        await client.patch(path, body, kind=kind, params=params or None)


async def _work(client: Client, jobs: asyncio.Queue[bytes | None]) -> None:
    while True:
        line = await jobs.get()
        if line is None:
            jobs.put_nowait(None)
            return
        await _write(client, orjson.loads(line))


async def main(kubeconfig: Path) -> None:
    """Read jobs until the end of the input, and write them."""
    jobs: asyncio.Queue[bytes | None] = asyncio.Queue()
    reader = asyncio.StreamReader(limit=2**22)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with Client(from_kubeconfig(kubeconfig), "bench-bare/1") as client:
        print("ready", flush=True)
        workers = [asyncio.create_task(_work(client, jobs)) for _ in range(CONCURRENCY)]
        while line := await reader.readline():
            jobs.put_nowait(line)
        jobs.put_nowait(None)
        await asyncio.gather(*workers)
    print("done", flush=True)


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(Path(sys.argv[1])))
