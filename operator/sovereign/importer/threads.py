"""Blocking calls in threads, and tasks that end together."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(pool: Executor | None, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking call in a thread; when cancelled, first let the call end.

    Else a file descriptor could be closed, and its number given to another file, under a thread that still
    writes.
    """
    future = asyncio.get_running_loop().run_in_executor(pool, lambda: call(*args, **kwargs))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await settle(future)
        raise


async def together(*coroutines: Coroutine[Any, Any, T]) -> list[T]:
    """Run coroutines at once; the first failure stops the others and, when they ended, is raised as it is."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await settle(*tasks)


async def settle(*futures: "asyncio.Future[Any]") -> None:
    """Wait until futures are done, whatever they end with, and however often the wait is cancelled."""
    cancelled = False
    while waiting := [future for future in futures if not future.done()]:
        try:
            await asyncio.wait(waiting)
        except asyncio.CancelledError:
            cancelled = True
    for future in futures:
        if not future.cancelled():
            # Taken note of, or asyncio would print it as forgotten.
            future.exception()
    if cancelled:
        raise asyncio.CancelledError
