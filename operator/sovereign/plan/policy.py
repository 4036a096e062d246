"""A SovereigntyPolicy, planned: approved nodes, their labels, admission objects, closed namespaces."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from sovereign.api.conditions import Reason
from sovereign.api.meta import approved_label
from sovereign.plan import approval, grants, identity, jurisdictions, placement
from sovereign.plan.admission import Admission, Compiler
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


class _Stand(msgspec.Struct, frozen=True):
    """How a node stands with a policy."""

    node: Node
    rejection: Verdict | None
    """The first rule that rejects it; nothing when it is approved."""
    to_label: bool
    to_bind: bool
    to_unlabel: bool

    @property
    def name(self) -> str:
        return self.node.name


class PolicyPlanner:
    """Plans one policy again and again; what is as it was the last time is not worked out anew.

    A node is a value, so the same object stands with the policy as before.
    """

    def __init__(self, policy: Policy, settings: Settings) -> None:
        self.policy: Final = policy
        self._settings: Final = settings
        self._compiler: Final = Compiler(policy, settings)
        self._stands: dict[str, _Stand] = {}
        """Of each node, as of the last plan."""
        self._compiled: tuple[frozenset[str], Admission] | None = None
        """What was compiled last, and for which approved nodes."""

    def plan(
        self, nodes: Iterable[Node], namespaces: Mapping[str, Mapping[str, str]], policies: Iterable[Policy]
    ) -> PolicyPlan:
        """Plan the policy, given all nodes, all namespaces (labels by name) and all policies."""
        policy = self.policy
        others = [other for other in policies if other.name != policy.name]
        governed = _governed(policy, others, namespaces, self._settings)
        stands = self._judged(sorted(nodes, key=lambda node: node.name))
        approved = frozenset(stand.name for stand in stands if stand.rejection is None)
        fits = approval.fits(approved)
        admission = self._admission(approved) if fits else Admission()
        enforced = policy.spec.enforcement == "Enforce"
        all_nodes = [stand.node for stand in stands]
        return PolicyPlan(
            approved=approved,
            rejections=tuple((stand.name, stand.rejection) for stand in stands if stand.rejection is not None),
            jurisdictions=jurisdictions.expand(policy.spec.placement.jurisdictions),
            namespaces=tuple(governed),
            admission=admission.objects,
            trials=admission.trials,
            network=tuple(default_deny(name, policy) for name in governed) if enforced else (),
            node_label=approved_label(policy.name),
            to_label=tuple(stand.name for stand in stands if stand.to_label),
            to_bind=tuple(stand.name for stand in stands if stand.to_bind),
            to_unlabel=tuple(stand.name for stand in stands if stand.to_unlabel),
            verdicts=tuple(_verdicts(policy, all_nodes, approved, governed, fits=fits)),
        )

    def _judged(self, nodes: Sequence[Node]) -> list[_Stand]:
        """How ``nodes`` stand, in their order."""
        known = self._stands
        changed = [node for node in nodes if (stand := known.get(node.name)) is None or stand.node is not node]
        anew = {stand.name: stand for stand in _judge(self.policy, changed)}
        self._stands = {node.name: anew.get(node.name) or known[node.name] for node in nodes}
        return list(self._stands.values())

    def _admission(self, approved: frozenset[str]) -> Admission:
        if self._compiled is None or self._compiled[0] != approved:
            self._compiled = approved, self._compiler.compile(approved)
        return self._compiled[1]


def plan_policy(
    policy: Policy,
    nodes: Iterable[Node],
    namespaces: Mapping[str, Mapping[str, str]],
    policies: Iterable[Policy],
    settings: Settings,
) -> PolicyPlan:
    """Plan ``policy``, given all nodes, all namespaces (labels by name) and all policies."""
    return PolicyPlanner(policy, settings).plan(nodes, namespaces, policies)


def concerns(policy: Policy, before: Node | None, now: Node | None) -> bool:
    """Whether `plan_policy` says something else about a node than before, or has something to do about it still; None: there is none."""
    if before is None or now is None:
        return before is not now
    stood, stands = _judge(policy, [before, now])
    return stands.to_label or stands.to_bind or stands.to_unlabel or stood.rejection != stands.rejection


def _judge(policy: Policy, nodes: Sequence[Node]) -> Iterator[_Stand]:
    label = approved_label(policy.name)
    for node, rejection in zip(nodes, placement.rejections(nodes, policy), strict=True):
        approved = rejection is None
        to_label = approved and node.labels.get(label) != "true"
        to_bind = approved and not identity.bound(node)
        yield _Stand(node, rejection, to_label, to_bind, to_unlabel=not approved and label in node.labels)


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
