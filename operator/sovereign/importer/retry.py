"""Trying again: exponential back-off with full jitter, and the wait a server asks for."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from sovereign.importer.failure import ImportFailure, Reason

LOG = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often and when to try again.

    Attributes:
        attempts: tries in all, the first included.
        delay: seconds; the wait after the first failure is drawn from [delay / 2, delay], and doubles from
            there.
        ceiling: the longest wait in seconds, also when a server asks for more.
    """

    attempts: int = 8
    delay: float = 0.5
    ceiling: float = 60.0

    def wait(self, failures: int, asked: float | None = None) -> float:
        """Seconds to wait after so many failures (at least one)."""
        longest = min(self.ceiling, self.delay * 2.0 ** min(failures - 1, 32))
        drawn = random.uniform(longest / 2, longest)  # noqa: S311 - jitter, not a secret
        return min(self.ceiling, max(drawn, asked or 0.0))

    async def pause(self, failures: int, failure: ImportFailure, what: str) -> None:
        """Wait before the next try, or raise the failure when there shall be none.

        Only an unreachable source is tried again on the spot. Other failures that pass (a source that
        changed, a volume that went away) need a new start.
        """
        passing = failure.retryable and failure.reason is Reason.SOURCE_UNREACHABLE
        if not passing or failures >= self.attempts:
            raise failure
        seconds = self.wait(failures, failure.retry_after)
        LOG.warning("%s failed (%s), trying again in %.1f s: %s", what, failure.reason.value, seconds, failure.message)
        await asyncio.sleep(seconds)


async def retrying(operation: Callable[[], Awaitable[T]], backoff: Backoff, what: str) -> T:
    """Run an operation until it succeeds, fails for good, or the attempts are used up."""
    failures = 0
    while True:
        try:
            return await operation()
        except ImportFailure as failure:
            failures += 1
            await backoff.pause(failures, failure, what)
