"""What the ledger says at intervals: that somebody verified, and what there was to see."""

import asyncio
import hashlib
from typing import Any

from sovereign import __version__
from sovereign.api.conditions import ENFORCED
from sovereign.cluster.status import by_type
from sovereign.controllers.context import Context
from sovereign.controllers.objects import POLICY, Object
from sovereign.plan.policy import PolicyPlan


async def beat(context: Context, interval: int) -> None:
    """Record the start, and a heartbeat every ``interval`` seconds, until cancelled."""
    context.evidence.record("started", {"version": __version__, "interval": interval})
    try:
        while True:
            context.evidence.record("heartbeat", {"interval": interval, "policies": _policies(context)})
            await asyncio.sleep(interval)
    finally:
        context.evidence.record("stopped", {})


def _policies(context: Context) -> list[dict[str, Any]]:
    policies = sorted((key.name, item) for key, item in context.store.objects.items() if key.kind == POLICY)
    return [_policy(name, item, context) for name, item in policies]


def _policy(name: str, item: Object, context: Context) -> dict[str, Any]:
    enforced = by_type(item.status).get(ENFORCED, {})
    return {
        "name": name,
        "uid": item.owner.uid,
        "generation": item.owner.generation,
        "enforced": enforced.get("status", "Unknown"),
        "reason": enforced.get("reason", ""),
        "approvedNodes": len(context.store.approved.get(name, ())),
        "violations": context.store.findings.count(name),
    }


class PolicyRecord:
    """Records what a policy came to mean, each time that changes."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: dict[str, tuple[Any, ...]] = {}

    def look(self, item: Object, plan: PolicyPlan) -> None:
        """Record the plan of a policy if it is another than before."""
        meaning = (item.owner.uid, item.owner.generation, plan.approved, plan.namespaces)
        if self._known.get(item.owner.name) == meaning:
            return
        self._known[item.owner.name] = meaning
        names = "\n".join(sorted(plan.approved)).encode()
        body = {
            "name": item.owner.name,
            "uid": item.owner.uid,
            "generation": item.owner.generation,
            "enforcement": item.spec.enforcement,
            "jurisdictions": list(plan.jurisdictions),
            "approvedNodes": len(plan.approved),
            "approvedNodesSha256": hashlib.sha256(names).hexdigest(),
            "namespaces": list(plan.namespaces[:100]),
            "governedNamespaces": len(plan.namespaces),
        }
        self._context.evidence.record("policy", body)

    def forget(self, name: str) -> None:
        """A policy is gone."""
        if self._known.pop(name, None) is not None:
            self._context.evidence.record("policy", {"name": name, "gone": True})
