"""Results as plots ask for them."""

from collections.abc import Iterable

from bench.check import Judgement
from bench.results import Result


class Shown:
    """Results by metric and size, with what is said of them."""

    def __init__(self, judged: Iterable[Judgement]) -> None:
        self.judged = [one for one in judged if one.found is not None]
        self._by_metric: dict[str, dict[int, Result]] = {}
        for one in self.judged:
            if one.found is not None:
                self._by_metric.setdefault(one.metric, {})[one.found.result.size] = one.found.result

    def of(self, metric: str) -> dict[int, Result]:
        """Results of a metric by size, the smallest first."""
        return dict(sorted(self._by_metric.get(metric, {}).items()))

    def last(self, metric: str) -> Result | None:
        """The result at the largest size."""
        found = list(self.of(metric).values())
        return found[-1] if found else None

    def bound(self, metric: str) -> float | None:
        """The goal of a metric, where it has one bound."""
        ranges = [one.range for one in self.judged if one.metric == metric and one.range is not None]
        return next((one.high if one.low is None else one.low for one in ranges), None)
