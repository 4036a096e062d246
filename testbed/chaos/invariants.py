"""What has to hold once the faults are over: the same end state as without them.

It is computed anew from what users want and the world is, by the pure core that `kubectl sovereign render` prints, and compared
with everything that the API server has.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from charts import sync
from sovereign.api.meta import LABEL_COMPLIANT, LABEL_MANAGED_BY, MANAGED_BY, approving_policy
from sovereign.cli import live
from sovereign.cli.planning import governance_of
from sovereign.cli.snapshot import Snapshot
from sovereign.cluster import rows
from sovereign.cluster.client import Client
from sovereign.cluster.difference import Difference, difference, fingerprint
from sovereign.cluster.resources import CHILDREN, OURS, PODS, Resource
from sovereign.plan.inventory import Settings
from sovereign.plan.model import plan_model
from sovereign.plan.placement import lawful
from sovereign.plan.policy import PolicyPlan, plan_policy
from sovereign.plan.pool import PoolPlan, plan_pool
from sovereign.residency.verdicts import judge
from testbed.chaos.operator import CANARY

Manifest = dict[str, Any]
Name = tuple[str, str, str]
"""Kind, namespace, name."""
_KEPT_WHILE_WAITING = ("Deployment", "HorizontalPodAutoscaler")


@dataclass
class Wanted:
    """The end state."""

    children: dict[Name, Manifest] = field(default_factory=dict)
    frozen: set[tuple[str, str]] = field(default_factory=set)
    """Pools, as namespace and name, that are refused: what they had stays as it is."""
    waiting: set[tuple[str, str]] = field(default_factory=set)
    policies: dict[str, PolicyPlan] = field(default_factory=dict)
    pools: dict[tuple[str, str], PoolPlan] = field(default_factory=dict)


@dataclass
class World:
    """All that there is."""

    snapshot: Snapshot
    ours: list[Manifest]
    children: dict[Name, Manifest]
    pods: list[Manifest]


async def look(client: Client, settings: Settings) -> World:
    """Read everything."""
    snapshot = await live.read(client)
    snapshot.settings = settings
    *ours, pods = await asyncio.gather(*(_items(client, resource) for resource in (*OURS, PODS)))
    managed = {"labelSelector": f"{LABEL_MANAGED_BY}={MANAGED_BY}"}
    children = await asyncio.gather(*(_items(client, resource, managed) for resource in CHILDREN))
    return World(
        snapshot,
        [item for items in ours for item in items],
        {_name(item): item for items in children for item in items},
        pods,
    )


def violations(world: World) -> list[str]:
    """Each thing that is not as it has to be, in words."""
    wanted = plan(world.snapshot)
    return [
        *_children(world, wanted),
        *_owners(world),
        *_labels(world.snapshot, wanted),
        *_statuses(world, wanted),
        *_pods(world, wanted),
    ]


def plan(snapshot: Snapshot) -> Wanted:
    """The end state of what is declared."""
    wanted, nodes = Wanted(), snapshot.nodes or []
    for policy in snapshot.policies:
        planned = plan_policy(policy, nodes, snapshot.namespaces, snapshot.policies, snapshot.settings)
        wanted.policies[policy.name] = planned
        _want(wanted, (*planned.admission, *planned.network))
    for model in snapshot.models.values():
        _want(wanted, plan_model(model, governance_of(snapshot, model.owner.namespace), snapshot.settings).children)
    for pool in snapshot.pools:
        key = (pool.owner.namespace, pool.owner.name)
        governance = governance_of(snapshot, pool.owner.namespace)
        status = snapshot.statuses["InferencePool", *key]
        made = plan_pool(
            pool,
            snapshot.models.get((pool.owner.namespace, pool.spec.model_ref.name)),
            snapshot.runtimes.get(pool.spec.runtime.name),
            governance,
            lawful(nodes, governance) if governance.governed else [],
            snapshot.settings,
            previous_gpus=(status.get("sizing") or {}).get("gpus"),
        )
        wanted.pools[key] = made
        _want(wanted, made.children)
        if not made.children:
            wanted.frozen.add(key)
        elif made.waiting is not None:
            wanted.waiting.add(key)
    return wanted


def _want(wanted: Wanted, manifests: Iterable[Mapping[str, Any]]) -> None:
    wanted.children |= {_name(manifest): dict(manifest) for manifest in manifests}


# --- what is compared ---------------------------------------------------------------------------------


def _children(world: World, wanted: Wanted) -> Iterator[str]:
    for name in sorted(wanted.children.keys() - world.children.keys()):
        yield f"missing: {_said(name)}"
    for name in sorted(world.children.keys() - wanted.children.keys()):
        if not _may_stay(world.children[name], wanted):
            yield f"left over: {_said(name)}"
    for name in sorted(wanted.children.keys() & world.children.keys()):
        manifest, desired = world.children[name], wanted.children[name]
        if "deletionTimestamp" in manifest["metadata"]:
            yield f"ending: {_said(name)}"
            continue
        found = difference(desired, fingerprint(desired), rows.child(manifest, name[0]))
        if found is not Difference.NONE:
            yield f"not as planned: {_said(name)} ({found.value})"


def _may_stay(manifest: Manifest, wanted: Wanted) -> bool:
    row = rows.child(manifest, manifest["kind"])
    if manifest["kind"] == "PersistentVolumeClaim":
        return True
    if row.owner is None or row.owner.kind != "InferencePool":
        return False
    key = (row.namespace, row.owner.name)
    return key in wanted.frozen or (key in wanted.waiting and manifest["kind"] in _KEPT_WHILE_WAITING)


def _owners(world: World) -> Iterator[str]:
    """Whatever has an owner that is gone is an orphan; nothing has two."""
    alive = {item["metadata"]["uid"] for item in world.ours}
    for name, manifest in world.children.items():
        owners = [owner for owner in manifest["metadata"].get("ownerReferences") or () if owner.get("controller")]
        if len(owners) > 1 or any(owner["uid"] not in alive for owner in owners):
            yield f"its owner is gone: {_said(name)}"


def _labels(snapshot: Snapshot, wanted: Wanted) -> Iterator[str]:
    for policy, planned in wanted.policies.items():
        for node in planned.to_label:
            yield f"node {node} lacks the label of {policy}, which approves it"
        for node in planned.to_bind:
            yield f"the facts of node {node}, which {policy} approves, are not bound to its machine"
        for node in planned.to_unlabel:
            yield f"node {node} has the label of {policy}, which does not approve it"
    for row in snapshot.nodes or ():
        for key in row.labels:
            owner = approving_policy(key)
            if owner and owner not in wanted.policies:
                yield f"node {row.name} has the label of {owner}, which is gone"


def _statuses(world: World, wanted: Wanted) -> Iterator[str]:
    for item in world.ours:
        metadata, status = item["metadata"], item.get("status") or {}
        said = _said(_name(item))
        if "deletionTimestamp" in metadata:
            yield f"ending: {said}"
        elif item["kind"] != "InferenceRuntime" and status.get("observedGeneration") != metadata["generation"]:
            yield f"status is of generation {status.get('observedGeneration')}, not {metadata['generation']}: {said}"
        elif item["kind"] == "InferencePool":
            yield from (f"{wrong}: {said}" for wrong in _pool_status(item, world, wanted))
        elif item["kind"] == "SovereigntyPolicy":
            yield from (f"{wrong}: {said}" for wrong in _policy_status(item, wanted.policies[metadata["name"]]))


def _pool_status(item: Manifest, world: World, wanted: Wanted) -> Iterator[str]:
    namespace, name = item["metadata"]["namespace"], item["metadata"]["name"]
    planned, status = wanted.pools[namespace, name], item["status"]
    deployment = world.children.get(("Deployment", namespace, name))
    ready = ((deployment or {}).get("status") or {}).get("readyReplicas", 0)
    if status.get("readyReplicas", 0) != ready:
        yield f"says {status.get('readyReplicas')} ready replicas, its Deployment {ready}"
    conditions = {entry["type"]: entry for entry in status.get("conditions") or ()}
    reason = planned.blocking or planned.waiting
    if reason is not None and conditions.get("Ready", {}).get("reason") != reason.reason.value:
        yield f"is Ready={conditions.get('Ready', {}).get('reason')} and not {reason.reason.value}"
    if planned.blocking is None and "Stalled" in conditions:
        yield f"is Stalled with {conditions['Stalled']['reason']} and nothing blocks it"


def _policy_status(item: Manifest, planned: PolicyPlan) -> Iterator[str]:
    status = item["status"]
    if status.get("approvedNodes") != len(planned.approved):
        yield f"says {status.get('approvedNodes')} approved nodes, and there are {len(planned.approved)}"
    if tuple(status.get("namespaces") or ()) != planned.namespaces:
        yield f"says it governs {status.get('namespaces')}, and it governs {list(planned.namespaces)}"


def _pods(world: World, wanted: Wanted) -> Iterator[str]:
    """None stands where it may not, where a policy wants it removed, and only lawful ones are in the endpoints."""
    approved = {policy: planned.approved for policy, planned in wanted.policies.items()}
    nodes = {node.name: node for node in world.snapshot.nodes or ()}
    for manifest in world.pods:
        row, labels = rows.pod(manifest), manifest["metadata"].get("labels") or {}
        governance = governance_of(world.snapshot, row.namespace)
        wrong = judge(row, nodes.get(row.node), governance, approved, settings=world.snapshot.settings)
        where = f"pod {row.namespace}/{row.name} on {row.node or 'no node'}"
        served = labels.get(LABEL_COMPLIANT) == "true"
        for violation in wrong:
            if violation.removes:
                yield f"{where} is unlawful and was not removed: {violation.message}"
            if violation.enforced and served:
                yield f"{where} is unlawful and in the endpoints: {violation.message}"
        serves = (
            (row.namespace, row.pool) in wanted.pools and row.owner is not None and row.node and governance.governed
        )
        if not wrong and serves and not row.deleting and not served:
            yield f"{where} is lawful and not in the endpoints"


# --- reading ------------------------------------------------------------------------------------------


async def _items(client: Client, resource: Resource, query: dict[str, str] | None = None) -> list[Manifest]:
    page = await client.get(resource.path(), query)
    return [{**item, "apiVersion": resource.api_version, "kind": resource.kind} for item in page["items"]]


def _name(manifest: Mapping[str, Any]) -> Name:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace", ""), metadata["name"]


def _said(name: Name) -> str:
    kind, namespace, own = name
    return f"{kind} {namespace}/{own}" if namespace else f"{kind} {own}"


def settings(importer: str, *, mutating: bool) -> Settings:
    """What the operators of a run are started with."""
    canary = f"system:serviceaccount:{sync.NAMESPACE}:{CANARY}"
    return msgspec.structs.replace(Settings(), importer_image=importer, mutating_admission=mutating, canary_user=canary)
