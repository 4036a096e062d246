"""Which members belong to a key."""

from collections.abc import Hashable
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Hashable)


class Index(dict[K, set[V]]):
    """Sets by key. One that became empty is forgotten, or names of what is long gone would pile up."""

    def add(self, key: K, member: V) -> None:
        """Have ``member`` belong to ``key``."""
        self.setdefault(key, set()).add(member)

    def discard(self, key: K, member: V) -> None:
        """Have it belong there no longer, if it did."""
        members = self.get(key)
        if members is None:
            return
        members.discard(member)
        if not members:
            del self[key]
