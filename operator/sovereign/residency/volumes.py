"""Where the volumes of governed namespaces lie: judged by their node affinity and class, never by what a claim asks for.

A PersistentVolume says itself whose it is (``spec.claimRef``, phase Bound), so claims need not be known for it, those that nobody of
ours made included.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from sovereign.api.conditions import Reason
from sovereign.plan.governance import Governance
from sovereign.plan.inventory import Elsewhere, Node, Policy
from sovereign.plan.placement import rejection
from sovereign.residency.topology import Affinity, ByAffinity, Reach, affinity_of
from sovereign.residency.verdicts import Violation, violation

CLAIM: Final = "PersistentVolumeClaim"
CLASS: Final = "storage.storageClasses"
TOPOLOGY: Final = "storage.requireTopology"
MOST_PLACES: Final = 16
"""Entries of ``status.location``."""
_NODES_SHOWN: Final = 3
_BETA_CLASS: Final = "volume.beta.kubernetes.io/storage-class"


class Volume(msgspec.Struct, frozen=True):
    """A PersistentVolume that is bound to a claim."""

    name: str
    version: int
    uid: str
    claim_namespace: str
    claim: str
    storage_class: str
    affinity: Affinity | None
    """Which nodes reach it; None where it does not say."""

    @property
    def namespace(self) -> str:
        """It has none."""
        return ""

    def same(self, other: "Volume") -> bool:
        """Whether nothing that is judged differs."""
        return msgspec.structs.replace(self, version=other.version) == other


def volume(manifest: Mapping[str, Any]) -> Volume | None:
    """The row of a PersistentVolume; None while no claim holds it."""
    metadata, spec = manifest["metadata"], manifest["spec"]
    claim = spec.get("claimRef")
    if claim is None or (manifest.get("status") or {}).get("phase") != "Bound":
        return None
    return Volume(
        name=metadata["name"],
        version=int(metadata["resourceVersion"]),
        uid=metadata["uid"],
        claim_namespace=claim.get("namespace", ""),
        claim=claim.get("name", ""),
        # As GetPersistentVolumeClass: the annotation of old comes first.
        storage_class=(metadata.get("annotations") or {}).get(_BETA_CLASS) or spec.get("storageClassName", ""),
        affinity=affinity_of(spec),
    )


@dataclass(frozen=True)
class Misplaced:
    """A volume that a policy does not want where it is."""

    volume: Volume
    rule: str
    reason: Reason
    message: str


class Volumes:
    """The bound volumes, by claim."""

    def __init__(self, nodes: Mapping[str, Node], approved: Mapping[str, Collection[str]]) -> None:
        self._nodes = nodes
        self._approved = approved
        """Names of approved nodes by policy."""
        self.reach = Reach(nodes)
        self._by_claim: defaultdict[str, defaultdict[str, dict[str, Volume]]] = defaultdict(lambda: defaultdict(dict))
        """By namespace, claim and the volume's name: two volumes may name one claim, and then both count."""
        self._by_affinity: ByAffinity[Volume] = ByAffinity()

    def put(self, old: Volume | None, new: Volume | None) -> bool:
        """Take in a volume; whether something that is judged changed."""
        if old is not None and (new is None or (old.claim_namespace, old.claim) != (new.claim_namespace, new.claim)):
            claims = self._by_claim[old.claim_namespace]
            claims[old.claim].pop(old.name, None)
            if not claims[old.claim]:
                del claims[old.claim]
        if old is not None and old.affinity is not None:
            self._by_affinity.drop(old.affinity, old.name)
        if new is not None:
            self._by_claim[new.claim_namespace][new.claim][new.name] = new
            if new.affinity is not None:
                self._by_affinity.put(new.affinity, new.name, new)
        return old is None or new is None or not old.same(new)

    def of(self, namespace: str, claim: str) -> list[Volume]:
        """The volumes that a claim holds: one, or none yet; more only where somebody bound them by hand."""
        claims = self._by_claim.get(namespace)
        held = claims.get(claim) if claims is not None else None
        return [held[name] for name in sorted(held)] if held else []

    def within(self, namespaces: Iterable[str]) -> Iterator[Volume]:
        """The volumes of these namespaces, by namespace and claim."""
        for namespace in sorted(namespaces):
            for claim in sorted(self._by_claim.get(namespace, ())):
                yield from self.of(namespace, claim)

    def held_in(self) -> list[str]:
        """The namespaces that have volumes."""
        return [namespace for namespace, claims in self._by_claim.items() if claims]

    def touched(self, old: Node | None, new: Node | None, *, judged: bool) -> list[Volume]:
        """The volumes that a node reaches now and did not before, or the other way round, by namespace and claim.

        ``judged``: all that it reaches, because something else about the node changed that counts.
        """
        found = self._by_affinity.touched(old, new, judged=judged)
        return sorted(found, key=lambda volume: (volume.claim_namespace, volume.claim, volume.name))

    # --- verdicts -----------------------------------------------------------------------------------

    def judge(self, found: Volume, policy: Policy) -> Misplaced | None:
        """What is wrong with a volume by one policy; None when nothing is known to be."""
        storage = policy.spec.storage
        whose = f"policy {policy.name}: volume {found.name} of claim {found.claim_namespace}/{found.claim}"
        if storage.storage_classes and found.storage_class not in storage.storage_classes:
            message = (
                f"{whose} has {f'storage class {found.storage_class}' if found.storage_class else 'no storage class'}, not "
                f"{' or '.join(sorted(storage.storage_classes))}; move the data to a claim of such a class"
            )
            return Misplaced(found, CLASS, Reason.STORAGE_CLASS_NOT_ALLOWED, message)
        if found.affinity is None:
            if not storage.require_topology:
                return None
            message = (
                f"{whose} has no nodeAffinity, so nothing says where it lies; use a class whose volumes have one, or set "
                f"{TOPOLOGY} to false"
            )
            return Misplaced(found, TOPOLOGY, Reason.VOLUME_ELSEWHERE, message)
        return self._topology(found, found.affinity, policy, whose)

    def _topology(self, found: Volume, affinity: Affinity, policy: Policy, whose: str) -> Misplaced | None:
        reached = self.reach.of(affinity)
        approved = self._approved.get(policy.name, ())
        if not approved:
            return None  # then everything is elsewhere: NoApprovedNode says why, and no pod goes anywhere
        outside = self._elsewhere(reached, approved)
        if reached and not outside:
            return None
        if not reached:
            message = f"{whose} lies elsewhere: no node of the cluster satisfies its nodeAffinity ({_said(affinity)})"
            return Misplaced(found, TOPOLOGY, Reason.VOLUME_ELSEWHERE, message)
        node = self._nodes.get(outside[0])
        verdict = rejection(node, policy) if node is not None else None
        more = f" and {len(outside) - _NODES_SHOWN} more" if len(outside) > _NODES_SHOWN else ""
        why = verdict.message if verdict else "its approval is not in force yet"
        message = (
            f"{whose} lies, or may lie, elsewhere: by its nodeAffinity ({_said(affinity)}) it is reached from node "
            f"{', '.join(outside[:_NODES_SHOWN])}{more}, which is not approved: {outside[0]} {why}; move the data, or narrow the "
            "volume's nodeAffinity to approved nodes"
        )
        return Misplaced(found, verdict.rule if verdict else "placement", Reason.VOLUME_ELSEWHERE, message)

    def _elsewhere(self, reached: frozenset[str], approved: Collection[str]) -> list[str]:
        """The nodes that are not approved, and in whose region no other that reaches the volume is.

        A volume that approved nodes of a region reach lies in that region. That some node there is not approved (it has just been
        relabelled, or is of another provider) says nothing about where the volume is, and pods go to the others.
        """
        outside = [name for name in reached if name not in approved]
        if not outside:
            return []
        lawful = {_region(self._nodes[name]) for name in reached if name in approved}
        return sorted(name for name in outside if _region(self._nodes[name]) not in lawful)

    def violations(self, found: Volume, governance: Governance) -> tuple[Violation, ...]:
        """What the policies of its namespace have against a volume."""
        pairs = ((policy, self.judge(found, policy)) for policy in governance.policies)
        return tuple(violation(policy, one.reason, one.rule, one.message) for policy, one in pairs if one is not None)

    def elsewhere(self, namespace: str, claim: str, governance: Governance) -> Elsewhere | None:
        """What is wrong with where a claim's volume lies, in the words of the policy that does most about it."""
        findings = [
            _weigh(misplaced, policy)
            for found in self.of(namespace, claim)
            for policy in governance.policies
            if (misplaced := self.judge(found, policy)) is not None
        ]
        return max(findings, key=lambda finding: (finding.stops, finding.enforced), default=None)

    def location(self, namespace: str, claim: str) -> list[dict[str, str]]:
        """``status.location`` of a model: where its volume lies, by the facts of the nodes that reach it; empty facts are unknown."""
        places = set()
        for found in self.of(namespace, claim):
            nodes = [self._nodes[name] for name in self.reach.of(found.affinity)] if found.affinity is not None else []
            facts = {(node.region, node.jurisdiction) for node in nodes} or {("", "")}
            places |= {(found.name, found.storage_class, *fact) for fact in facts}
        fields = ("volume", "storageClass", "region", "jurisdiction")
        return [dict(zip(fields, place, strict=True)) for place in sorted(places)[:MOST_PLACES]]

    def known(self, namespace: str, claim: str) -> bool | None:
        """Whether it is known where a claim's volume lies; None while it has none."""
        held = self.of(namespace, claim)
        return all(found.affinity is not None for found in held) if held else None


def _region(node: Node) -> str:
    """Where a node is, by its facts: its region, else its jurisdiction."""
    return node.region or node.jurisdiction


def _weigh(misplaced: Misplaced, policy: Policy) -> Elsewhere:
    enforced = policy.spec.enforcement == "Enforce"
    return Elsewhere(
        rule=misplaced.rule,
        reason=misplaced.reason,
        message=misplaced.message,
        enforced=enforced,
        stops=enforced and policy.spec.on_violation.action != "Report",
    )


def _said(affinity: Affinity) -> str:
    """An affinity in words, cut to what a reader needs."""
    terms = [
        " and ".join(f"{key} {operator} {','.join(values)}".rstrip() for key, operator, values in term)
        for term in affinity
    ]
    text = " or ".join(terms) or "nothing satisfies it"
    return text if len(text) <= 160 else f"{text[:157]}..."


__all__ = ["CLAIM", "CLASS", "Misplaced", "Volume", "Volumes", "volume"]
