"""Holds results against ranges: what is met, missed, explained or missing."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bench.goals import Range
from bench.results import Found


class Verdict(StrEnum):
    """What is said of a metric at a size."""

    MET = "met"
    EXPLAINED = "explained"
    """Out of its range, and no worse than the limit that is known and explained."""
    MISSED = "missed"
    MISSING = "missing"
    """A range names it, and there is no result."""
    NONE = "-"
    """No range says anything about it."""

    @property
    def ok(self) -> bool:
        """Whether a check passes with it."""
        return self not in (Verdict.MISSED, Verdict.MISSING)


@dataclass(frozen=True)
class Judgement:
    """A metric at a size, with its range and its result; one of the two may not be there."""

    metric: str
    size: int | None
    """None where a range names no size and there is no result."""
    verdict: Verdict
    range: Range | None = None
    found: Found | None = None


def judge(found: Sequence[Found], ranges: Iterable[Range]) -> list[Judgement]:
    """One judgement for each result, sorted by metric and size, and for each result that a range names and that is not there."""
    ranges = list(ranges)
    all_of_them = [_judged(one, ranges) for one in found]
    all_of_them += [missing for one in ranges for missing in _missing(one, found)]
    return sorted(all_of_them, key=lambda one: (one.metric, one.size or 0))


def _judged(found: Found, ranges: Sequence[Range]) -> Judgement:
    result = found.result
    for one in ranges:
        if one.metric == result.metric and one.holds_at(result.size):
            return Judgement(result.metric, result.size, _verdict(one, result.value), one, found)
    return Judgement(result.metric, result.size, Verdict.NONE, None, found)


def _verdict(wanted: Range, value: float) -> Verdict:
    if wanted.met(value):
        return Verdict.MET
    return Verdict.EXPLAINED if wanted.explained(value) else Verdict.MISSED


def _missing(wanted: Range, found: Sequence[Found]) -> Iterator[Judgement]:
    there = {one.result.size for one in found if one.result.metric == wanted.metric}
    if not wanted.sizes and not there:
        yield Judgement(wanted.metric, None, Verdict.MISSING, wanted)
    for size in wanted.sizes:
        if size not in there:
            yield Judgement(wanted.metric, size, Verdict.MISSING, wanted)
