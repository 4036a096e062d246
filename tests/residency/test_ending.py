"""Everything about the end of an unlawful pod fits into the policy's grace period."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.residency import ending

SECONDS = st.integers(0, 3600)


@pytest.mark.parametrize(
    ("own", "left", "grace"),
    [(30, 300.0, 30), (60, 60.0, 58), (60, 19.9, 17), (60, 2.5, 1), (60, -5.0, 1), (0, 60.0, 1), (1, 60.0, 1)],
)
def test_grace(own: int, left: float, grace: int) -> None:
    assert ending.grace(own, left) == grace


@given(SECONDS, st.floats(ending.SHORTEST + ending.KUBELET_EXTRA, 3600))
def test_a_kubelet_is_through_in_time(own: int, left: float) -> None:
    given = ending.grace(own, left)
    assert 1 <= given <= max(own, 1)
    assert given + ending.KUBELET_EXTRA <= left


@pytest.mark.parametrize(("grace", "refusable"), [(60, 57), (10, 7), (6, 3), (3, 1.5), (0, 0)])
def test_how_long_an_eviction_may_be_refused(grace: int, refusable: float) -> None:
    assert ending.refusable(grace) == refusable


@pytest.mark.parametrize(
    ("given", "remaining", "left", "to"),
    [
        (300, 299.0, 20.0, 18),  # a drain with its own idea of time
        (300, 10.0, 20.0, None),  # nearly through by itself
        (5, 5.0, 20.0, None),
        (60, 50.0, 3.5, 1),
        (1, 1.0, 0.5, None),  # nothing is shorter than 1
        (60, -5.0, -10.0, None),  # its time is over, and its kubelet is silent
    ],
)
def test_a_pod_that_was_told_to_end_before(given: int, remaining: float, left: float, to: int | None) -> None:
    assert ending.shortened(given, remaining, left) == to


@given(st.integers(1, 3600), st.floats(0, 3600), st.floats(-100, 3600), st.floats(0, 60))
def test_a_pod_is_shortened_once(given: int, remaining: float, left: float, later: float) -> None:
    to = ending.shortened(given, remaining, left)
    if to is not None:
        assert to < given
        assert ending.shortened(to, to - later, left - later) is None
