"""The bare writer: applies what it is told of, and nothing else. No watch, no cache, no planning.

``python -m bench.arms.bare KUBECONFIG`` speaks the protocol of `bench.arms.writer`.
"""

import asyncio
import sys
from pathlib import Path

import msgspec

from bench.ground import CONCURRENCY
from sovereign.cluster.client import Client
from sovereign.cluster.connection import from_kubeconfig

AGENT = "bench-bare"


class Request(msgspec.Struct):
    """One PATCH; its body is sent as it came."""

    path: str
    body: msgspec.Raw
    kind: str
    params: dict[str, str] | None = None


class Job(msgspec.Struct):
    """What one model and its pool cost."""

    waves: list[list[Request]]


async def _send(client: Client, request: Request) -> None:
    await client.patch(request.path, bytes(request.body), kind=request.kind, params=request.params)


async def _write(client: Client, job: Job) -> None:
    for wave in job.waves:
        if len(wave) == 1:
            await _send(client, wave[0])
        else:
            await asyncio.gather(*(_send(client, request) for request in wave))


async def _work(client: Client, jobs: asyncio.Queue[bytes | None]) -> None:
    decoder = msgspec.json.Decoder(Job)
    while (line := await jobs.get()) is not None:
        await _write(client, decoder.decode(line))
    jobs.put_nowait(None)


async def main(kubeconfig: Path) -> None:
    """Read jobs until the end of the input, and write them."""
    jobs: asyncio.Queue[bytes | None] = asyncio.Queue()
    reader = asyncio.StreamReader(limit=2**22)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with Client(from_kubeconfig(kubeconfig), f"{AGENT}/1") as client:
        await asyncio.gather(*(client.get("/version") for _ in range(CONCURRENCY)))
        print("ready", flush=True)
        async with asyncio.TaskGroup() as workers:
            for _ in range(CONCURRENCY):
                workers.create_task(_work(client, jobs))
            while line := await reader.readline():
                jobs.put_nowait(line)
            jobs.put_nowait(None)
    print("done", flush=True)


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(Path(sys.argv[1])))
