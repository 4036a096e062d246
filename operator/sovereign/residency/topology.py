"""Which nodes a volume can be reached from: its node affinity, judged as the scheduler and kubelets judge it.

Source: ``CheckNodeAffinity`` in component-helpers/storage/volume and ``nodeaffinity`` in component-helpers/scheduling/corev1. Terms
are OR-ed, what is in a term is AND-ed; an empty term, and one that cannot be parsed, matches nothing. Both ask with the node's labels
alone: a node has no name there, so that ``matchFields`` with In matches no node, and with NotIn every one.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any, Final, Generic, NamedTuple, TypeVar

from sovereign.plan.inventory import Node
from sovereign.residency.index import Index

_VALUE: Final = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_INTEGER: Final = re.compile(r"[-+]?[0-9]+", re.ASCII)
_LARGEST: Final = 2**63


class Requirement(NamedTuple):
    """One expression over the labels of a node."""

    key: str
    operator: str
    values: tuple[str, ...]


Term = tuple[Requirement, ...]
Affinity = tuple[Term, ...]
"""Terms any of which must hold; without any, nothing does."""


def affinity_of(spec: Mapping[str, Any]) -> Affinity | None:
    """The node affinity of a PersistentVolume's spec; None where it states none, which every node satisfies."""
    required = (spec.get("nodeAffinity") or {}).get("required")
    if required is None:
        return None
    terms = (_term(term) for term in required.get("nodeSelectorTerms") or ())
    return tuple(term for term in terms if term)


def _term(term: Mapping[str, Any]) -> Term | None:
    """A term; None when it matches nothing."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if any(field["operator"] != "NotIn" or len(field.get("values") or ()) != 1 for field in fields):
        return None
    if not expressions and fields:
        return _EVERY
    parsed = tuple(Requirement(e["key"], e["operator"], tuple(e.get("values") or ())) for e in expressions)
    return parsed if all(_valid(requirement) for requirement in parsed) else None


_EVERY: Final = (Requirement("", "DoesNotExist", ()),)
"""A term that every node satisfies."""


def _valid(requirement: Requirement) -> bool:
    """As ``labels.NewRequirement`` has it."""
    values = requirement.values
    match requirement.operator:
        case "In" | "NotIn":
            return bool(values) and all(_VALUE.fullmatch(value) for value in values)
        case "Exists" | "DoesNotExist":
            return not values
        case "Gt" | "Lt":
            return len(values) == 1 and _integer(values[0]) is not None and _VALUE.fullmatch(values[0]) is not None
    return False


def _integer(text: str) -> int | None:
    """``strconv.ParseInt(text, 10, 64)``."""
    if len(text) > 64 or _INTEGER.fullmatch(text) is None:
        return None
    number = int(text)
    return number if -_LARGEST <= number < _LARGEST else None


def matches(affinity: Affinity, labels: Mapping[str, str]) -> bool:
    """Whether a node with these labels reaches the volume."""
    return any(all(_holds(requirement, labels) for requirement in term) for term in affinity)


def _holds(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value is not None and value in requirement.values
        case "NotIn":
            return value is None or value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    number, bound = _integer(value or ""), _integer(requirement.values[0])
    if number is None or bound is None:
        return False
    return number > bound if requirement.operator == "Gt" else number < bound


Member = TypeVar("Member")
_Label = tuple[str, str]


class ByAffinity(Generic[Member]):
    """What may be reached from nodes, by the affinity that says from which: most have the affinity of many others, or one node each."""

    def __init__(self) -> None:
        self._members: dict[Affinity, dict[str, Member]] = {}
        """By name."""
        self._by_label: Index[_Label | None, Affinity] = Index()
        """By each of their `_handles`."""

    def put(self, affinity: Affinity, name: str, member: Member) -> None:
        """Take in a member."""
        if affinity not in self._members:
            self._members[affinity] = {}
            for label in _handles(affinity):
                self._by_label.add(label, affinity)
        self._members[affinity][name] = member

    def drop(self, affinity: Affinity, name: str) -> None:
        """Forget a member."""
        members = self._members[affinity]
        del members[name]
        if not members:
            del self._members[affinity]
            for label in _handles(affinity):
                self._by_label.discard(label, affinity)

    def touched(self, old: Node | None, new: Node | None, *, judged: bool) -> Iterator[Member]:
        """What a node reaches now and did not before, or the other way round; ``judged``: all that it reaches now, too."""
        before, after = (old.labels if old else {}), (new.labels if new else {})
        near = (self._by_label.get(label, ()) for label in {None, *before.items(), *after.items()})
        for affinity in set().union(*near):
            reached = old is not None and matches(affinity, before)
            reaches = new is not None and matches(affinity, after)
            if reached != reaches or (judged and reaches):
                yield from self._members[affinity].values()


def _handles(affinity: Affinity) -> set[_Label | None]:
    """Labels of which a node must have one to reach the volume; None among them where it may have any."""
    named = map(_named, affinity)
    return {label for one in named for label in ([(one.key, value) for value in one.values] if one else [None])}


def _named(term: Term) -> Requirement | None:
    """The first requirement that names the values which a label may have."""
    return next((one for one in term if one.operator == "In"), None)


class Reach:
    """The nodes that each affinity reaches: computed when first asked, over an index of the labels that affinities name."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self._nodes = nodes
        self._known: dict[Affinity, frozenset[str]] = {}
        self._index: dict[str, defaultdict[str, set[str]]] = {}
        """By label key and value: names of nodes."""
        self._keys: set[str] = set()
        """Every label key that a known answer depends on."""

    def of(self, affinity: Affinity) -> frozenset[str]:
        """Names of the nodes that reach a volume with this affinity."""
        found = self._known.get(affinity)
        if found is None:
            found = self._known[affinity] = frozenset(
                name
                for term in affinity
                for name in self._candidates(term)
                if matches((term,), self._nodes[name].labels)
            )
            self._keys.update(requirement.key for term in affinity for requirement in term)
        return found

    def node(self, old: Node | None, new: Node | None) -> bool:
        """A node appeared, changed or went; whether another set of nodes may reach some volume now."""
        if not self._known:
            return False
        before, after = (old.labels if old else {}), (new.labels if new else {})
        if old is not None and new is not None and all(before.get(key) == after.get(key) for key in self._keys):
            return False
        self._known.clear()
        self._keys.clear()
        self._index.clear()
        return True

    def _candidates(self, term: Term) -> Set[str]:
        """Nodes that may satisfy a term: by a label that it names with its values, else all."""
        named = _named(term)
        if named is None:
            return self._nodes.keys()
        index = self._by_label(named.key)
        return {name for value in named.values for name in index.get(value, ())}

    def _by_label(self, key: str) -> Mapping[str, Iterable[str]]:
        index = self._index.get(key)
        if index is None:
            index = self._index[key] = defaultdict(set)
            for name, node in self._nodes.items():
                if key in node.labels:
                    index[node.labels[key]].add(name)
        return index
