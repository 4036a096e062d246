"""Which nodes reach a volume: against an oracle that is slow and obviously right, and by hand where the rules are odd (row 20)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.plan.inventory import Node
from sovereign.residency.topology import ByAffinity, Reach, affinity_of, matches

KEYS = ("zone", "host", "size", "kubernetes.io/os")
VALUES = ("a", "b", "c", "1", "2", "-3", "10", "", "9223372036854775808", "not a value", "x" * 64)
OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Near")

_labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=4)
_requirement = st.fixed_dictionaries(
    {"key": st.sampled_from(KEYS), "operator": st.sampled_from(OPERATORS)},
    optional={"values": st.lists(st.sampled_from(VALUES), max_size=3)},
)
_field = st.fixed_dictionaries(
    {
        "key": st.just("metadata.name"),
        "operator": st.sampled_from(["In", "NotIn"]),
        "values": st.lists(st.sampled_from(["n0", "n1"]), min_size=1, max_size=2),
    }
)
_term = st.fixed_dictionaries(
    {},
    optional={
        "matchExpressions": st.lists(_requirement, max_size=3),
        "matchFields": st.lists(_field, max_size=2),
    },
)


def _number(text: str) -> int | None:
    """As Go reads an integer of 64 bits; the values here have no other traps."""
    try:
        number = int(text)
    except ValueError:
        return None
    return number if -(2**63) <= number < 2**63 else None


def _lawful_value(value: str) -> bool:
    return len(value) <= 63 and " " not in value and not value.startswith("-")


def oracle(terms: list[dict[str, Any]], labels: dict[str, str]) -> bool:
    """The API reference read aloud, for a node that is known by its labels alone."""
    for term in terms:
        expressions, fields = term.get("matchExpressions", []), term.get("matchFields", [])
        if not expressions and not fields:
            continue  # an empty term matches no objects
        answers = [len(field["values"]) == 1 and field["operator"] == "NotIn" for field in fields]
        for one in expressions:
            values, operator, present = one.get("values", []), one["operator"], one["key"] in labels
            if operator == "In":
                valid = len(values) > 0 and all(map(_lawful_value, values))
                answers.append(valid and present and labels[one["key"]] in values)
            elif operator == "NotIn":
                valid = len(values) > 0 and all(map(_lawful_value, values))
                answers.append(valid and not (present and labels[one["key"]] in values))
            elif operator == "Exists":
                answers.append(not values and present)
            elif operator == "DoesNotExist":
                answers.append(not values and not present)
            elif operator in ("Gt", "Lt"):
                bound = _number(values[0]) if len(values) == 1 and _lawful_value(values[0]) else None
                found = _number(labels[one["key"]]) if present else None
                known = bound is not None and found is not None
                answers.append(known and (found > bound if operator == "Gt" else found < bound))  # type: ignore[operator]
            else:
                answers.append(False)
        if all(answers):
            return True
    return False


def _spec(terms: list[dict[str, Any]]) -> dict[str, Any]:
    return {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}


@given(st.lists(_term, max_size=3), _labels)
def test_a_node_reaches_a_volume_exactly_when_the_oracle_says_so(
    terms: list[dict[str, Any]], labels: dict[str, str]
) -> None:
    affinity = affinity_of(_spec(terms))
    assert affinity is not None
    assert matches(affinity, labels) is oracle(terms, labels)


@given(
    st.lists(st.lists(_term, min_size=1, max_size=2), max_size=3), st.lists(_labels, min_size=1, max_size=4), st.data()
)
def test_the_index_says_what_every_node_asked_one_by_one_says_also_after_changes(
    affinities: list[list[dict[str, Any]]], all_labels: list[dict[str, str]], data: st.DataObject
) -> None:
    nodes = {f"n{number}": Node(f"n{number}", labels=labels) for number, labels in enumerate(all_labels)}
    reach = Reach(nodes)

    def check() -> None:
        for terms in affinities:
            affinity = affinity_of(_spec(terms))
            assert affinity is not None
            assert reach.of(affinity) == {name for name, node in nodes.items() if oracle(terms, dict(node.labels))}

    check()
    for _ in range(3):
        name = data.draw(st.sampled_from(["n0", "n1", "new"]))
        old, labels = nodes.get(name), data.draw(st.none() | _labels)
        new = Node(name, labels=labels) if labels is not None else None
        if new is not None:
            nodes[name] = new
        else:
            nodes.pop(name, None)
        reach.node(old, new)
        check()


@given(
    st.lists(st.tuples(st.integers(0, 3), st.none() | st.lists(_term, max_size=2))),
    st.none() | _labels,
    st.none() | _labels,
)
def test_what_a_change_touches_is_what_every_affinity_asked_one_by_one_says(
    changes: list[tuple[int, list[dict[str, Any]] | None]], before: dict[str, str] | None, after: dict[str, str] | None
) -> None:
    members, known = ByAffinity[int](), {}
    for number, terms in changes:
        if number in known:
            members.drop(known.pop(number), str(number))
        affinity = affinity_of(_spec(terms)) if terms is not None else None
        if affinity is not None:
            members.put(affinity, str(number), number)
            known[number] = affinity
    old, new = (Node("n", labels=labels) if labels is not None else None for labels in (before, after))
    for judged in (False, True):
        expected = []
        for number, affinity in known.items():
            reached, reaches = (labels is not None and matches(affinity, labels) for labels in (before, after))
            if reached != reaches or (judged and reaches):
                expected.append(number)
        assert sorted(members.touched(old, new, judged=judged)) == sorted(expected)


@pytest.mark.parametrize("spec", [{}, {"nodeAffinity": None}, {"nodeAffinity": {}}])
def test_no_affinity_is_not_an_affinity_that_nothing_satisfies(spec: dict[str, Any]) -> None:
    assert affinity_of(spec) is None
    assert affinity_of(_spec([])) == ()


def test_names_of_nodes_are_not_known_to_the_scheduler_here() -> None:
    by_name = {"key": "metadata.name", "operator": "In", "values": ["gpu-fr-1"]}
    affinity = affinity_of(_spec([{"matchFields": [by_name]}]))
    assert affinity == ()
    but_one = affinity_of(_spec([{"matchFields": [by_name | {"operator": "NotIn"}]}]))
    assert but_one is not None
    assert matches(but_one, {})
