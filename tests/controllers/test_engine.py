"""The workers over the queue."""

import asyncio
from itertools import pairwise

from sovereign.cluster.queue import Key, Queue
from sovereign.controllers.engine import Engine


async def test_reconciles_that_await_nothing_leave_others_their_turn() -> None:
    queue, done = Queue(), 0
    keys = 100
    for number in range(keys):
        queue.add(Key("Pod", "ns", str(number)))

    async def reconcile(_: Key) -> None:
        nonlocal done
        done += 1

    workers = asyncio.create_task(Engine(queue, {"Pod": reconcile}, 2).run())
    seen = [0]
    while seen[-1] < keys:
        await asyncio.sleep(0)
        seen.append(done)
    workers.cancel()
    await asyncio.gather(workers, return_exceptions=True)
    assert max(later - earlier for earlier, later in pairwise(seen)) <= 4
