"""How many removals are under way at once."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from sovereign.cluster.queue import Key
from sovereign.controllers.turns import Turns

LIMITS = {"a": 1, "b": 2, "c": 3}


def key(number: int) -> Key:
    return Key("Pod", "ns", f"p{number}")


def limits(*policies: str) -> tuple[tuple[str, int], ...]:
    return tuple((policy, LIMITS[policy]) for policy in policies)


def test_who_waits_is_woken_when_it_is_its_turn_and_has_it() -> None:
    woken: list[Key] = []
    turns = Turns(woken.append)
    assert turns.enter(key(1), limits("a"))
    assert turns.enter(key(1), limits("a")), "it still is"
    assert not turns.enter(key(2), limits("a"))
    assert not turns.enter(key(3), limits("a"))
    turns.leave(key(1))
    assert woken == [key(2)]
    assert turns.enter(key(2), limits("a"))
    turns.leave(key(2))
    assert woken == [key(2), key(3)]


def test_who_gives_up_its_turn_unused_passes_it_on() -> None:
    woken: list[Key] = []
    turns = Turns(woken.append)
    turns.take(key(1), limits("a"))
    for number in (2, 3):
        assert not turns.enter(key(number), limits("a"))
    turns.leave(key(2))
    assert woken == []
    turns.leave(key(1))
    assert woken == [key(3)]


def test_a_turn_that_is_taken_counts() -> None:
    turns = Turns(lambda _: None)
    for number in range(3):
        turns.take(key(number), limits("b"))
    turns.leave(key(0))
    assert not turns.enter(key(9), limits("b")), "two are under way still"


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 7), st.sets(st.sampled_from(sorted(LIMITS)), min_size=1)), max_size=60
    )
)
def test_no_policy_has_more_than_it_may_and_nobody_is_forgotten(moves: list[tuple[bool, int, set[str]]]) -> None:
    woken: list[Key] = []
    turns = Turns(woken.append)
    wants: dict[Key, tuple[str, ...]] = {}
    going: set[Key] = set()
    waiting: set[Key] = set()
    for enters, number, policies in moves:
        one = key(number)
        if enters:
            wants.setdefault(one, tuple(sorted(policies)))
            (going if turns.enter(one, limits(*wants[one])) else waiting).add(one)
        else:
            turns.leave(one)
            wants.pop(one, None)
            going.discard(one)
            waiting.discard(one)
        going.update(woken)
        waiting.difference_update(woken)
        woken.clear()
        busy = Counter(policy for one in going for policy in wants[one])
        assert all(busy[policy] <= most for policy, most in LIMITS.items())
        for one in waiting:
            assert any(busy[policy] >= LIMITS[policy] for policy in wants[one]), "nobody waits while there is room"
