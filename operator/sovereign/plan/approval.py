"""The gate that no scheduler, no ``nodeName`` and no hand-made Binding gets around: only approved nodes.

The names are literals in the rules, because a parameter object that cannot be resolved locks the API server
(kubernetes/kubernetes#130887). One CEL expression holds 100,000 code points at most, so they are cut over
variables; an object holds 1.5 MB, so many names are cut over several policies (shards), each of which
judges its own part of all possible names.

Each variable asks about its own names, and is no list: cel-go makes a hash set of the literal in ``x in [literal]``, once
when the rule is compiled, but walks a list that it gets from a variable, which took half a millisecond for 15,000 names.
"""

import itertools
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from sovereign.api.meta import approved_label
from sovereign.plan import canary_requests
from sovereign.plan.canaries import PREFIX
from sovereign.plan.cel import Cel, any_of, code, integer, quote, sentence, strings, variable
from sovereign.plan.inventory import Policy
from sovereign.plan.rules import Rules, Validation, resources

CODE_POINTS_PER_VARIABLE: Final = 90_000
BYTES_PER_OBJECT: Final = 1_000_000
"""Of names. An object has 1.5 MB in all, and what it holds is held again by its ``managedFields``."""
MOST_SHARDS: Final = 16

_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz0123456789.-"
"""The characters of a node's name (RFC 1123)."""
_PLACES: Final = bytes(max(_ALPHABET.find(chr(byte)), 0) for byte in range(256))

BINDINGS: Final = resources("", "v1", ["CREATE"], ["bindings", "pods/binding"])
PODS: Final = resources("", "v1", ["CREATE"], ["pods"])


@dataclass(frozen=True)
class Shard:
    """The part of all approved nodes that one object lists."""

    index: int
    count: int
    lists: tuple[tuple[str, Cel], ...]
    """Variables by name, each of which tells whether ``node`` is one of some of the names."""
    example: str
    """The first of the names; empty: there is none."""

    @property
    def suffix(self) -> str:
        """The end of the names of its objects.

        The number of shards is part of it: other shards are other objects, so that while they replace each other both judge, and
        no name is ever without a judge.
        """
        return "" if self.count == 1 else f"-{self.index + 1}of{self.count}"

    @property
    def unapproved(self) -> str:
        """The name of a node that it judges and that nobody approves, because there is none."""
        candidates = (f"{PREFIX}{number}" for number in itertools.count())
        return next(name for name in candidates if shard_of(name, self.count) == self.index)

    @property
    def listed(self) -> Cel:
        """Whether the variable ``node`` is one of its names."""
        return any_of(variable(name) for name, _ in self.lists)

    @property
    def approved(self) -> Cel:
        """Whether the variable ``node`` is approved, or judged by another shard. Needs `names` with ``judged``."""
        if self.count == 1:
            return self.listed
        return ~variable("shard").equals(integer(self.index)) | self.listed

    def names(self, node: Cel, *, judged: bool = False) -> tuple[tuple[str, Cel], ...]:
        """The variables that its rules need, where ``node`` is the name that is judged."""
        shard = [("shard", _shard_expression(self.count))] if judged and self.count > 1 else []
        return (("node", node), *shard, *self.lists)


def fits(approved: Collection[str]) -> bool:
    """Whether so many approved nodes can be written into admission objects."""
    return _shard_count(approved) <= MOST_SHARDS


def shard_of(name: str, count: int) -> int:
    """Which of ``count`` shards judges the node ``name``.

    It is the sum of the characters' places in the alphabet, modulo ``count``: CEL has no hash function, and can
    compute this one.
    """
    return _places(name) % count


def shards(approved: Collection[str]) -> Iterator[Shard]:
    """The approved nodes, cut so that each shard fits into one object.

    Raises:
        ValueError: more nodes than `fits`.
    """
    count = _shard_count(approved)
    if count > MOST_SHARDS:
        raise ValueError(f"{len(approved)} approved nodes do not fit into {MOST_SHARDS} admission policies")
    for index in range(count):
        names = sorted(name for name in approved if count == 1 or shard_of(name, count) == index)
        chunks = enumerate(_chunks(names))
        lists = tuple((f"listed{place}", variable("node").within(strings(chunk))) for place, chunk in chunks)
        yield Shard(index, count, lists, next(iter(names), ""))


def approval_rules(policy: Policy, shards: Iterable[Shard]) -> Iterator[Rules]:
    """The rules about the node of a Binding and about ``nodeName``, shard by shard."""
    for shard in shards:
        yield _binding(policy, shard)
        yield _node_name(policy, shard)


def _places(name: str) -> int:
    """The sum of the places in `_ALPHABET` of a name's characters, by a table, because names are many."""
    return sum(name.encode("ascii").translate(_PLACES))


def _binding(policy: Policy, shard: Shard) -> Rules:
    whose = f"policy {policy.name}: "
    target = code("object.target.?kind.orValue('')")
    node_only = Validation(
        target.within(strings(["", "Node"])),
        f"{whose}a Binding's target must be a Node; set target.kind to Node",
    )
    advice = f" is not approved; approved nodes carry the label {approved_label(policy.name)}=true"
    approved = Validation(
        shard.approved,
        f"{whose}the node{advice}",
        sentence(f"{whose}node ", variable("node"), advice),
    )
    variables = shard.names(code("object.target.?name.orValue('')"), judged=True)
    canary = canary_requests.binding(shard.unapproved)
    return Rules(f"binding{shard.suffix}", (BINDINGS,), (node_only, approved), variables, canary=canary)


def _node_name(policy: Policy, shard: Shard) -> Rules:
    whose = f"policy {policy.name}: "
    advice = (
        " in spec.nodeName is not approved; leave spec.nodeName out, so that the pod is scheduled to a node "
        "with the label "
        f"{approved_label(policy.name)}=true"
    )
    approved = Validation(
        shard.approved,
        f"{whose}the node{advice}",
        sentence(f"{whose}node ", variable("node"), advice),
    )
    node = code("object.spec.?nodeName.orValue('')")
    named = (("names-a-node", ~node.equals(quote(""))),)
    variables = shard.names(node, judged=True)
    canary = canary_requests.node_name(policy, shard.unapproved)
    return Rules(f"nodename{shard.suffix}", (PODS,), (approved,), variables, named, canary=canary)


def _shard_expression(count: int) -> Cel:
    places = code("variables.node.split('').map(c, %s.indexOf(c)).sum() %% %s")
    return places.filled(quote(_ALPHABET), integer(count))


def _chunks(names: list[str]) -> Iterator[list[str]]:
    """``names`` cut so that each part fits into one expression."""
    chunk: list[str] = []
    length = 0
    for name in names:
        size = len(name) + len("'', ")
        if length + size > CODE_POINTS_PER_VARIABLE:
            yield chunk
            chunk, length = [], 0
        chunk.append(name)
        length += size
    if chunk:
        yield chunk


def _shard_count(approved: Collection[str]) -> int:
    """The least power of two whose shards each fit into one object; beyond `MOST_SHARDS` where none does."""
    if sum(map(len, approved)) + len("'', ") * len(approved) <= BYTES_PER_OBJECT:
        return 1
    sizes = [(_places(name), len(name) + len("'', ")) for name in approved]
    count = 2
    while count <= MOST_SHARDS:
        shards = [0] * count
        for places, size in sizes:
            shards[places % count] += size
        if max(shards) <= BYTES_PER_OBJECT:
            break
        count *= 2
    return count
