"""Whether one node could take a replica of one pool, and what is against it."""

from collections.abc import Iterator

from sovereign.api.conditions import Reason
from sovereign.cli.planning import PlannedPool
from sovereign.plan import gpus, placement
from sovereign.plan.governance import Governance
from sovereign.plan.inventory import InferencePool, Node
from sovereign.plan.verdict import Verdict


def against(node: Node, item: PlannedPool, needed: int | None) -> Verdict | None:
    """The first thing that keeps a replica with ``needed`` GPUs off ``node``; nothing when it could run there.

    Only what the node has is looked at, not what other pods use of it.
    """
    return next(_against(node, item.pool, item.governance, needed), None)


def _against(node: Node, pool: InferencePool, governance: Governance, needed: int | None) -> Iterator[Verdict]:
    if not governance.governed:
        message = "no SovereigntyPolicy selects the pool's namespace, so nothing may run in it"
        yield Verdict(False, "namespaceSelector", Reason.NO_POLICY, message)
    for policy in governance.policies:
        rejection = placement.rejection(node, policy)
        if rejection is not None:
            rule = f"{rejection.rule} of policy {policy.name}"
            yield rejection._replace(rule=rule)
    if not placement.lawful([node], Governance(), pool.spec.placement):
        yield _outside(node, pool)
    yield from _without_labels(node, pool)
    if node.unschedulable:
        yield Verdict(False, "spec.unschedulable", Reason.NO_APPROVED_NODE, "cordoned; kubectl uncordon takes it back")
    if needed:
        enough = gpus.availability(pool, [node], needed)
        if not enough.ok:
            resource = pool.spec.accelerator.resource_name
            message = f"with {enough.found or 0} {resource}, a replica needs {needed}"
            yield enough._replace(message=message)


def _outside(node: Node, pool: InferencePool) -> Verdict:
    """A node that the policies approve and the pool itself does not want."""
    wanted = pool.spec.placement
    if wanted.regions and node.region not in wanted.regions:
        message = f"with region {node.region or '(none)'}, not in {', '.join(wanted.regions)}"
        return Verdict(False, "placement.regions of the pool", Reason.NO_APPROVED_NODE, message, node.region)
    message = f"with jurisdiction {node.jurisdiction or '(none)'}, not in {', '.join(wanted.jurisdictions)}"
    return Verdict(False, "placement.jurisdictions of the pool", Reason.NO_APPROVED_NODE, message, node.jurisdiction)


def _without_labels(node: Node, pool: InferencePool) -> Iterator[Verdict]:
    for key, value in pool.spec.accelerator.node_selector.items():
        if node.labels.get(key) != value:
            found = node.labels.get(key, "")
            message = f"with {f'label {key}={found}' if found else f'no label {key}'}, not {value!r}"
            yield Verdict(False, "accelerator.nodeSelector", Reason.NO_APPROVED_NODE, message, found)
