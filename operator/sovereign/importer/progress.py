"""How far an import is: bytes, rate, time left."""

import asyncio
import logging
import time
from collections import deque

LOG = logging.getLogger(__name__)

_WINDOW = 12


class Progress:
    """Counts bytes and says so in the log.

    Attributes:
        total: bytes of the model.
        done: bytes that are on disk, those of an earlier attempt included.
        fetched: bytes that came from the source in this run.
    """

    def __init__(self) -> None:
        self.total = 0
        self.done = 0
        self.fetched = 0
        self.started = time.monotonic()
        self._samples: deque[tuple[float, int]] = deque(maxlen=_WINDOW)

    def add(self, count: int) -> None:
        """Count bytes that just arrived."""
        self.done += count
        self.fetched += count

    def resume(self, count: int) -> None:
        """Count bytes that were on disk already; negative when they turn out to be of no use."""
        self.done += count

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def rate(self) -> float:
        """Bytes per second over the last samples."""
        self._samples.append((time.monotonic(), self.fetched))
        (first, before), (last, after) = self._samples[0], self._samples[-1]
        return (after - before) / (last - first) if last > first else 0.0

    def log(self, message: str = "progress") -> None:
        """Write one line."""
        rate = self.rate()
        left = max(0, self.total - self.done)
        fields = {
            "bytes": self.done,
            "totalBytes": self.total,
            "bytesPerSecond": round(rate),
            "etaSeconds": round(left / rate) if rate else None,
        }
        LOG.info(message, extra={"fields": fields})

    async def report(self, interval: float) -> None:
        """Write a line every `interval` seconds, for ever."""
        self.rate()
        while True:
            await asyncio.sleep(interval)
            self.log()
