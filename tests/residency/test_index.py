"""An index forgets what is empty: names of deleted objects do not pile up."""

from hypothesis import given
from hypothesis import strategies as st

from sovereign.residency.index import FEW, Index


def test_a_key_is_there_as_long_as_it_has_members() -> None:
    index: Index[str, int] = Index()
    index.add("a", 1)
    index.add("a", 2)
    index.discard("a", 1)
    assert index == {"a": (2,)}
    index.discard("a", 2)
    index.discard("a", 3)
    index.discard("b", 1)
    assert index == {}


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2), st.integers(0, 2 * FEW))))
def test_it_is_as_sets_would_be_however_many_members_there_are(steps: list[tuple[bool, int, int]]) -> None:
    index: Index[int, int] = Index()
    sets: dict[int, set[int]] = {}
    for adds, key, member in steps:
        (index.add if adds else index.discard)(key, member)
        (sets.setdefault(key, set()).add if adds else sets.get(key, set()).discard)(member)
        assert {key: sorted(members) for key, members in index.items()} == {
            key: sorted(members) for key, members in sets.items() if members
        }
