"""The benches there are: a module each, run at a size, on a control plane of their own or on one that all share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bench.ground import Ground
    from bench.results import Result


@dataclass(frozen=True)
class Work:
    """How much is to be done."""

    size: int
    """Models, nodes or whatever the bench counts."""
    turns: int
    """Steady turns wanted of each arm."""


@dataclass(frozen=True)
class Bench:
    """One bench: ``bench.benches.NAME``, which has ``run(ground, work)``, or ``run(work)`` where it needs no control plane."""

    name: str
    what: str
    needs_ground: bool = True

    def run(self, ground: "Ground | None", work: Work) -> "Iterator[Result]":
        """Measure; ``ground`` is left as it was found, or so that other benches do not notice."""
        module = import_module(f"bench.benches.{self.name}")
        found: Iterator[Result] = module.run(ground, work) if self.needs_ground else module.run(work)
        return found


BENCHES: Final = (
    Bench("planner", "planning one pool, and a cluster from files", needs_ground=False),
    Bench("storm", "many models with pools at once, against the bare writer and a stock kopf operator"),
)


def chosen(names: Sequence[str]) -> list[Bench]:
    """The benches of these names, or all.

    Raises:
        KeyError: there is none of that name.
    """
    by_name = {bench.name: bench for bench in BENCHES}
    return [by_name[name] for name in names] if names else list(BENCHES)
