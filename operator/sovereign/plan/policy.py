"""A SovereigntyPolicy, planned: approved nodes, their labels, admission objects, closed namespaces."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from sovereign.api.conditions import Reason
from sovereign.api.meta import approved_label
from sovereign.plan import approval, grants, identity, jurisdictions, placement
from sovereign.plan.admission import Admission, compile_policy
from sovereign.plan.canaries import Trial
from sovereign.plan.governance import Governance, disjoint, govern
from sovereign.plan.inventory import Manifest, Node, Policy, Settings
from sovereign.plan.network import default_deny
from sovereign.plan.verdict import Verdict

_NAMES_SHOWN: Final = 3


@dataclass(frozen=True)
class PolicyPlan:
    """What there should be because of one policy."""

    approved: frozenset[str]
    """Names of the approved nodes."""
    rejections: tuple[tuple[str, Verdict], ...]
    """The other nodes by name, each with the first rule that rejects it."""
    jurisdictions: tuple[str, ...]
    """The countries that placement.jurisdictions stands for, sorted."""
    namespaces: tuple[str, ...]
    """The governed namespaces, sorted."""
    admission: tuple[Manifest, ...]
    """The admission objects; empty when `complete` is false."""
    trials: tuple[tuple[str, Trial], ...] = field(compare=False)
    """How each of them that decides is tried, by its name; none in Audit, and when `complete` is false."""
    network: tuple[Manifest, ...]
    """The NetworkPolicy that closes each governed namespace; none in Audit."""
    node_label: str
    """The label whose value is ``true`` on exactly the approved nodes."""
    to_label: tuple[str, ...]
    """Approved nodes that lack the label, sorted."""
    to_bind: tuple[str, ...]
    """Approved nodes whose facts are not bound to their machine yet, or not to all that is known of it, sorted."""
    to_unlabel: tuple[str, ...]
    """Other nodes that have it, sorted."""
    verdicts: tuple[Verdict, ...]
    """What is wrong with the policy itself, the gravest first; all of them not ok."""

    @property
    def complete(self) -> bool:
        """Whether `admission` is all there should be. If not, the rules that are in the cluster stay."""
        return all(verdict.reason is not Reason.TOO_MANY_NODES for verdict in self.verdicts)


def plan_policy(
    policy: Policy,
    nodes: Iterable[Node],
    namespaces: Mapping[str, Mapping[str, str]],
    policies: Iterable[Policy],
    settings: Settings,
) -> PolicyPlan:
    """Plan ``policy``, given all nodes, all namespaces (labels by name) and all policies."""
    all_nodes = sorted(nodes, key=lambda node: node.name)
    others = [other for other in policies if other.name != policy.name]
    governed = _governed(policy, others, namespaces, settings)
    rejections = list(placement.rejections(all_nodes, policy))
    approved = frozenset(node.name for node in all_nodes) - {name for name, _ in rejections}
    label = approved_label(policy.name)
    fits = approval.fits(approved)
    enforced = policy.spec.enforcement == "Enforce"
    admission = compile_policy(policy, approved, settings) if fits else Admission()
    return PolicyPlan(
        approved=approved,
        rejections=tuple(rejections),
        jurisdictions=jurisdictions.expand(policy.spec.placement.jurisdictions),
        namespaces=tuple(governed),
        admission=admission.objects,
        trials=admission.trials,
        network=tuple(default_deny(name, policy) for name in governed) if enforced else (),
        node_label=label,
        to_label=tuple(n.name for n in all_nodes if n.name in approved and n.labels.get(label) != "true"),
        to_bind=tuple(n.name for n in all_nodes if n.name in approved and not identity.bound(n)),
        to_unlabel=tuple(n.name for n in all_nodes if n.name not in approved and label in n.labels),
        verdicts=tuple(_verdicts(policy, all_nodes, approved, governed, fits=fits)),
    )


def concerns(policy: Policy, before: Node | None, now: Node | None) -> bool:
    """Whether `plan_policy` says something else about a node than before, or has something to do about it still; None: there is none."""
    return _unsettled(policy, now) or _stand(policy, before) != _stand(policy, now)


def _stand(policy: Policy, node: Node | None) -> tuple[Verdict | None] | None:
    return (placement.rejection(node, policy),) if node is not None else None


def _unsettled(policy: Policy, node: Node | None) -> bool:
    """Whether a node is to be labelled, bound or unlabelled."""
    if node is None:
        return False
    label = approved_label(policy.name)
    if placement.rejection(node, policy) is None:
        return node.labels.get(label) != "true" or not identity.bound(node)
    return label in node.labels


def _governed(
    policy: Policy, others: list[Policy], namespaces: Mapping[str, Mapping[str, str]], settings: Settings
) -> dict[str, Governance]:
    """The namespaces that ``policy`` governs, by name and in order, each with all that governs it."""
    result = {}
    for name in sorted(namespaces):
        governance = govern(name, namespaces[name], [policy, *others], settings)
        if policy.name in governance.names:
            result[name] = governance
    return result


def _verdicts(
    policy: Policy,
    nodes: list[Node],
    approved: frozenset[str],
    governed: Mapping[str, Governance],
    *,
    fits: bool,
) -> Iterator[Verdict]:
    yield from _invalid(policy)
    yield from _conflicts(policy, governed)
    if not fits:
        yield Verdict(
            False,
            "placement",
            Reason.TOO_MANY_NODES,
            f"{len(approved)} nodes are approved, more than admission objects can hold; the rules that are "
            "in force stay "
            "as they are. Split the policy, or narrow its placement",
            str(len(approved)),
        )
    if not approved:
        message = placement.explain_none(nodes, Governance((policy,)))
        yield Verdict(False, "placement", Reason.NO_APPROVED_NODE, message)


def _invalid(policy: Policy) -> Iterator[Verdict]:
    known = jurisdictions.unknown(policy.spec.placement.jurisdictions, placement.JURISDICTIONS)
    if not known.ok:
        yield known
    network = policy.spec.network
    stated = {
        "egress": grants.of(network.egress),
        "importEgress": grants.of(network.import_egress),
        "dns.resolvers": grants.dns(network.dns),
    }
    for path, granted in stated.items():
        if grants.everywhere(granted):
            message = (
                f"network.{path} adds up to the whole internet, and opens nothing; name the networks that are needed"
            )
            yield Verdict(False, f"network.{path}", Reason.INVALID_SPEC, message)


def _conflicts(policy: Policy, governed: Mapping[str, Governance]) -> Iterator[Verdict]:
    """One verdict for each other policy with which ``policy`` shares namespaces but no node."""
    shared: dict[tuple[str, str], list[str]] = {}
    for namespace, governance in governed.items():
        for other in governance.policies:
            rule = disjoint(policy.spec.placement, other.spec.placement)
            if other.name != policy.name and rule is not None:
                shared.setdefault((other.name, rule), []).append(namespace)
    for (other_name, rule), names in sorted(shared.items()):
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        message = (
            f"policy {other_name} also governs {', '.join(names[:_NAMES_SHOWN])}{more}, and has nothing in "
            "common with this one "
            f"in {rule}, so no node can satisfy both; change one of them, or the labels that select the "
            "namespaces"
        )
        yield Verdict(False, rule, Reason.EMPTY_INTERSECTION, message, other_name)
