"""An index forgets what is empty: names of deleted objects do not pile up."""

from sovereign.controllers.index import Index


def test_a_key_is_there_as_long_as_it_has_members() -> None:
    index: Index[str, int] = Index()
    index.add("a", 1)
    index.add("a", 2)
    index.discard("a", 1)
    assert index == {"a": {2}}
    index.discard("a", 2)
    index.discard("a", 3)
    index.discard("b", 1)
    assert index == {}
