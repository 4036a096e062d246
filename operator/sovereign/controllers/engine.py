"""The workers: take a key, reconcile it, and see to it that nothing is forgotten."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

import aiohttp

from sovereign.cluster import metrics
from sovereign.cluster.client import ApiError
from sovereign.cluster.queue import Key, Queue
from sovereign.controllers.context import Outcome, Retry

logger = logging.getLogger(__name__)
Reconciler = Callable[[Key], Awaitable[Outcome]]
NAME = "sovereign"


class Engine:
    """A fixed number of workers over one queue."""

    def __init__(self, queue: Queue, reconcilers: Mapping[str, Reconciler], workers: int) -> None:
        self._queue = queue
        self._reconcilers = reconcilers
        self._count = workers
        metrics.QUEUE_DEPTH.labels(NAME).set_function(lambda: len(queue))
        queue.on_add = metrics.QUEUE_ADDS.labels(NAME).inc

    async def run(self) -> None:
        """Work until cancelled. A reconcile in progress is cancelled between two requests: all state is level-triggered."""
        self._queue.begin()
        async with asyncio.TaskGroup() as group:
            for _ in range(self._count):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                await self._reconcile(key)
            finally:
                self._queue.done(key)
            # A reconcile that finds nothing to do awaits nothing: answers, events and the lease have their turn.
            await asyncio.sleep(0)

    async def _reconcile(self, key: Key) -> None:
        started = time.perf_counter()
        result = "success"
        metrics.ACTIVE_WORKERS.labels(key.kind).inc()
        try:
            outcome = await self._reconcilers[key.kind](key)
            result = self._conclude(key, outcome)
        except (ApiError, aiohttp.ClientError, OSError, TimeoutError) as error:
            result = "error"
            self._retry(key, f"{type(error).__name__}: {error}")
        except Exception:
            result = "error"
            logger.exception("Reconciling %s failed", key)
            self._retry(key, "unexpected error")
        finally:
            metrics.ACTIVE_WORKERS.labels(key.kind).dec()
            metrics.RECONCILES.labels(key.kind, result).inc()
            metrics.RECONCILE_SECONDS.labels(key.kind).observe(time.perf_counter() - started)
            metrics.LAST_RECONCILE.set_to_current_time()

    def _conclude(self, key: Key, outcome: Outcome) -> str:
        """Queue the key again if its reconcile wants that; returns the result for the metrics."""
        if isinstance(outcome, Retry):
            self._retry(key, outcome.why)
            return "requeue"
        self._queue.forget(key)
        if outcome is None:
            return "success"
        self._queue.add_after(key, outcome.seconds)
        return "requeue_after"

    def _retry(self, key: Key, why: str) -> None:
        metrics.RECONCILE_ERRORS.labels(key.kind).inc()
        metrics.QUEUE_RETRIES.labels(NAME).inc()
        delay = self._queue.retry(key)
        logger.warning("%s: trying again in %.1f s: %s", key, delay, why)
