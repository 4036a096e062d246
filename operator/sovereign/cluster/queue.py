"""A deduplicating work queue with per-key back-off.

The contract is that of client-go's workqueue: a key that is added while it is processed is processed once more afterwards, never
twice at the same time; many adds before processing are one.

There are three ranks: gates (what closes the cluster), repairs, and all the rest. No key waits for one of a lower rank that has not begun.

Before anybody works, on a standby and while caches are read, the rest forms a backlog. What changed last comes out of it first: the leader
that is gone has most likely seen to the others. What is added while it is worked off takes turns with it.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

BASE_DELAY: Final = 0.2
MAX_DELAY: Final = 60.0


class Key(NamedTuple):
    """What is to be reconciled."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}" if self.namespace else f"{self.kind}/{self.name}"


class Queue:
    """Keys waiting to be reconciled."""

    def __init__(self, clock: Callable[[], float] | None = None, *, standby: bool = False) -> None:
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._gates: dict[Key, None] = {}
        """In the order in which they were added."""
        self._ready: deque[Key] = deque()
        """Those that became gates meanwhile, too."""
        self._standby = standby
        self._backlog: dict[Key, None] = {}
        """In the order in which they were added last."""
        self._from_backlog = False
        """Whether the last key was."""
        self._queued: set[Key] = set()
        self._active: set[Key] = set()
        self._again: dict[Key, bool] = {}
        """Keys that were added while they are processed, and whether as gates."""
        self._due: dict[Key, float] = {}
        self._delayed: list[tuple[float, Key]] = []
        self._failures: dict[Key, int] = {}
        self._wake = asyncio.Event()
        self.on_add: Callable[[], object] = lambda: None

    def __len__(self) -> int:
        return len(self._queued)

    def __contains__(self, key: Key) -> bool:
        return key in self._queued

    @property
    def idle(self) -> bool:
        """Nothing is queued or being processed (delayed keys do not count)."""
        return not self._queued and not self._active

    def add(self, key: Key, *, first: bool = False, gate: bool = False) -> None:
        """Queue ``key``; ``first`` puts it before all others (repairs) but ``gate``s, which take their turns in order."""
        if key in self._active:
            self._again[key] = gate or self._again.get(key, False)
            return
        if key in self._backlog:
            del self._backlog[key]
        elif key not in self._queued:
            self.on_add()
        elif not gate:
            return
        self._queued.add(key)
        if gate:
            self._gates[key] = None
        elif first:
            self._ready.appendleft(key)
        elif self._standby:
            self._backlog[key] = None
        else:
            self._ready.append(key)
        self._wake.set()

    def begin(self) -> None:
        """From now on keys are taken out as they come: there are workers."""
        self._standby = False

    def comes_again(self, key: Key) -> bool:
        """Whether ``key``, which is being processed, was added as a gate meanwhile: what is begun may as well be left to the next time."""
        return self._again.get(key, False)

    def add_after(self, key: Key, delay: float) -> None:
        """Queue ``key`` in ``delay`` seconds; the earliest of several such calls counts."""
        due = self._clock() + delay
        if self._due.get(key, due + 1) <= due:
            return
        self._due[key] = due
        heapq.heappush(self._delayed, (due, key))
        self._wake.set()

    def retry(self, key: Key) -> float:
        """Queue ``key`` after its back-off, which doubles with each call; returns the delay in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(BASE_DELAY * float(2 ** min(failures, 20)), MAX_DELAY)
        self.add_after(key, delay)
        return delay

    def forget(self, key: Key) -> None:
        """Begin the back-off of ``key`` anew, after a success."""
        self._failures.pop(key, None)

    async def get(self) -> Key:
        """The next key. Call ``done`` when it has been processed."""
        while True:
            timeout = self._release_due()
            while self._gates or self._ready or self._backlog:
                key = self._next()
                if key in self._queued:
                    self._take(key)
                    return key
            self._wake.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _take(self, key: Key) -> None:
        self._queued.discard(key)
        self._active.add(key)
        if not self._queued:
            # At a start everything was in them, and they keep the room for it.
            self._queued.clear()
            self._backlog.clear()

    def _next(self) -> Key:
        if self._gates:
            key = next(iter(self._gates))
            del self._gates[key]
            return key
        self._from_backlog = bool(self._backlog) and not (self._ready and self._from_backlog)
        return self._backlog.popitem()[0] if self._from_backlog else self._ready.popleft()

    def done(self, key: Key) -> None:
        """``key`` has been processed."""
        self._active.discard(key)
        if key in self._again:
            self.add(key, gate=self._again.pop(key))

    def _release_due(self) -> float | None:
        """Move delayed keys whose time has come; returns the seconds until the next, or None."""
        now = self._clock()
        while self._delayed:
            due, key = self._delayed[0]
            if due > now:
                return due - now
            heapq.heappop(self._delayed)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)
        return None
