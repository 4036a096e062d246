"""Ratios of what was measured side by side: what counts, what is thrown away, and what is said of the spread."""

from pathlib import Path

import pytest

from bench import results
from bench.results import Result, Run
from bench.stats import Pair, paired, percentile, result


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
