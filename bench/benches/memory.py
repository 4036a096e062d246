"""Memory: of an operator with nothing to look after, of one with ``size`` models with pools (five children each), and its growth in a day.

The budget is 60 MiB and 10 MiB for each 1,000 models. It is held against the most that was ever resident (VmHWM): of an operator
that saw all of them come, and of one that was started when they were there and reads them at once. The growth is that of the line
through what was resident at the end of each simulated hour after the first two (see `bench.day`), over all hours after them.
"""

from collections.abc import Iterator, Sequence
from statistics import linear_regression
from typing import Final

from bench import places
from bench.day import Day
from bench.goals import memory_budget
from bench.ground import Ground
from bench.loaded import loaded
from bench.proc import Memory, memory
from bench.results import Result
from bench.stats import result
from bench.suite import Work

HOURS: Final = 24
FEW_HOURS: Final = 5
"""Of a day with fewer than 100 models, which only shows that it can be measured."""
WARM_UP: Final = 2
MOST_BY_DAY: Final = 1000
"""Models that are in place during a day, at most: each gap reads them all again, and a day should not take an hour."""


def run(ground: Ground, work: Work) -> Iterator[Result]:
    """Memory with nothing, with so many models, and over a day."""
    size, place = work.size, f"memory-{work.size}"
    yield result("memory.base", [_started(ground).rss for _ in range(min(work.turns, 3))], "MiB", size)
    with loaded(ground, place, size) as operator:
        came = memory(operator.popen.pid)
        operator.stop()
        found = _started(ground)
    yield result("memory.rss", [came.rss, found.rss], "MiB", size)
    yield result("memory.pss", [came.pss, found.pss], "MiB", size)
    yield result("memory.over_budget", [max(came.peak, found.peak) / memory_budget(size)], "ratio", size)
    if size <= MOST_BY_DAY:
        yield _day(ground, place, size)
    ground.run(lambda client: places.empty(client, place))


def growth(hours: Sequence[tuple[float, float]], day: int = HOURS) -> float:
    """How much is added from the end of the warm-up to the end of a day, by the line through (hour, MiB) after the warm-up."""
    later = [point for point in hours if point[0] > WARM_UP]
    slope, _ = linear_regression([hour for hour, _ in later], [resident for _, resident in later])
    return slope * (day - WARM_UP)


def _started(ground: Ground) -> Memory:
    """Memory of an operator that was started just now, and has nothing left to do."""
    program = ground.leading()
    try:
        return memory(program.popen.pid)
    finally:
        program.stop()


def _day(ground: Ground, place: str, size: int) -> Result:
    models = max(2, min(12, size // 50))
    hours = HOURS if size >= 100 else FEW_HOURS
    day = Day(ground, place, models)
    series = []
    with day.operator() as program:
        for hour in range(1, hours + 1):
            day.hour(program)
            series.append((float(hour), memory(program.popen.pid).rss))
    note = f"{hours} hours with {models} models each"
    return result("memory.churn_growth", [growth(series)], "MiB", size, note=note, series=series)
