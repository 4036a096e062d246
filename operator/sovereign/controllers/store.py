"""Everything the operator knows, indexed for the questions that reconciling asks. No I/O; what changed is told to a listener."""

from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from sovereign.api.meta import approving_policy
from sovereign.cluster.queue import Key
from sovereign.cluster.rows import PROBE_KIND, Child, Pod
from sovereign.controllers.lawful import LawfulNodes
from sovereign.controllers.objects import MODEL, POLICY, POOL, Object, Reference
from sovereign.plan.governance import Governance, govern
from sovereign.plan.inventory import Node, Policy, Settings
from sovereign.plan.placement import approved, rejection
from sovereign.residency.findings import Findings, workload_of
from sovereign.residency.index import Index
from sovereign.residency.others import Others
from sovereign.residency.static_pods import StaticPods
from sovereign.residency.verdicts import Violation, judge
from sovereign.residency.volumes import Volumes

POD: Final = "Pod"
NODE: Final = "Node"
PROBES: Final = Key(PROBE_KIND, "", "")
"""The one key under which the network is probed: what it may cost is counted for the whole cluster."""


class ChildName(NamedTuple):
    """A child in the caches."""

    kind: str
    namespace: str
    name: str


class Stop(msgspec.Struct, frozen=True):
    """Why a pool is to be stopped."""

    policy: str
    policy_generation: int
    generation: int
    """Of the pool: another spec is another attempt."""
    message: str


def belongs_to(pod: Pod) -> Key:
    """The pool or model whose pod it is, by its labels, or the Job of a network probe; else an empty key."""
    if pod.probe:
        return Key(PROBE_KIND, pod.namespace, pod.probe)
    if pod.pool:
        return Key(POOL, pod.namespace, pod.pool)
    return Key(MODEL, pod.namespace, pod.model) if pod.model else Key("", "", "")


class Store:
    """The operator's view of the cluster."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.objects: dict[Key, Object] = {}
        self.nodes: dict[str, Node] = {}
        self.namespaces: dict[str, dict[str, str]] = {}
        self.terminating: set[str] = set()
        """Namespaces that are being deleted: nothing new can be made in them."""
        self.revision = 0
        """Counts the changes of nodes, namespaces and policies."""
        self.approved: dict[str, set[str]] = {}
        self.findings = Findings()
        """What is there and policies do not admit. Verifiers of other things than pods put theirs in too."""
        self.stops: dict[Key, Stop] = {}
        """Pools that a policy wants stopped, until their reconcile has seen to it."""
        self.lacking: dict[str, tuple[str, ...]] = {}
        """By kind of ours: fields that the installed CRD does not have, and the API server therefore drops."""
        self.static_pods = StaticPods()
        self.volumes = Volumes(self.nodes, self.approved)
        self.lawful = LawfulNodes(self.nodes, self.approved)
        self.others = Others()
        self.pods: dict[tuple[str, str], Pod] = {}
        self.pods_by_node: Index[str, tuple[str, str]] = Index()
        self.pods_by_namespace: Index[str, tuple[str, str]] = Index()
        self._pods_by_key: Index[Key, tuple[str, str]] = Index()
        self.children: Index[Key, ChildName] = Index()
        self._by_namespace: Index[str, Key] = Index()
        self._by_reference: Index[Reference, Key] = Index()
        self._policies: dict[str, Policy] = {}
        self._dedicating: tuple[Policy, ...] = ()
        self._governance: dict[str, Governance] = {}

    # --- our kinds ----------------------------------------------------------------------------------

    def put(self, item: Object) -> bool:
        """Take in an object; False when it is no newer than what is known."""
        key = item.key
        known = self.objects.get(key)
        if known is not None and known.owner.uid == item.owner.uid and known.version >= item.version:
            return False
        if known is not None:
            item.written_at, item.answer = known.written_at, known.answer
            self._unrefer(key, known)
        self.objects[key] = item
        self._refer(key, item)
        if item.owner.kind == POLICY:
            self._put_policy(item)
        else:
            self._by_namespace.add(item.owner.namespace, key)
        return True

    def drop(self, key: Key) -> bool:
        """Forget an object that is gone; False when it was not known."""
        item = self.objects.pop(key, None)
        if item is None:
            return False
        self._unrefer(key, item)
        self._by_namespace.discard(key.namespace, key)
        if key.kind == POLICY:
            self._policies.pop(key.name, None)
            self.approved.pop(key.name, None)
            self._regard(key.name)
        return True

    def _refer(self, key: Key, item: Object) -> None:
        if item.reference is not None:
            self._by_reference.add(item.reference, key)

    def _unrefer(self, key: Key, item: Object) -> None:
        if item.reference is not None:
            self._by_reference.discard(item.reference, key)

    def _put_policy(self, item: Object) -> None:
        name = item.owner.name
        if item.spec is None:
            # What cannot be understood keeps governing as before; a new policy that cannot be understood approves nothing.
            self.approved.setdefault(name, set())
            self._regard(name)
            return
        policy = Policy(item.owner, item.spec)
        if self._policies.get(name) == policy:
            return
        self._policies[name] = policy
        self.approved[name] = set(approved(self.nodes.values(), policy))
        self._regard(name)

    def _regard(self, policy: str) -> None:
        """Forget what followed from ``policy`` as it was."""
        self.revision += 1
        self._governance.clear()
        self.lawful.regard(policy)
        self._dedicating = tuple(policy for policy in self._policies.values() if policy.spec.placement.dedicated)

    @property
    def policies(self) -> Iterable[Policy]:
        """All policies that can be understood."""
        return self._policies.values()

    def policy(self, name: str) -> Policy | None:
        """One policy."""
        return self._policies.get(name)

    def in_namespace(self, namespace: str, kind: str | None = None) -> list[Key]:
        """Our objects in a namespace."""
        return [key for key in self._by_namespace.get(namespace, ()) if kind is None or key.kind == kind]

    def pools_of(self, model: Key) -> list[Key]:
        """The pools that serve a model."""
        return list(self._by_reference.get(Reference(POOL, model.namespace, model.name), ()))

    def models_on(self, namespace: str, claim: str) -> list[Key]:
        """The models whose weights lie on a claim."""
        return list(self._by_reference.get(Reference(MODEL, namespace, claim), ()))

    # --- namespaces and nodes -----------------------------------------------------------------------

    def put_namespace(self, name: str, labels: dict[str, str]) -> bool:
        """Take in a namespace; False when its labels are as before."""
        if self.namespaces.get(name) == labels:
            return False
        self.revision += 1
        self.namespaces[name] = labels
        self._governance.pop(name, None)
        return True

    def drop_namespace(self, name: str) -> None:
        """Forget a namespace."""
        self.revision += 1
        self.namespaces.pop(name, None)
        self.terminating.discard(name)
        self._governance.pop(name, None)

    def living_namespaces(self) -> dict[str, dict[str, str]]:
        """The namespaces that are not being deleted, with their labels."""
        return {name: labels for name, labels in self.namespaces.items() if name not in self.terminating}

    def governance(self, namespace: str) -> Governance:
        """The policies of a namespace."""
        found = self._governance.get(namespace)
        if found is None:
            labels = self.namespaces.get(namespace, {})
            found = self._governance[namespace] = govern(namespace, labels, self.policies, self.settings)
        return found

    def governed_namespaces(self, policy: str) -> list[str]:
        """The namespaces that a policy governs."""
        return [name for name in self.namespaces if policy in self.governance(name).names]

    def put_node(self, node: Node) -> set[str] | None:
        """Take in a node; the policies whose approval of it changed, or None when nothing that matters did."""
        known = self.nodes.get(node.name)
        if known == node:
            return None
        self.nodes[node.name] = node
        self.volumes.reach.node(known, node)
        return self._rejudge(node.name, node)

    def drop_node(self, name: str) -> set[str] | None:
        """Forget a node; the policies that had approved it, or None when it was not known."""
        known = self.nodes.pop(name, None)
        if known is None:
            return None
        self.volumes.reach.node(known, None)
        return self._rejudge(name, None)

    def _rejudge(self, name: str, node: Node | None) -> set[str]:
        self.revision += 1
        changed = set()
        for policy in self._policies.values():
            names = self.approved[policy.name]
            now = node is not None and rejection(node, policy) is None
            if now != (name in names):
                changed.add(policy.name)
                (names.add if now else names.discard)(name)
        self.lawful.judged(name)
        return changed

    def dedicated_nodes(self, policy: str) -> frozenset[str]:
        """The nodes that a policy has for the pods it governs alone."""
        dedicated = any(one.name == policy for one in self._dedicating)
        return frozenset(self.approved[policy]) if dedicated else frozenset()

    def labelled_policies(self) -> set[str]:
        """The policies whose approved label some node carries."""
        return {policy for node in self.nodes.values() for key in node.labels if (policy := approving_policy(key))}

    # --- pods and children --------------------------------------------------------------------------

    def put_pod(self, old: Pod | None, new: Pod | None) -> None:
        """Keep the indices of pods."""
        if old is not None:
            place = (old.namespace, old.name)
            self.pods_by_node.discard(old.node, place)
            self.pods_by_namespace.discard(old.namespace, place)
            self._pods_by_key.discard(belongs_to(old), place)
            if new is None or new.uid != old.uid:
                self.findings.drop(old.uid)
            if new is None:
                self.pods.pop(place, None)
        if new is not None:
            place = (new.namespace, new.name)
            self.pods[place] = new
            if new.node:
                self.pods_by_node.add(new.node, place)
            self.pods_by_namespace.add(new.namespace, place)
            self._pods_by_key.add(belongs_to(new), place)

    def pods_of(self, key: Key) -> list[Pod]:
        """The pods that serve a pool, or import a model, by name."""
        return sorted((self.pods[place] for place in self._pods_by_key.get(key, ())), key=lambda pod: pod.name)

    def verify(self, pod: Pod) -> tuple[Violation, ...]:
        """Judge one pod, and remember what is wrong with it."""
        governance = self.governance(pod.namespace)
        violations = judge(pod, self.nodes.get(pod.node), governance, self.approved, self._dedicating, self.settings)
        if violations or pod.uid in self.findings:
            workload = workload_of(pod.namespace, pod.name, pod.workload)
            self.findings.put(pod.uid, workload, pod.name, violations)
        return violations

    def stranded(self, pod: Pod) -> bool:
        """Whether a pod waits for nodes of a policy that does not govern it any more, and its controller would make it anew.

        It was made while the policy's mutation was still in force, and would wait for ever.
        """
        if pod.node or pod.deleting or pod.owner is None or not pod.pins:
            return False
        return not set(pod.pins) <= set(self.governance(pod.namespace).names)

    def put_child(self, old: Child | None, new: Child | None) -> Key | None:
        """Keep the index of children; returns the owner."""
        row = new or old
        if row is None or row.owner is None:
            return None
        namespace = "" if row.owner.kind in (POLICY, PROBE_KIND) else row.namespace
        owner = Key(row.owner.kind, namespace, row.owner.name)
        name = ChildName(row.kind, row.namespace, row.name)
        if new is None:
            self.children.discard(owner, name)
        else:
            self.children.add(owner, name)
        return owner
