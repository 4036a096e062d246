"""Medians, quartiles, and ratios of what was measured side by side."""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from statistics import median, quantiles
from typing import NamedTuple

from bench.results import Result
from bench.suite import TOLERANCE


class Pair(NamedTuple):
    """One turn: the bare writer, the arm, the bare writer again."""

    before: float
    arm: float
    after: float

    @property
    def steady(self) -> bool:
        """Whether the machine was the same before and after."""
        return self.apart <= TOLERANCE

    @property
    def apart(self) -> float:
        """How much the bare writer before and after differ, as a share of the slower."""
        return abs(self.before - self.after) / max(self.before, self.after)

    @property
    def bare(self) -> float:
        """The bare writer's seconds."""
        return (self.before + self.after) / 2


def paired(turn: Callable[[], Pair], wanted: int, most: int, tolerance: float = TOLERANCE) -> tuple[list[Pair], int]:
    """Pairs within the tolerance, until there are ``wanted`` or ``most`` were tried; and how many were thrown away."""
    kept: list[Pair] = []
    discarded = 0
    while len(kept) < wanted and len(kept) + discarded < most:
        pair = turn()
        if pair.apart <= tolerance:
            kept.append(pair)
        else:
            discarded += 1
    return kept, discarded


class Arm(NamedTuple):
    """What was measured of one arm."""

    pairs: list[Pair]
    """Those within the tolerance."""
    discarded: int

    @property
    def speeds(self) -> list[float]:
        """How fast the arm was, as a share of the bare writer."""
        return [pair.bare / pair.arm for pair in self.pairs]


def interleaved(
    bare: Callable[[], float],
    arms: Mapping[str, Callable[[], float]],
    wanted: int,
    most: int,
    tolerance: float = TOLERANCE,
) -> dict[str, Arm]:
    """Turns of bare, an arm, bare, the next arm, bare, ...: neighbours share the bare writer between them.

    An arm that has ``wanted`` pairs within the tolerance is left out of further turns; there are ``most`` turns.
    """
    found = {name: Arm([], 0) for name in arms}
    before = bare()
    for _ in range(most):
        for name, arm in arms.items():
            pairs, discarded = found[name]
            if len(pairs) < wanted:
                pair = Pair(before, arm(), before := bare())
                kept = pair.apart <= tolerance
                found[name] = Arm([*pairs, pair], discarded) if kept else Arm(pairs, discarded + 1)
    return found


def over(rival: Arm, ours: Arm) -> list[float]:
    """How many times as long the rival took as we did: each of its turns against our median, both as shares of the bare writer."""
    return [median(ours.speeds) / speed for speed in rival.speeds] if ours.pairs else []


def result(
    metric: str,
    samples: Sequence[float],
    unit: str,
    size: int,
    *,
    discarded: int = 0,
    note: str = "",
    points: Sequence[float] = (),
    series: Sequence[tuple[float, float]] = (),
) -> Result:
    """A result from its samples. ``points`` are what a sample is made of, where it is itself a percentile of many.

    Raises:
        ValueError: there are none, or they are no numbers.
    """
    if not samples:
        raise ValueError(
            f"{metric}: no sample is left; {discarded} were thrown away because the machine was not steady"
        )
    if not all(isfinite(one) for one in samples):
        raise ValueError(f"{metric}: {samples} are not all numbers")
    low, high = _quartiles(samples)
    kept = _few(points or samples)
    return Result(metric, median(samples), unit, size, low, high, len(samples), discarded, note, kept, tuple(series))


def percentile(samples: Sequence[float], share: float) -> float:
    """The value below which ``share`` of the samples lie (nearest rank)."""
    ranked = sorted(samples)
    return ranked[min(len(ranked) - 1, max(0, round(share * len(ranked)) - 1))]


def _few(points: Sequence[float]) -> tuple[float, ...]:
    """All of them in their order, or the percentiles from 0 to 100 where there are more than that."""
    if len(points) <= 101:
        return tuple(points)
    return tuple(percentile(points, share / 100) for share in range(101))


def _quartiles(samples: Sequence[float]) -> tuple[float, float]:
    if len(samples) < 2:
        return samples[0], samples[0]
    first, _, third = quantiles(samples, n=4, method="inclusive")
    return first, third
