"""Which members belong to a key."""

from collections.abc import Hashable
from typing import Final, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Hashable)


FEW: Final = 8
"""Members up to which they are a tuple. A set of five takes 728 bytes, a tuple 80, and most keys have fewer."""


class Index(dict[K, tuple[V, ...] | set[V]]):
    """Members by key, each once. A key without any is forgotten, or names of what is long gone would pile up."""

    def add(self, key: K, member: V) -> None:
        """Have ``member`` belong to ``key``."""
        members = self.get(key, ())
        if isinstance(members, set):
            members.add(member)
        elif member not in members:
            self[key] = (*members, member) if len(members) < FEW else {*members, member}

    def discard(self, key: K, member: V) -> None:
        """Have it belong there no longer, if it did."""
        members = self.get(key, ())
        if isinstance(members, set):
            members.discard(member)
        elif member in members:
            members = self[key] = tuple(one for one in members if one != member)
        if not members:
            self.pop(key, None)
