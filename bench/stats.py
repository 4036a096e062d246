"""Medians, quartiles, and ratios of what was measured side by side."""

from collections.abc import Callable, Sequence
from statistics import median, quantiles
from typing import Final, NamedTuple

from bench.results import Result

TOLERANCE: Final = 0.15
"""How much the bare writer before and after a pair may differ, as a share of the slower, for the pair to count."""


class Pair(NamedTuple):
    """One turn: the bare writer, the arm, the bare writer again."""

    before: float
    arm: float
    after: float

    @property
    def steady(self) -> bool:
        """Whether the machine was the same before and after."""
        return abs(self.before - self.after) <= TOLERANCE * max(self.before, self.after)

    @property
    def bare(self) -> float:
        """The bare writer's seconds."""
        return (self.before + self.after) / 2


def paired(turn: Callable[[], Pair], wanted: int, most: int) -> tuple[list[Pair], int]:
    """Steady pairs, until there are ``wanted`` or ``most`` were tried; and how many were thrown away."""
    kept: list[Pair] = []
    discarded = 0
    while len(kept) < wanted and len(kept) + discarded < most:
        pair = turn()
        if pair.steady:
            kept.append(pair)
        else:
            discarded += 1
    return kept, discarded


def result(
    metric: str, samples: Sequence[float], unit: str, size: int, *, discarded: int = 0, note: str = ""
) -> Result:
    """A result from its samples.

    Raises:
        ValueError: there are none.
    """
    if not samples:
        raise ValueError(
            f"{metric}: no sample is left; {discarded} were thrown away because the machine was not steady"
        )
    low, high = _quartiles(samples)
    return Result(metric, median(samples), unit, size, low, high, len(samples), discarded, note)


def percentile(samples: Sequence[float], share: float) -> float:
    """The value below which ``share`` of the samples lie (nearest rank)."""
    ranked = sorted(samples)
    return ranked[min(len(ranked) - 1, max(0, round(share * len(ranked)) - 1))]


def _quartiles(samples: Sequence[float]) -> tuple[float, float]:
    if len(samples) < 2:
        return samples[0], samples[0]
    first, _, third = quantiles(samples, n=4, method="inclusive")
    return first, third
