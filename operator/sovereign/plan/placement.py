"""Placement: which nodes a policy approves, and which rule rejects the others.

A node is judged by its facts alone, labels that its kubelet cannot set. What is missing never passes.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from sovereign.api.conditions import Reason
from sovereign.api.meta import FACT_JURISDICTION, FACT_PROVIDER, FACT_REGION, TOPOLOGY_REGION
from sovereign.api.pool import PoolPlacement
from sovereign.plan import identity, jurisdictions
from sovereign.plan.inventory import Node, Policy
from sovereign.plan.verdict import Verdict, first_failure

if TYPE_CHECKING:
    from sovereign.plan.governance import Governance

JURISDICTIONS: Final = "placement.jurisdictions"
REGIONS: Final = "placement.regions"
PROVIDERS: Final = "placement.providers"
NODE_SELECTOR: Final = "placement.nodeSelector"
FACTS: Final = "placement.facts"
IDENTITY: Final = "placement.identity"

_GROUPS_SHOWN: Final = 5
_NODES_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a node must have, made ready for many nodes."""

    stated: tuple[str, ...]
    """The jurisdictions as they are written, for messages."""
    countries: frozenset[str]
    regions: frozenset[str]
    providers: frozenset[str]
    labels: tuple[tuple[str, str], ...]


@lru_cache(maxsize=256)
def _wanted(
    stated: tuple[str, ...],
    regions: tuple[str, ...],
    providers: tuple[str, ...],
    labels: tuple[tuple[str, str], ...],
) -> _Wanted:
    countries = frozenset(jurisdictions.expand(stated))
    return _Wanted(stated, countries, frozenset(regions), frozenset(providers), tuple(sorted(labels)))


def _of_policy(policy: Policy) -> _Wanted:
    placement = policy.spec.placement
    return _wanted(
        tuple(placement.jurisdictions),
        tuple(placement.regions),
        tuple(placement.providers),
        tuple(placement.node_selector.items()),
    )


def _of_pool(placement: PoolPlacement) -> _Wanted:
    stated = tuple(placement.jurisdictions) or tuple(sorted(jurisdictions.KNOWN))
    return _wanted(stated, tuple(placement.regions), (), ())


_Rule = Callable[[_Wanted, Node], Verdict]


def _identity(_: _Wanted, node: Node) -> Verdict:
    other = identity.other_machine(node)
    message = (
        f"that is another machine than its facts were set for (another {', '.join(identity.differences(node))})"
        if other
        else ""
    )
    return Verdict(not other, IDENTITY, Reason.NO_APPROVED_NODE, message)


def _facts(wanted: _Wanted, node: Node) -> Verdict:
    needed = [(FACT_JURISDICTION, node.jurisdiction)]
    needed += [(FACT_REGION, node.region)] if wanted.regions else []
    needed += [(FACT_PROVIDER, node.provider)] if wanted.providers else []
    missing = [key for key, value in needed if not value]
    return Verdict(not missing, FACTS, Reason.NO_APPROVED_NODE, f"without the label {', '.join(missing)}")


def _jurisdiction(wanted: _Wanted, node: Node) -> Verdict:
    ok = node.jurisdiction in wanted.countries
    return _compared(ok, JURISDICTIONS, "jurisdiction", node.jurisdiction, wanted.stated)


def _region(wanted: _Wanted, node: Node) -> Verdict:
    ok = not wanted.regions or node.region in wanted.regions
    return _compared(ok, REGIONS, "region", node.region, wanted.regions)


def _provider(wanted: _Wanted, node: Node) -> Verdict:
    ok = not wanted.providers or node.provider in wanted.providers
    return _compared(ok, PROVIDERS, "provider", node.provider, wanted.providers)


def _node_selector(wanted: _Wanted, node: Node) -> Verdict:
    for key, value in wanted.labels:
        if node.labels.get(key) != value:
            found = node.labels.get(key, "")
            has = f"label {key}={found}" if found else f"no label {key}"
            message = f"with {has}, not {value!r}"
            return Verdict(False, NODE_SELECTOR, Reason.NO_APPROVED_NODE, message, found)
    return Verdict(True, NODE_SELECTOR, Reason.NO_APPROVED_NODE)


def _compared(ok: bool, rule: str, fact: str, found: str, wanted: Iterable[str]) -> Verdict:
    if ok:
        return Verdict(True, rule, Reason.NO_APPROVED_NODE, found=found)
    message = f"with {fact} {found or '(none)'}, not in {', '.join(sorted(wanted))}"
    return Verdict(False, rule, Reason.NO_APPROVED_NODE, message, found)


RULES: Final[tuple[_Rule, ...]] = (_identity, _facts, _jurisdiction, _region, _provider, _node_selector)
"""Every rule of placement, in the order in which they are evaluated."""


def _approves(wanted: _Wanted, node: Node) -> bool:
    """Whether all of `RULES` hold: the same answer without the words, for judging many nodes."""
    labels = node.labels
    return (
        labels.get(FACT_JURISDICTION) in wanted.countries
        and (not wanted.regions or labels.get(FACT_REGION) in wanted.regions)
        and (not wanted.providers or labels.get(FACT_PROVIDER) in wanted.providers)
        and all(labels.get(key) == value for key, value in wanted.labels)
        and not identity.other_machine(node)
    )


def judge(node: Node, policy: Policy) -> tuple[Verdict, ...]:
    """The verdict of every rule of ``policy`` about ``node``, in order."""
    wanted = _of_policy(policy)
    return tuple(rule(wanted, node) for rule in RULES)


def rejection(node: Node, policy: Policy) -> Verdict | None:
    """The first rule of ``policy`` that rejects ``node``; nothing when the node is approved."""
    wanted = _of_policy(policy)
    return None if _approves(wanted, node) else _first(wanted, node)


def rejections(nodes: Iterable[Node], policy: Policy) -> Iterator[Verdict | None]:
    """The `rejection` of each of ``nodes``, in their order."""
    wanted = _of_policy(policy)
    for node in nodes:
        yield None if _approves(wanted, node) else _first(wanted, node)


def contradiction(node: Node) -> str:
    """What a node says of its region, against the fact that was set for it; nothing where they agree or one is missing."""
    own = node.labels.get(TOPOLOGY_REGION, "")
    if not own or not node.region or own == node.region:
        return ""
    return (
        f"its own label {TOPOLOGY_REGION} says {own}, its region fact says {node.region}; find out where the "
        "machine is, then correct the one that is wrong"
    )


def approved(nodes: Iterable[Node], policy: Policy) -> frozenset[str]:
    """Names of the nodes that ``policy`` approves."""
    wanted = _of_policy(policy)
    return frozenset(node.name for node in nodes if _approves(wanted, node))


def lawful(nodes: Iterable[Node], governance: "Governance", placement: PoolPlacement | None = None) -> list[Node]:
    """The nodes that every policy approves and that a pool's own ``placement`` includes, in their order."""
    all_wanted = [_of_policy(policy) for policy in governance.policies]
    all_wanted += [_of_pool(placement)] if placement else []
    return [node for node in nodes if all(_approves(wanted, node) for wanted in all_wanted)]


def narrowing(placement: PoolPlacement, governance: "Governance") -> Verdict:
    """Whether a pool's ``placement`` lies within what the policies approve.

    A group (EU, EEA) need only have a country in common with a policy: the pool then runs in what they share.
    """
    known = jurisdictions.unknown(placement.jurisdictions, JURISDICTIONS)
    if not known.ok:
        return known
    for policy in governance.policies:
        wanted = _of_policy(policy)
        outside = [code for code in placement.jurisdictions if not wanted.countries & {*jurisdictions.expand([code])}]
        if outside:
            return _outside(JURISDICTIONS, outside, policy, wanted.stated)
        outside = [region for region in placement.regions if wanted.regions and region not in wanted.regions]
        if outside:
            return _outside(REGIONS, outside, policy, wanted.regions)
    return Verdict(True, JURISDICTIONS, Reason.POLICY_ACCEPTED)


def _outside(rule: str, outside: list[str], policy: Policy, allowed: Iterable[str]) -> Verdict:
    found = ", ".join(outside)
    message = (
        f"spec.{rule} asks for {found}, which policy {policy.name} does not allow; "
        f"leave it out, or choose among {', '.join(sorted(allowed))}"
    )
    return Verdict(False, rule, Reason.PLACEMENT_NOT_ALLOWED, message, found)


def explain_none(nodes: Iterable[Node], governance: "Governance", placement: PoolPlacement | None = None) -> str:
    """Why no node is lawful: which rule rejects which nodes, most nodes first (reason NoApprovedNode)."""
    judges = [(f" of policy {policy.name}", _of_policy(policy)) for policy in governance.policies]
    judges += [(" of the pool", _of_pool(placement))] if placement else []
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for node in nodes:
        for whose, wanted in judges:
            if not _approves(wanted, node):
                verdict = _first(wanted, node)
                groups[f"{verdict.message} ({verdict.rule}{whose})"].append(node.name)
                break
    if not groups:
        return "no node is approved: the cluster has no nodes yet"
    ranked = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    shown = [_group(names, why) for why, names in ranked[:_GROUPS_SHOWN]]
    left = sum(len(names) for _, names in ranked[_GROUPS_SHOWN:])
    shown += [f"and {left} more nodes for other reasons"] if left else []
    return "no node is approved: " + "; ".join(shown)


def _group(names: list[str], why: str) -> str:
    names = sorted(names)
    more = f" and {len(names) - _NODES_SHOWN} more" if len(names) > _NODES_SHOWN else ""
    count = "1 node" if len(names) == 1 else f"{len(names)} nodes"
    return f"{count} {why}: {', '.join(names[:_NODES_SHOWN])}{more}"


def _first(wanted: _Wanted, node: Node) -> Verdict:
    verdict = first_failure([rule(wanted, node) for rule in RULES])
    if verdict is None:
        raise AssertionError(f"_approves and RULES disagree about node {node.name}")
    return verdict
