"""From what changed to what has to be reconciled. The only place that knows which depends on which."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from sovereign.cluster.nodes import NodeRow
from sovereign.cluster.queue import Key, Queue
from sovereign.cluster.rows import Child, Pod
from sovereign.controllers.objects import MODEL, POLICY, POOL, Object, decode
from sovereign.controllers.store import NODE, POD, PROBES, Store
from sovereign.plan.identity import other_machine
from sovereign.plan.inventory import Node
from sovereign.plan.placement import contradiction
from sovereign.plan.policy import concerns
from sovereign.residency.findings import Step, Workload
from sovereign.residency.others import Other, judge, other
from sovereign.residency.static_pods import Sighting
from sovereign.residency.verdicts import Violation
from sovereign.residency.volumes import CLAIM, Volume

GATHER: Final = 2.0
"""Seconds in which a kubelet may say more about a static pod before it is told."""
TALLY: Final = 0.5
"""Seconds in which more may become wrong, or right, before a policy counts it."""


class Dispatcher:
    """Takes events in, keeps the store, fills the queue. Never raises on account of an object."""

    def __init__(self, store: Store, queue: Queue) -> None:
        self._store = store
        self._queue = queue
        self.vanished: set[Key] = set()
        """Owners of children that disappeared; they are looked up before the children are made again."""

    def everything(self) -> None:
        """Look at all that is known: at the start, and never again. The last is reconciled first: policies."""
        for key in sorted(self._store.objects, key=lambda key: key.kind):
            self._queue.add(key)
        for node in self._store.nodes.values():
            self._look_at(node)
        for pod in self._store.pods.values():
            self._verify(pod)
        for namespace in {*self._store.volumes.held_in(), *self._store.others.namespaces()}:
            self._objects_in(namespace)

    # --- our kinds ----------------------------------------------------------------------------------

    def ours(self, deleted: bool, body: Mapping[str, Any]) -> None:
        """An object of one of our kinds was seen, or is gone."""
        item = decode(body)
        if deleted:
            self.custom(item, None)
        else:
            self.custom(self._store.objects.get(item.key), item)

    def custom(self, old: Object | None, new: Object | None) -> None:
        """An object of one of our kinds changed."""
        item = new or old
        if item is None:
            return
        key = item.key
        before = self._store.objects.get(key)
        governed = set(self._store.governed_namespaces(key.name)) if key.kind == POLICY else set()
        dedicated = self._store.dedicated_nodes(key.name) if key.kind == POLICY else frozenset()
        if new is None:
            self._store.drop(key)
        elif not self._store.put(new):
            return
        same = new is not None and before is not None and _same(before, new)
        if same and before is not None and before.status == item.status:
            return
        self._queue.add(key, gate=key.kind == POLICY)
        if not same:
            self._dependents(key, governed, dedicated)
        elif key.kind == MODEL:
            self._pools_of_model(key)

    def _dependents(self, key: Key, governed_before: set[str], dedicated_before: frozenset[str]) -> None:
        match key.kind:
            case "SovereigntyPolicy":
                self._policies()
                for namespace in governed_before | set(self._store.governed_namespaces(key.name)):
                    self._everything_in(namespace)
                for node in dedicated_before | self._store.dedicated_nodes(key.name):
                    self._pods_on(node)
            case "SovereignModel":
                self._pools_of_model(key)
            case "InferenceRuntime":
                for other, item in self._store.objects.items():
                    if item.runtime == key.name:
                        self._queue.add(other)

    def _pools_of_model(self, model: Key) -> None:
        for key in self._store.pools_of(model):
            self._queue.add(key)

    def _policies(self) -> None:
        for policy in self._store.policies:
            self._queue.add(Key(POLICY, "", policy.name), gate=True)

    def _everything_in(self, namespace: str) -> None:
        for key in self._store.in_namespace(namespace):
            self._queue.add(key)
        for place in self._store.pods_by_namespace.get(namespace, ()):
            self._verify(self._store.pods[place])
        self._objects_in(namespace)

    def _objects_in(self, namespace: str) -> None:
        for volume in self._store.volumes.within([namespace]):
            self._on_claim(volume)
        for row in self._store.others.within(namespace):
            self._judge(row)

    def _pods_on(self, node: str) -> None:
        for place in tuple(self._store.pods_by_node.get(node, ())):
            self._verify(self._store.pods[place])

    # --- nodes and namespaces -----------------------------------------------------------------------

    def node(self, old: NodeRow | None, new: NodeRow | None) -> None:
        """A node was seen, or is gone. Heartbeats end here."""
        if new is not None:
            before = self._store.nodes.get(new.name)
            changed = self._store.put_node(new.node)
            if changed is not None:
                self._look_at(new.node)
                self._node_changed(new.name, before, new.node, changed)
        elif old is not None:
            before = self._store.nodes.get(old.name, old.node)
            self._node_changed(old.name, before, None, self._store.drop_node(old.name) or set())
        self._pools_under(self._store.lawful.take_changed())

    def _node_changed(self, name: str, before: Node | None, now: Node | None, approvals: set[str]) -> None:
        """``approvals`` are the policies that approve it now and did not, or the other way round."""
        for policy in self._store.policies:
            if concerns(policy, before, now):
                self._queue.add(Key(POLICY, "", policy.name), gate=True)
        self._pods_on(name)
        self._pools_on(name)
        self._volumes_of(before, now, approval_changed=bool(approvals))

    def _pools_under(self, policies: set[tuple[str, ...]]) -> None:
        """The pools of namespaces that just these policies govern: other sorts of nodes are lawful there."""
        for namespace in self._store.namespaces if policies else ():
            if self._store.governance(namespace).names in policies:
                self._pools_in(namespace)

    def _pools_on(self, node: str) -> None:
        """The pools that have pods on a node: their statuses tell where it is."""
        for place in self._store.pods_by_node.get(node, ()):
            pod = self._store.pods[place]
            if pod.pool:
                self._add_known(Key(POOL, pod.namespace, pod.pool))

    def _look_at(self, node: Node) -> None:
        if other_machine(node) or contradiction(node):
            self._queue.add(Key(NODE, "", node.name), first=True)

    def namespace(self, deleted: bool, body: Mapping[str, Any]) -> None:
        """A namespace was seen, or is gone."""
        metadata = body["metadata"]
        name = metadata["name"]
        ending = "deletionTimestamp" in metadata
        (self._store.terminating.add if ending else self._store.terminating.discard)(name)
        if deleted:
            self._store.drop_namespace(name)
        elif not self._store.put_namespace(name, dict(metadata.get("labels") or {})):
            return
        self._policies()
        self._everything_in(name)

    # --- volumes ------------------------------------------------------------------------------------

    def volume(self, old: Volume | None, new: Volume | None) -> None:
        """A PersistentVolume was bound, changed or let go."""
        if not self._store.volumes.put(old, new):
            return
        if old is not None and (new is None or new.uid != old.uid):
            self._drop(old.uid)
        for volume in (old, new):
            if volume is not None and self._store.governance(volume.claim_namespace).governed:
                self._on_claim(volume)

    def _volumes_of(self, old: Node | None, new: Node | None, *, approval_changed: bool) -> None:
        """A node appeared, changed or went, from which volumes may be reached."""
        if old is not None and new is not None and old.labels == new.labels:
            return
        moved = old is not None and new is not None and (old.region, old.jurisdiction) != (new.region, new.jurisdiction)
        for volume in self._store.volumes.touched(old, new, judged=approval_changed or moved):
            if self._store.governance(volume.claim_namespace).governed:
                self._on_claim(volume)

    def _on_claim(self, volume: Volume) -> None:
        """Judge a volume; look at the models whose weights lie on it, and at what serves them."""
        volumes, namespace = self._store.volumes, volume.claim_namespace
        if volume in volumes.of(namespace, volume.claim):
            violations = volumes.violations(volume, self._store.governance(namespace))
            self._found(volume.uid, Workload(namespace, volume.claim, CLAIM), violations)
            if any(violation.removes for violation in violations):
                self._store.findings.advance(volume.uid, Step.SCALED_TO_ZERO)
        for model in self._store.models_on(volume.claim_namespace, volume.claim):
            self._queue.add(model)
            self._pools_of_model(model)

    # --- what others made ---------------------------------------------------------------------------

    def other(self, old: Other | None, new: Other | None) -> None:
        """A Service, EndpointSlice or NetworkPolicy of somebody else became suspicious, changed or ceased to be."""
        row = new or old
        if row is not None:
            self._take_other(row.kind, row.namespace, row.name, new)

    def _take_other(self, kind: str, namespace: str, name: str, row: Other | None) -> None:
        known = self._store.others.put(kind, namespace, name, row)
        if known is not None and (row is None or row.uid != known.uid) and self._drop(known.uid):
            self._pools_in(namespace)
        if row is not None:
            self._judge(row)

    def _judge(self, row: Other) -> None:
        governance = self._store.governance(row.namespace)
        violations = tuple(found for policy in governance.policies if (found := judge(row, policy)) is not None)
        news = self._found(row.uid, Workload(row.namespace, row.name, row.kind), violations)
        if news or violations:
            # It may select other pods than before, although what is wrong with it is the same.
            self._pools_in(row.namespace)

    def _found(self, uid: str, workload: Workload, violations: tuple[Violation, ...]) -> bool:
        """Say what is wrong with an object; whether that is news."""
        before = self._store.findings.violations(uid)
        news = self._store.findings.put(uid, workload, workload.name, violations)
        if news:
            self._count((*before, *violations))
        return news

    def _drop(self, uid: str) -> bool:
        """Forget an object that is gone; whether anything was wrong with it."""
        before = self._store.findings.violations(uid)
        self._count(before)
        return self._store.findings.drop(uid)

    def _pools_in(self, namespace: str) -> None:
        for key in self._store.in_namespace(namespace, POOL):
            self._queue.add(key)

    # --- pods and children --------------------------------------------------------------------------

    def pod(self, old: Pod | None, new: Pod | None) -> None:
        """A pod changed."""
        before = self._store.findings.violations(old.uid) if old is not None else ()
        self._store.put_pod(old, new)
        row = new or old
        if row is not None and self._store.static_pods.pod(old, new):
            self._static_pods(row.namespace)
        if old is not None and before and (new is None or new.uid != old.uid):
            self._count(before)
            self._queue.add(Key(POD, old.namespace, old.name), first=True)
        if new is not None and (old is None or _judged(old) != _judged(new)):
            self._verify(new)
        for pod in (old, new):
            if pod is None:
                continue
            if pod.pool and _shows(old) != _shows(new):
                self._add_known(Key(POOL, pod.namespace, pod.pool))
            if pod.probe:
                self._queue.add(PROBES)
            if pod.model:
                self._add_known(Key(MODEL, pod.namespace, pod.model))

    def _verify(self, pod: Pod) -> None:
        before = self._store.findings.violations(pod.uid)
        after = self._store.verify(pod)
        if after or before or self._needs_label(pod) or self._store.stranded(pod):
            self._queue.add(Key(POD, pod.namespace, pod.name), first=True)
        if after != before:
            self._count((*before, *after))
            if pod.pool:
                self._add_known(Key(POOL, pod.namespace, pod.pool))

    def _count(self, violations: Iterable[Violation]) -> None:
        tally(self._queue, violations)

    def sighting(self, old: Sighting | None, new: Sighting | None) -> None:
        """A kubelet's Event about a static pod was seen, or is gone."""
        row = new or old
        if row is not None and self._store.static_pods.event(old, new):
            self._static_pods(row.namespace)

    def _static_pods(self, namespace: str) -> None:
        for policy in self._store.governance(namespace).names:
            self._queue.add_after(Key(POLICY, "", policy), GATHER)

    def _needs_label(self, pod: Pod) -> bool:
        return bool(pod.pool and pod.compliant is None and pod.node and not pod.deleting)

    def child(self, old: Child | None, new: Child | None) -> None:
        """A child changed."""
        owner = self._store.put_child(old, new)
        row = new or old
        if row is not None:
            self._pretender(row, owner, gone=new is None)
        if owner is None:
            return
        if new is not None and _settled(old, new):
            return
        if new is None and owner != PROBES:
            self.vanished.add(owner)
            self._queue.add_after(owner, 0.2)
        else:
            self._queue.add(owner, gate=owner.kind == POLICY)

    def _pretender(self, row: Child, owner: Key | None, *, gone: bool) -> None:
        """What carries the operator's label and has no owner that is there may be anybody's, and is judged as such."""
        if row.kind not in ("NetworkPolicy", "Service"):
            return
        owned = row.owner is not None and row.owner.uid and row.owner.kind in (POLICY, MODEL, POOL)
        content = None
        if not gone and row.live is not None and not owned and owner not in self._store.objects:
            manifest = orjson.loads(row.live.read())
            manifest["metadata"] |= {"uid": row.uid, "resourceVersion": row.version}
            content = other(manifest, row.kind)
        if content is not None or self._store.others.known(row.kind, row.namespace, row.name):
            self._take_other(row.kind, row.namespace, row.name, content)

    def _add_known(self, key: Key) -> None:
        if key in self._store.objects:
            self._queue.add(key)


def tally(queue: Queue, violations: Iterable[Violation]) -> None:
    """Have the policies of these violations count anew: many pods may follow."""
    for policy in {violation.policy for violation in violations}:
        queue.add_after(Key(POLICY, "", policy), TALLY)


def _same(old: Object, new: Object) -> bool:
    """Whether nothing but the status may differ."""
    return old.owner == new.owner and old.deleting == new.deleting


def _shows(pod: Pod | None) -> tuple[object, ...] | None:
    """What of a pod is seen in its pool's status."""
    return None if pod is None else (pod.uid, pod.node, pod.phase, pod.ready, pod.deleting, pod.message, pod.compliant)


def _judged(pod: Pod) -> tuple[object, ...]:
    """What of a pod decides about its verdict and its repair: the rest may change as it will."""
    return (
        pod.uid,
        pod.node,
        pod.phase,
        pod.problems,
        pod.images,
        pod.mismatches,
        pod.owner,
        pod.mirror,
        pod.pool,
        pod.compliant,
        pod.ends,
        pod.grace,
        pod.finalizers,
        pod.pins,
    )


def _settled(old: Child | None, new: Child) -> bool:
    """Whether nothing about a child changed that its owner has to look at.

    A new one that is agreed upon was made in this moment, by its owner's reconcile, which looks at it next.
    """
    if old is None or not new.settled:
        return new.settled
    return old.uid == new.uid and old.state == new.state and old.deleting == new.deleting
