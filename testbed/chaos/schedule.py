"""What is done wrong, to whom and when: drawn from a seed, before anything is started.

Nothing here looks at the cluster, so the same seed always gives the same faults in the same order at the same offsets.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

SPAN: Final = 6.0
"""Seconds of a batch in which faults and operations begin."""
HOLD: Final = 7.5
"""Seconds that a leader is frozen or cut off: longer than the lease of this run."""


class Kind(StrEnum):
    """What goes wrong."""

    THROTTLED = "429 with Retry-After"
    ERROR = "500"
    UNAVAILABLE = "503"
    SLOW = "slow answer"
    RESET = "connection reset before the request is passed on"
    LOST = "answer lost after the write"
    CUT = "watches cut"
    TORN = "watches cut in the middle of an event"
    EXPIRED = "watches cut and refused with 410"
    CHILD = "child deleted while it is applied"
    CLOCK = "wall clock jumps"
    KILL_BEFORE = "leader killed before its n-th write"
    KILL_AFTER = "leader killed after its n-th write, before the answer"
    KILL_LEADER = "leader killed"
    KILL_STANDBY = "standby killed"
    TERM_LEADER = "leader told to end"
    TERM_STANDBY = "standby told to end"
    FREEZE = "leader frozen beyond its lease"
    PARTITION = "leader cut off beyond its lease"
    API_SERVER = "API server killed and started again"
    COMPACT = "etcd compacted while the watches are cut, and the API server started again"
    CRDS = "CRDs upgraded"


_WEIGHTS: Final = {
    Kind.THROTTLED: 12,
    Kind.ERROR: 9,
    Kind.UNAVAILABLE: 7,
    Kind.SLOW: 9,
    Kind.RESET: 9,
    Kind.LOST: 10,
    Kind.CUT: 8,
    Kind.TORN: 8,
    Kind.EXPIRED: 3,
    Kind.CHILD: 6,
    Kind.CLOCK: 4,
    Kind.KILL_BEFORE: 4,
    Kind.KILL_AFTER: 4,
    Kind.KILL_LEADER: 2,
    Kind.KILL_STANDBY: 2,
    Kind.TERM_LEADER: 1.5,
    Kind.TERM_STANDBY: 1,
    Kind.FREEZE: 1,
    Kind.PARTITION: 1,
    Kind.API_SERVER: 0.8,
    Kind.COMPACT: 0.6,
    Kind.CRDS: 1.5,
}
_ONCE: Final = {
    **dict.fromkeys((Kind.FREEZE, Kind.PARTITION), "held"),
    **dict.fromkeys((Kind.API_SERVER, Kind.COMPACT), "API server"),
    **{kind: kind.value for kind in (Kind.CRDS, Kind.EXPIRED, Kind.TERM_LEADER, Kind.TERM_STANDBY)},
}
"""Of kinds with the same word a batch has one: they take long, or a second one would meet nothing."""


@dataclass(frozen=True)
class Fault:
    """One fault."""

    at: float
    """Seconds after the batch began."""
    kind: Kind
    replica: int
    """Which operator it concerns, where the kind does not say: 0 or 1."""
    count: int
    """How many requests it concerns; or which write, beginning with 1."""
    seconds: float
    """How late an answer is; or by how much the clock jumps."""


def batch(random: Random, size: int) -> list[Fault]:
    """The next `size` faults, by the time at which they begin."""
    kinds: list[Kind] = []
    taken: set[str] = set()
    while len(kinds) < size:
        (kind,) = random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
        word = _ONCE.get(kind)
        if word in taken:
            continue
        taken |= {word} if word else set()
        kinds.append(kind)
    return sorted((_fault(random, kind) for kind in kinds), key=lambda fault: fault.at)


def _fault(random: Random, kind: Kind) -> Fault:
    early = kind in _ONCE
    seconds = random.choice((-1, 1)) * random.uniform(60, 86400) if kind is Kind.CLOCK else random.uniform(0.2, 2.5)
    return Fault(
        at=round(random.uniform(0, SPAN / 4 if early else SPAN), 2),
        kind=kind,
        replica=random.randrange(2),
        count=random.randint(1, 6),
        seconds=round(seconds, 2),
    )


def batches(seed: int, faults: int, size: int) -> Iterator[list[Fault]]:
    """All faults of a run, batch by batch."""
    random = Random(f"faults {seed}")
    for start in range(0, faults, size):
        yield batch(random, min(size, faults - start))
