"""What is known of the network of one pool: its condition, and the part of its status that is about probes."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sovereign.api.conditions import NETWORK_ENFORCED, Reason
from sovereign.cluster.rows import Pod
from sovereign.cluster.status import Condition, condition
from sovereign.controllers.context import Context
from sovereign.controllers.objects import Object
from sovereign.controllers.probe import Prober
from sovereign.plan import names
from sovereign.plan.deployment import pod_labels
from sovereign.plan.enforcement import MOST_NODES, enforcement
from sovereign.plan.inventory import InferencePool, Node
from sovereign.plan.probe import gate
from sovereign.residency.others import judge, opens
from sovereign.residency.verdicts import FINISHED


class Network(NamedTuple):
    """The network of a pool."""

    condition: Condition
    content: dict[str, Any]
    """Its part of the status."""
    seconds: float | None = None
    """When this changes although nothing else does."""


def network_of(
    context: Context, prober: Prober, item: Object, pods: Sequence[Pod], lawful: Mapping[str, Node] | None
) -> Network:
    """What is known of the network of a pool, whose probes are asked for if they can be made.

    ``lawful`` are the nodes that every policy approves, by name; None while nothing is planned for the pool.
    """
    kept = {"network": item.status["network"]} if item.status.get("network") else {}
    row = context.caches["NetworkPolicy"].rows.get((item.owner.namespace, names.serving(item.owner.name)))
    if lawful is None or row is None:
        prober.forget(item.key)
        return Network(_unknown(Reason.NOT_PROBED, "the network policies are not in place yet"), kept)
    opened = _opened(context, item)
    if opened:
        prober.forget(item.key)
        return Network(condition(NETWORK_ENFORCED, False, Reason.UNLAWFUL_OBJECT, opened), kept)
    closed = gate(context.store.governance(item.owner.namespace), context.settings)
    probes = context.settings.probes
    if closed is not None or probes is None:
        prober.forget(item.key)
        reason, message = (closed.reason, closed.message) if closed is not None else (Reason.NOT_PROBED, "")
        return Network(_unknown(reason, message), {})
    running = {pod.node for pod in pods if pod.node and not pod.deleting and pod.phase not in FINISHED}
    nodes = {name: lawful[name].uid if name in lawful else "" for name in running}
    probed = dict(sorted((name, uid) for name, uid in nodes.items() if uid)[:MOST_NODES])
    known = prober.known(item, probed, row.digest.hex())
    found = enforcement(nodes, known, probes, time.time())
    content = {"network": {"probes": [probe.model_dump(by_alias=True) for probe in known]}} if known else {}
    return Network(condition(NETWORK_ENFORCED, found.status, found.reason, found.message), content, found.seconds)


def _opened(context: Context, item: Object) -> str:
    """What opens the pool's pods, or leads its callers elsewhere, against a policy; nothing where nothing does."""
    store, namespace = context.store, item.owner.namespace
    rows = store.others.within(namespace)
    if not rows:
        return ""
    labels = pod_labels(InferencePool(item.owner, item.spec))
    governance = store.governance(namespace)
    wrong = [
        breach.message
        for row in rows
        for policy in governance.policies
        if (breach := judge(row, policy)) is not None and opens(row, policy, labels, item.owner.name)
    ]
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    return f"{wrong[0]}{more}" if wrong else ""


def _unknown(reason: Reason, message: str) -> Condition:
    return condition(NETWORK_ENFORCED, None, reason, message)
