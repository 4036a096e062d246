"""Ratios of what was measured side by side: what counts, what is thrown away, and what is said of the spread."""

from pathlib import Path

import pytest

from bench import results
from bench.results import Outcome, Result, Run
from bench.stats import Pair, paired, percentile, result
from tests.bench.conftest import a_run, made_up


def test_a_pair_counts_when_the_bare_writer_was_as_fast_before_as_after() -> None:
    assert Pair(10.0, 12.0, 11.5).steady
    assert not Pair(10.0, 12.0, 12.0).steady
    assert Pair(10.0, 12.0, 11.0).bare == 10.5


def test_unsteady_pairs_are_thrown_away_and_counted() -> None:
    turns = iter(
        [Pair(1.0, 1.0, 2.0), Pair(1.0, 1.1, 1.0), Pair(3.0, 1.0, 1.0), Pair(1.0, 1.2, 1.0), Pair(1.0, 9.0, 1.0)]
    )
    kept, discarded = paired(lambda: next(turns), wanted=2, most=9)
    assert [pair.arm for pair in kept] == [1.1, 1.2]
    assert discarded == 2
    assert paired(lambda: Pair(1.0, 1.0, 2.0), wanted=2, most=3) == ([], 3)
    assert paired(lambda: Pair(1.0, 1.0, 2.0), wanted=1, most=3, tolerance=1.0) == ([Pair(1.0, 1.0, 2.0)], 0)


def test_a_result_has_the_median_and_the_quartiles() -> None:
    found = result("storm.over_bare", [1.0, 2.0, 3.0, 4.0, 5.0], "ratio", 100, discarded=1)
    assert (found.value, found.low, found.high, found.samples, found.discarded) == (3.0, 2.0, 4.0, 5, 1)
    assert result("planner.pool", [7.0], "us", 1).low == 7.0
    with pytest.raises(ValueError, match="3 were thrown away"):
        result("storm.over_bare", [], "ratio", 100, discarded=3)


def test_a_percentile_is_a_sample() -> None:
    assert percentile(list(range(1, 101)), 0.99) == 99
    assert percentile([5.0], 0.99) == 5.0


def test_what_is_saved_reads_back(tmp_path: Path) -> None:
    one = Result("planner.pool", 70.0, "us", 1, 69.0, 71.0, 7)
    run = Run("abc", "2026-01-01T00:00:00+00:00", "python -m bench run", {"cores": "2"}, {"python": "3.11"}, (one,))
    results.save(run, tmp_path / "deep" / "results.json")
    assert results.load(tmp_path / "deep" / "results.json") == run


def test_many_points_are_kept_as_percentiles() -> None:
    assert result("planner.pool", [3.0, 1.0, 2.0], "us", 1).points == (3.0, 1.0, 2.0)
    found = result("drift.p99", [99.0], "ms", 1000, points=list(range(1, 1001)), series=[(0, 1.5)])
    assert (len(found.points), found.points[0], found.points[50], found.points[-1]) == (101, 1, 500, 1000)
    assert (found.value, found.samples, found.series) == (99.0, 1, ((0, 1.5),))


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not all numbers"):
        result("planner.pool", [1.0, float("nan")], "us", 1)


def test_the_newest_result_counts_and_only_the_newest_failure() -> None:
    old = a_run(
        [made_up("a", 1.0), made_up("b", 1.0)], [Outcome("x", 20, 1.0, "no"), Outcome("y", 20, 1.0)], commit="old"
    )
    new = a_run([made_up("b", 2.0), made_up("b", 3.0, size=20)], [Outcome("x", 20, 1.0)], "2026-01-02", "new")
    found = results.merged([new, old])
    assert [(one.result.metric, one.result.size, one.result.value, one.run.commit) for one in found] == [
        ("a", 1000, 1.0, "old"),
        ("b", 1000, 2.0, "new"),
        ("b", 20, 3.0, "new"),
    ]
    assert results.failures([new, old]) == []
    assert [one.bench for one in results.failures([old])] == ["x"]
