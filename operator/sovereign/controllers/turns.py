"""How many removals are under way at once, policy by policy."""

from collections import Counter
from collections.abc import Callable

from sovereign.cluster.queue import Key

Limits = tuple[tuple[str, int], ...]
"""The policies that want something removed, and how many removals each has at once."""


class Turns:
    """Who is being removed, and who waits. A turn that ends is given to the first of those who wait and have room."""

    def __init__(self, wake: Callable[[Key], None]) -> None:
        self._wake = wake
        self._under_way: dict[Key, tuple[str, ...]] = {}
        self._busy: Counter[str] = Counter()
        self._waiting: dict[Key, Limits] = {}

    def take(self, key: Key, limits: Limits) -> None:
        """Have a turn whatever the limits."""
        self._waiting.pop(key, None)
        if key not in self._under_way:
            self._under_way[key] = policies = tuple(policy for policy, _ in limits)
            self._busy.update(policies)

    def enter(self, key: Key, limits: Limits) -> bool:
        """Whether it is ``key``'s turn; if not, it is woken when it is."""
        if key in self._under_way:
            return True
        if not self._room(limits):
            self._waiting[key] = limits
            return False
        self.take(key, limits)
        return True

    def leave(self, key: Key) -> None:
        """Give a turn, or the wait for one, up."""
        self._waiting.pop(key, None)
        freed = self._under_way.pop(key, ())
        if not freed:
            return
        self._busy.subtract(freed)
        left = set(freed)
        for other, wanted in list(self._waiting.items()):
            if not left:
                break
            if not left.isdisjoint(policy for policy, _ in wanted) and self._room(wanted):
                left -= {policy for policy, _ in wanted}
                self.take(other, wanted)
                self._wake(other)

    def _room(self, limits: Limits) -> bool:
        return all(self._busy[policy] < most for policy, most in limits)
