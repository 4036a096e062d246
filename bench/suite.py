"""The benches there are: a module each, run at a size, on a control plane of their own or on one that all share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bench.arms.peer import Peer
    from bench.ground import Ground
    from bench.results import Result

TOLERANCE: Final = 0.15
"""How much the bare writer before and after a turn may differ, as a share of the slower, for the turn to count."""
RIVALS: Final = ("go", "stock", "lean")
"""The bare writer in Go, a stock kopf operator, and the same with our client."""
_LARGE: Final = 10_000


@dataclass(frozen=True)
class Work:
    """How much is to be done."""

    size: int
    """Models, nodes or whatever the bench counts."""
    turns: int
    """Steady turns wanted of each arm."""
    tolerance: float = TOLERANCE
    peer: "Peer | None" = None
    """Another operator to compare with."""
    rivals: tuple[str, ...] = RIVALS
    """With whom the operator is compared in the storm, besides the bare writer."""


@dataclass(frozen=True)
class Bench:
    """One bench: ``bench.benches.NAME``, which has ``run(ground, work)``, or ``run(work)`` where it needs no control plane."""

    name: str
    what: str
    needs_ground: bool = True
    sizes: tuple[int, ...] = (1000,)
    """The sizes at which it is run where none is asked for."""
    few: int | None = None
    """Turns at most at 10,000 and beyond, where one takes long."""
    counts: str = "models"
    """What a size counts."""

    def work(self, base: Work, sizes: Sequence[int] = ()) -> list[Work]:
        """What is to be done: ``base`` at each of ``sizes``, or at its own."""
        return [replace(base, size=size, turns=self._turns(size, base.turns)) for size in sizes or self.sizes]

    def _turns(self, size: int, wanted: int) -> int:
        return wanted if self.few is None or size < _LARGE else min(wanted, self.few)

    def run(self, ground: "Ground | None", work: Work) -> "Iterator[Result]":
        """Measure; ``ground`` is left as it was found, or so that other benches do not notice."""
        module = import_module(f"bench.benches.{self.name}")
        found: Iterator[Result] = module.run(ground, work) if self.needs_ground else module.run(work)
        return found


BENCHES: Final = (
    Bench("planner", "planning one pool, and a cluster from files", needs_ground=False, counts="pools"),
    Bench(
        "admission", "what admission adds to a pod and to a Binding", sizes=(1, 1000, 15_000), counts="approved nodes"
    ),
    Bench(
        "storm",
        "many models with pools at once, against bare writers and a stock kopf operator",
        sizes=(1000, 10_000),
        few=1,
    ),
    Bench(
        "weights",
        "importing weights over loopback, against curl with the hash checked",
        needs_ground=False,
        counts="MiB of weights",
    ),
    Bench("heartbeat", "what node status updates cost that change nothing", counts="nodes"),
    Bench(
        "start", "from the start of the process to ready, with nothing to look after", sizes=(1,), counts="operators"
    ),
    Bench(
        "memory", "memory with nothing and with many models, and its growth over a day of changes", sizes=(1000, 10_000)
    ),
    Bench(
        "restart",
        "an operator that finds everything in place, against raw lists of the same",
        sizes=(1000, 10_000),
        few=3,
    ),
    Bench("failover", "a leader that is killed, or stands still, until the standby's first correct write"),
    Bench("requests", "what the operator asks of the API server for each model with its pool"),
    Bench("first_child", "from the creation of a pool to its first child, against the bare writer", counts="pools"),
    Bench("drift", "nodes whose jurisdiction changes, among many with governed pods", counts="nodes"),
    Bench("policy", "a policy whose regions change, over many nodes and pools", counts="nodes"),
)


def chosen(names: Sequence[str]) -> list[Bench]:
    """The benches of these names, or all.

    Raises:
        KeyError: there is none of that name.
    """
    by_name = {bench.name: bench for bench in BENCHES}
    return [by_name[name] for name in names] if names else list(BENCHES)
