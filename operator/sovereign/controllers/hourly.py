"""How often a thing is told of each policy: whoever may make objects in a namespace can make up as many as it likes."""

import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Final

HOUR: Final = 3600.0


class Hourly:
    """So many within an hour, policy by policy."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._told: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=most))

    def allows(self, policy: str) -> bool:
        """Whether one more may be told of ``policy``, which is counted then."""
        told, now = self._told[policy], self._clock()
        if len(told) == self._most and now - told[0] < HOUR:
            return False
        told.append(now)
        return True

    def forget(self, policy: str) -> None:
        """A policy is gone."""
        self._told.pop(policy, None)
