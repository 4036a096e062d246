"""What a step claims, and how long things took."""

import pytest

from testbed.demo.claims import StepFailed, Stopwatch, eventually, hold
from testbed.demo.daemons import total


def test_a_claim_that_does_not_hold_says_so() -> None:
    hold([1], "is not raised")
    with pytest.raises(StepFailed, match="no node is approved"):
        hold([], "no node is approved")


def test_waiting_returns_what_was_seen_or_says_what_for() -> None:
    looks = iter([None, "", "seen"])
    assert eventually("something", lambda: next(looks), 5) == "seen"
    with pytest.raises(StepFailed, match="waited 0 s for the pods to move"):
        eventually("the pods to move", lambda: False, 0)


def test_a_stopwatch_keeps_the_first_time_of_each_thing() -> None:
    times = iter([10.0, 12.0, 13.26])
    watch = Stopwatch(lambda: next(times))
    assert not watch.mark("evicted", seen=False)
    assert watch.mark("out of the endpoints", seen={"pod"})
    assert watch.mark("evicted", seen=True)
    assert watch.mark("out of the endpoints", seen=True)
    assert watch.rows() == [("out of the endpoints", "2.0 s"), ("evicted", "3.3 s")]


def test_a_metric_is_the_sum_over_its_labels() -> None:
    text = '# TYPE depth gauge\ndepth{name="a"} 2.0\ndepth{name="b"} 3.0\ndepth_other 7.0\nplain 1.0\n'
    assert total(text, "depth") == 5.0
    assert total(text, "plain") == 1.0
    assert total(text, "missing") == 0.0
