"""The gate that no scheduler, no ``nodeName`` and no hand-made Binding gets around: only approved nodes.

The names are literals in the rules, because a parameter object that cannot be resolved locks the API server
(kubernetes/kubernetes#130887). One CEL expression holds 100,000 code points at most, so they are cut over
variables; an object holds 1.5 MB, so many names are cut over several policies (shards), each of which
judges its own part of all possible names.
"""

import itertools
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from sovereign.api.meta import approved_label
from sovereign.plan import canary_requests
from sovereign.plan.canaries import PREFIX
from sovereign.plan.cel import Cel, any_of, code, integer, quote, sentence, strings, variable
from sovereign.plan.inventory import Policy
from sovereign.plan.rules import Rules, Validation, resources

NAMES_PER_VARIABLE: Final = 1_000
CODE_POINTS_PER_VARIABLE: Final = 90_000
BYTES_PER_OBJECT: Final = 1_000_000
"""Of names. An object has 1.5 MB in all, and what it holds is held again by its ``managedFields``."""
MOST_SHARDS: Final = 16

_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz0123456789.-"
"""The characters of a node's name (RFC 1123)."""
_PLACES: Final = bytes(max(_ALPHABET.find(chr(byte)), 0) for byte in range(256))

_BINDINGS: Final = resources("", "v1", ["CREATE"], ["bindings", "pods/binding"])
_PODS: Final = resources("", "v1", ["CREATE"], ["pods"])


def fits(approved: Iterable[str]) -> bool:
    """Whether so many approved nodes can be written into admission objects."""
    return _shard_count(approved) <= MOST_SHARDS


def shard_of(name: str, count: int) -> int:
    """Which of ``count`` shards judges the node ``name``.

    It is the sum of the characters' places in the alphabet, modulo ``count``: CEL has no hash function, and can
    compute this one.
    """
    return _places(name) % count


def node_rules(policy: Policy, approved: Collection[str]) -> Iterator[Rules]:
    """The rules about the node of a Binding and about ``nodeName``, shard by shard.

    The number of shards is part of their names: other shards are other objects, so that while they replace each
    other both judge, and no name is ever without a judge.

    Raises:
        ValueError: more nodes than `fits`.
    """
    count = _shard_count(approved)
    if count > MOST_SHARDS:
        raise ValueError(f"{len(approved)} approved nodes do not fit into {MOST_SHARDS} admission policies")
    for shard in range(count):
        names = sorted(name for name in approved if count == 1 or shard_of(name, count) == shard)
        suffix = "" if count == 1 else f"-{shard + 1}of{count}"
        yield _binding(policy, names, shard, count, suffix)
        yield _node_name(policy, names, shard, count, suffix)


def _places(name: str) -> int:
    """The sum of the places in `_ALPHABET` of a name's characters, by a table, because names are many."""
    return sum(name.encode("ascii").translate(_PLACES))


def _binding(policy: Policy, names: list[str], shard: int, count: int, suffix: str) -> Rules:
    whose = f"policy {policy.name}: "
    target = code("object.target.?kind.orValue('')")
    node_only = Validation(
        target.within(strings(["", "Node"])),
        f"{whose}a Binding's target must be a Node; set target.kind to Node",
    )
    advice = f" is not approved; approved nodes carry the label {approved_label(policy.name)}=true"
    approved = Validation(
        _judged(names, shard, count),
        f"{whose}the node{advice}",
        sentence(f"{whose}node ", variable("node"), advice),
    )
    variables = _variables(code("object.target.?name.orValue('')"), names, count)
    canary = canary_requests.binding(_unapproved(names, shard, count))
    return Rules(f"binding{suffix}", (_BINDINGS,), (node_only, approved), variables, canary=canary)


def _node_name(policy: Policy, names: list[str], shard: int, count: int, suffix: str) -> Rules:
    whose = f"policy {policy.name}: "
    advice = (
        " in spec.nodeName is not approved; leave spec.nodeName out, so that the pod is scheduled to a node "
        "with the label "
        f"{approved_label(policy.name)}=true"
    )
    approved = Validation(
        variable("node").equals(quote("")) | _judged(names, shard, count),
        f"{whose}the node{advice}",
        sentence(f"{whose}node ", variable("node"), advice),
    )
    variables = _variables(code("object.spec.?nodeName.orValue('')"), names, count)
    canary = canary_requests.node_name(policy, _unapproved(names, shard, count))
    return Rules(f"nodename{suffix}", (_PODS,), (approved,), variables, canary=canary)


def _unapproved(names: Collection[str], shard: int, count: int) -> str:
    """The name of a node that is not approved, and that this shard judges."""
    candidates = (f"{PREFIX}{index}" for index in itertools.count())
    return next(name for name in candidates if shard_of(name, count) == shard and name not in names)


def _judged(names: list[str], shard: int, count: int) -> Cel:
    """Whether the node is approved, or judged by another shard."""
    listed = any_of(variable("node").within(variable(_list_name(index))) for index, _ in enumerate(_chunks(names)))
    if count == 1:
        return listed
    return ~variable("shard").equals(integer(shard)) | listed


def _variables(node: Cel, names: list[str], count: int) -> tuple[tuple[str, Cel], ...]:
    lists = [(_list_name(index), strings(chunk)) for index, chunk in enumerate(_chunks(names))]
    shard = [("shard", _shard_expression(count))] if count > 1 else []
    return (("node", node), *shard, *lists)


def _shard_expression(count: int) -> Cel:
    places = code("variables.node.split('').map(c, %s.indexOf(c)).sum() %% %s")
    return places.filled(quote(_ALPHABET), integer(count))


def _list_name(index: int) -> str:
    return f"nodes{index}"


def _chunks(names: list[str]) -> Iterator[list[str]]:
    """``names`` cut so that each part fits into one expression."""
    chunk: list[str] = []
    length = 0
    for name in names:
        size = len(name) + len("'', ")
        if len(chunk) == NAMES_PER_VARIABLE or length + size > CODE_POINTS_PER_VARIABLE:
            yield chunk
            chunk, length = [], 0
        chunk.append(name)
        length += size
    if chunk:
        yield chunk


def _shard_count(approved: Iterable[str]) -> int:
    """The least power of two whose shards each fit into one object; beyond `MOST_SHARDS` where none does."""
    sizes = [(_places(name), len(name) + len("'', ")) for name in approved]
    count = 1
    while count <= MOST_SHARDS:
        shards = [0] * count
        for places, size in sizes:
            shards[places % count] += size
        if max(shards) <= BYTES_PER_OBJECT:
            break
        count *= 2
    return count


__all__ = ["MOST_SHARDS", "fits", "node_rules", "shard_of"]
