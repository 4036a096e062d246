"""The goals: complete, consistent, and what a check says of results."""

from itertools import pairwise

import pytest

from bench import suite
from bench.check import Verdict, judge
from bench.goals import GOALS, SETS, SMOKE, Limit, Range, at_least, at_most, exactly
from bench.results import merged
from tests.bench.conftest import a_run, made_up

ISSUE = {
    "storm.over_bare",
    "storm.over_stock",
    "requests.create",
    "requests.change",
    "requests.delete",
    "requests.rest",
    "first_child.p50_over_bare",
    "restart.writes",
    "restart.over_lists",
    "failover.seconds",
    "drift.p99",
    "drift.cost_slope",
    "policy.seconds",
    "policy.touched",
    "heartbeat.cpu",
    "heartbeat.requests",
    "memory.over_budget",
    "memory.churn_growth",
    "storm.cpu_per_model",
    "storm.cpu_over_apiserver",
    "storm.slope",
    "admission.create_added",
    "admission.bind_added",
    "start.seconds",
    "import.over_curl",
    "import.memory_growth",
    "planner.pool",
    "planner.files",
}


def test_every_line_of_the_table_of_goals_has_a_range() -> None:
    assert {goal.metric for goal in GOALS} == ISSUE


def test_a_smoke_run_checks_the_same_metrics_but_for_slopes_and_growth() -> None:
    assert ISSUE - {one.metric for one in SMOKE} == {"storm.slope", "drift.cost_slope", "memory.churn_growth"}
    assert not any(one.sizes for one in SMOKE), "the size of a smoke run is the caller's"


@pytest.mark.parametrize("ranges", SETS.values(), ids=SETS)
def test_no_two_ranges_say_something_about_the_same_result(ranges: tuple[Range, ...]) -> None:
    said = [(one.metric, size) for one in ranges for size in one.sizes or (None,)]
    assert len(said) == len(set(said))
    unbounded = {one.metric for one in ranges if not one.sizes}
    assert not unbounded & {one.metric for one in ranges if one.sizes}


def test_counts_are_the_same_in_both_and_timings_wider_in_a_smoke_run() -> None:
    for goal in GOALS:
        for smoke in (one for one in SMOKE if one.metric == goal.metric):
            if goal.low == goal.high or goal.metric.startswith("requests."):
                assert smoke == goal
            else:
                assert smoke.low is None or (goal.low is not None and smoke.low < goal.low)
                assert smoke.high is None or (goal.high is not None and smoke.high > goal.high)


def test_where_a_goal_names_sizes_a_bench_runs_at_them_of_itself() -> None:
    sizes = {bench.name: bench.sizes for bench in suite.BENCHES}
    for goal in GOALS:
        bench = goal.metric.partition(".")[0]
        if bench in sizes and bench != "admission":
            assert set(goal.sizes) <= set(sizes[bench]), goal.metric


def test_a_smaller_size_has_no_stricter_goal_missing() -> None:
    for before, after in pairwise(goal for goal in GOALS if goal.metric == "storm.over_bare"):
        assert before.low is not None
        assert after.low is not None
        assert before.low >= after.low


@pytest.mark.parametrize(
    ("wanted", "value", "verdict"),
    [
        (at_least("m", 0.9), 0.9, Verdict.MET),
        (at_least("m", 0.9), 0.89, Verdict.MISSED),
        (at_most("m", 2), 2.0, Verdict.MET),
        (at_most("m", 2), 2.01, Verdict.MISSED),
        (exactly("m", 7), 7.0, Verdict.MET),
        (exactly("m", 7), 6.9, Verdict.MISSED),
        (exactly("m", 7), 7.1, Verdict.MISSED),
        (exactly("m", 0), float("nan"), Verdict.MISSED),
        (at_least("m", 0.9, limit=Limit(0.8, "why")), 0.85, Verdict.EXPLAINED),
        (at_least("m", 0.9, limit=Limit(0.8, "why")), 0.79, Verdict.MISSED),
        (at_least("m", 0.9, limit=Limit(0.8, "why")), 0.95, Verdict.MET),
        (at_most("m", 2, limit=Limit(3, "why")), 2.5, Verdict.EXPLAINED),
        (at_most("m", 2, limit=Limit(3, "why")), 3.5, Verdict.MISSED),
        (Range("m", low=1, high=2, limit=Limit(3, "why")), 0.5, Verdict.MISSED),
        (Range("m", low=1, high=2, limit=Limit(0.4, "why")), 0.5, Verdict.EXPLAINED),
    ],
)
def test_what_is_said_of_a_value(wanted: Range, value: float, verdict: Verdict) -> None:
    (judged,) = judge(merged([a_run([made_up("m", value)])]), [wanted])
    assert judged.verdict is verdict
    assert judged.verdict.ok == (verdict in {Verdict.MET, Verdict.EXPLAINED})


def test_what_a_range_names_has_to_be_there_and_what_none_names_does_not_matter() -> None:
    ranges = [at_least("storm.over_bare", 0.9, 1000, 10_000), exactly("requests.rest", 0), at_most("start.seconds", 1)]
    found = merged([a_run([made_up("storm.over_bare", 1.0), made_up("start.seconds", 9.0), made_up("other", 1.0)])])
    said = {(one.metric, one.size): one.verdict for one in judge(found, ranges)}
    assert said == {
        ("other", 1000): Verdict.NONE,
        ("requests.rest", None): Verdict.MISSING,
        ("start.seconds", 1000): Verdict.MISSED,
        ("storm.over_bare", 1000): Verdict.MET,
        ("storm.over_bare", 10_000): Verdict.MISSING,
    }
    assert not Verdict.MISSING.ok


def test_a_range_holds_at_its_sizes_only() -> None:
    found = merged([a_run([made_up("storm.over_bare", 0.1, size=20)])])
    assert [one.verdict for one in judge(found, [at_least("storm.over_bare", 0.9, 1000)])] == [
        Verdict.NONE,
        Verdict.MISSING,
    ]


def test_ranges_that_say_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="without a bound"):
        Range("m")
    with pytest.raises(ValueError, match="not met"):
        at_least("m", 0.9, limit=Limit(0.95, "why"))


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (at_least("m", 0.9), ">= 0.9"),
        (at_most("m", 250), "<= 250"),
        (exactly("m", 0), "= 0"),
        (Range("m", 1, 2), "1 to 2"),
    ],
)
def test_a_range_is_written_as_people_do(wanted: Range, text: str) -> None:
    assert wanted.text == text
