"""The goals, and what must hold in a smoke run: a range for each metric, at the sizes for which it is said.

`GOALS` are for a quiet machine and full sizes. `SMOKE` is for every change, on machines that others use too: ranges of timings are wide, as
they have to notice only what went wrong by a factor; counts are exact. The model is the range specification of Kueue's performance tests.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Limit:
    """Why a goal is not met, and the value that was measured instead: worse than that fails."""

    value: float
    reason: str
    """A sentence that says what the distance consists of, and where that is shown."""


@dataclass(frozen=True)
class Range:
    """What a metric's value must be within; bounds are part of it."""

    metric: str
    low: float | None = None
    high: float | None = None
    sizes: tuple[int, ...] = ()
    """Where it holds, and where there must be a result; empty: at every size, and there must be one."""
    limit: Limit | None = None

    def __post_init__(self) -> None:
        if self.low is None and self.high is None:
            raise ValueError(f"{self.metric}: a range without a bound holds always")
        if self.limit is not None and self._within(self.limit.value):
            raise ValueError(f"{self.metric}: a limit is for a goal that is not met")

    def holds_at(self, size: int) -> bool:
        """Whether it says something about results of this size."""
        return not self.sizes or size in self.sizes

    def met(self, value: float) -> bool:
        """Whether ``value`` is in the range."""
        return self._within(value)

    def explained(self, value: float) -> bool:
        """Whether ``value`` is out of the range, and no worse than the limit that is known."""
        if self.limit is None or self._within(value):
            return False
        return value >= self.limit.value if self.low is not None and value < self.low else value <= self.limit.value

    @property
    def text(self) -> str:
        """For people: ``>= 0.9``, ``<= 2``, ``= 0``, ``0.8 to 1.2``."""
        if self.low is None:
            return f"<= {self.high:g}"
        if self.high is None:
            return f">= {self.low:g}"
        return f"= {self.low:g}" if self.low == self.high else f"{self.low:g} to {self.high:g}"

    def _within(self, value: float) -> bool:
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


def at_least(metric: str, low: float, *sizes: int, limit: Limit | None = None) -> Range:
    """More is better."""
    return Range(metric, low=low, sizes=sizes, limit=limit)


def at_most(metric: str, high: float, *sizes: int, limit: Limit | None = None) -> Range:
    """Less is better."""
    return Range(metric, high=high, sizes=sizes, limit=limit)


def exactly(metric: str, value: float, *sizes: int) -> Range:
    """A count."""
    return Range(metric, low=value, high=value, sizes=sizes)


_WRITES: Final = 7
"""Of a model with its pool: five children and two statuses."""

COUNTS: Final = (
    exactly("requests.create", _WRITES),
    at_most("requests.change", 2),
    exactly("requests.delete", 0),
    exactly("requests.rest", 0),
    exactly("restart.writes", 0),
    exactly("policy.touched", 0),
    exactly("heartbeat.requests", 0),
)
"""What is counted is the same on every machine and at every size."""


def memory_budget(models: int) -> float:
    """MiB that an operator may have with so many models, each with a pool."""
    return 60.0 + 10.0 * models / 1000


_DETAILS: Final = "docs/design/performance.md"
_TRANSPORT: Final = (
    f"half of it is HTTP, TLS and system calls of seven requests and nine events: {_DETAILS}, A created model"
)
_SHARED: Final = Limit(
    0.8,
    "the operator's own CPU comes from the same two cores, and the API server sends it events of all that it writes: "
    f"{_DETAILS}, A created model",
)
_RECONCILES: Final = Limit(
    2.4,
    f"each model and pool is planned and compared once more, most of what comes on top of lists: {_DETAILS}, Restart",
)
_WAKING: Final = Limit(75.0, f"27 us is what a process uses that only takes in the bytes: {_DETAILS}, Heartbeats")
_LIBRARIES: Final = Limit(1.2, f"62 MiB are there after the imports: {_DETAILS}, Start and memory")
_HEAP: Final = Limit(
    4.0,
    f"it levels off, 2.0 to 3.4 in four runs; with garbage collected each hour there is none: {_DETAILS}, Start and memory",
)

GOALS: Final = (
    at_least("storm.over_bare", 0.90, 1000),
    at_least("storm.over_bare", 0.85, 10_000, limit=_SHARED),
    at_least("storm.over_stock", 1.3, 1000, 10_000),
    at_most("storm.cpu_per_model", 3.0, 1000, 10_000, limit=Limit(7.5, _TRANSPORT)),
    at_most("storm.cpu_over_apiserver", 15.0, 1000, 10_000, limit=Limit(20.0, _TRANSPORT)),
    at_most("storm.slope", 1.10, 10_000),
    *COUNTS,
    at_most("first_child.p50_over_bare", 1.5, 1000),
    at_most("restart.over_lists", 1.5, 1000, 10_000, limit=_RECONCILES),
    at_most("failover.seconds", 1.0, 1000),
    at_most("drift.p99", 250.0),
    at_most("drift.cost_slope", 1.5),
    at_most("policy.seconds", 1.0, 1000),
    at_most("heartbeat.cpu", 30.0, limit=_WAKING),
    at_most("memory.over_budget", 1.0, 1000, limit=_LIBRARIES),
    at_most("memory.over_budget", 1.0, 10_000),
    at_most("memory.churn_growth", 2.0, limit=_HEAP),
    at_most("admission.create_added", 1.0, 15_000),
    at_most("admission.bind_added", 1.0, 15_000),
    at_most("start.seconds", 1.0),
    at_least("import.over_curl", 0.9),
    at_most("import.memory_growth", 8.0),
    at_most("planner.pool", 100.0),
    at_most("planner.files", 1.0, 1000),
)

SMOKE: Final = (
    at_least("storm.over_bare", 0.2),
    at_least("storm.over_stock", 0.5),
    at_most("storm.cpu_per_model", 20.0),
    at_most("storm.cpu_over_apiserver", 100.0),
    *COUNTS,
    at_most("first_child.p50_over_bare", 5.0),
    at_most("restart.over_lists", 40.0),
    at_most("failover.seconds", 5.0),
    at_most("drift.p99", 3000.0),
    at_most("policy.seconds", 3.0),
    at_most("heartbeat.cpu", 400.0),
    at_most("memory.over_budget", 1.5),
    at_most("admission.create_added", 25.0),
    at_most("admission.bind_added", 25.0),
    at_most("start.seconds", 4.0),
    at_least("import.over_curl", 0.3),
    at_most("import.memory_growth", 24.0),
    at_most("planner.pool", 400.0),
    at_most("planner.files", 5.0),
)
"""Without the slopes and the growth over hours, which small sizes do not show."""

SETS: Final = {"goals": GOALS, "smoke": SMOKE}
