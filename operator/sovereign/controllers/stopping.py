"""Stopping a pool (``onViolation.action: ScaleToZero``): from the unlawful pod that asks for it until its spec, or the policy's, changes.

A stop is written into the pool's status before anything is done about it, so that an operator that starts anew keeps it.
"""

import logging
from typing import Any, Final

from sovereign.api.conditions import Reason
from sovereign.api.meta import POOL_OWNERS
from sovereign.cluster.metrics import REPAIRS
from sovereign.cluster.queue import Key
from sovereign.cluster.rows import Pod
from sovereign.cluster.status import now
from sovereign.controllers import children
from sovereign.controllers.context import Context
from sovereign.controllers.objects import POLICY, POOL, Object
from sovereign.controllers.store import POD, Stop, Store
from sovereign.residency.verdicts import Violation

logger = logging.getLogger(__name__)
STATUS: Final = "stopped"
_SHOWN: Final = 1024


def pool_of(store: Store, pod: Pod) -> Object | None:
    """The pool whose pod it is, by its label and its controller."""
    if not pod.pool or pod.owner is None or pod.owner.kind not in POOL_OWNERS:
        return None
    return store.objects.get(Key(POOL, pod.namespace, pod.pool))


def standing(store: Store, item: Object) -> dict[str, Any] | None:
    """The stop of a pool as its status has it, while neither its spec nor the policy's has changed, and the policy governs it."""
    stop = item.status.get(STATUS)
    if not stop or stop.get("generation") != item.owner.generation:
        return None
    policy = store.policy(stop.get("policy", ""))
    if policy is None:
        # One that cannot be understood any more has not changed its mind.
        return stop if Key(POLICY, "", stop.get("policy", "")) in store.objects else None
    same = policy.owner.generation == stop.get("policyGeneration")
    return stop if same and policy.name in store.governance(item.owner.namespace).names else None


def ask(context: Context, item: Object, violation: Violation) -> None:
    """Have a pool stopped because of a pod of it."""
    policy = context.store.policy(violation.policy)
    if policy is None:
        return
    message = f"stopped, because {violation.message}; it starts again when its spec, or that of policy {policy.name}, is changed"
    context.store.stops[item.key] = Stop(policy.name, policy.owner.generation, item.owner.generation, message[:_SHOWN])
    context.queue.add(item.key, first=True)


async def see_to(context: Context, item: Object) -> dict[str, Any] | None:
    """Write down the stop that was asked for, and return the one that stands."""
    asked = context.store.stops.get(item.key)
    known = standing(context.store, item)
    if known is None and asked is not None and asked.generation == item.owner.generation:
        known = {
            "policy": asked.policy,
            "policyGeneration": asked.policy_generation,
            "generation": asked.generation,
            "since": now(),
            "message": asked.message,
        }
        await children.remember(context, item, {STATUS: known})
        REPAIRS.labels("scale").inc()
        logger.warning(
            "Pool %s/%s, policy %s, step scale: %s",
            item.owner.namespace,
            item.owner.name,
            asked.policy,
            asked.message,
        )
        context.tell(item, "Warning", Reason.SCALED_TO_ZERO, asked.message)
    context.store.stops.pop(item.key, None)
    return known


def scaled(context: Context, item: Object) -> bool:
    """Whether a pool that is stopped has no replicas any more, so that none comes in the place of one that goes."""
    row = context.caches["Deployment"].rows.get((item.owner.namespace, item.owner.name))
    return row is None or row.replicas == 0


def wake(context: Context, item: Object) -> None:
    """Go on with the repair of a stopped pool's pods."""
    for pod in context.store.pods_of(item.key):
        if pod.uid in context.store.findings:
            context.queue.add(Key(POD, pod.namespace, pod.name), first=True)
