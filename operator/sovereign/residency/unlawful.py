"""Objects besides pods that are there and that a policy's rules would refuse: older than the policy, or made while rules were gone."""

from collections.abc import Iterator
from typing import NamedTuple

from sovereign.api.conditions import Reason


class Breach(NamedTuple):
    """One rule of one policy that an object breaks."""

    policy: str
    rule: str
    """Path of the policy's field, or the name of its rules."""
    reason: Reason
    message: str


class Found(NamedTuple):
    """An object that breaks rules."""

    namespace: str
    kind: str
    name: str
    breaches: tuple[Breach, ...]


class Unlawful:
    """What is known to be wrong, by UID. An object is judged when it or its policies change, and not each time it is asked about."""

    def __init__(self) -> None:
        self._found: dict[str, Found] = {}

    def put(self, uid: str, found: Found) -> set[str]:
        """Say all that is wrong with an object, which may be nothing; the policies for which that is news."""
        known = self._found.get(uid)
        before = known.breaches if known is not None else ()
        if before == found.breaches:
            return set()
        if found.breaches:
            self._found[uid] = found
        else:
            del self._found[uid]
        return {breach.policy for breach in (*before, *found.breaches)}

    def drop(self, uid: str) -> set[str]:
        """Forget an object that is gone; the policies that it broke."""
        known = self._found.pop(uid, None)
        return {breach.policy for breach in known.breaches} if known is not None else set()

    def of(self, policy: str) -> list[tuple[Found, Breach]]:
        """What breaks a policy, by namespace, kind and name."""
        both = (
            (found, breach) for found in self._found.values() for breach in found.breaches if breach.policy == policy
        )
        return sorted(both, key=lambda pair: (pair[0][:3], pair[1].rule))

    def within(self, namespace: str) -> Iterator[Found]:
        """What is wrong in a namespace."""
        return (found for found in self._found.values() if found.namespace == namespace)
