"""Repair of one pod that stands where it may not: out of the endpoints at once, then evicted, then deleted."""

import logging
import time
from typing import NamedTuple

from sovereign.api.conditions import Reason
from sovereign.api.meta import LABEL_COMPLIANT, POOL_OWNERS
from sovereign.cluster.client import ApiError
from sovereign.cluster.events import Severity, Subject
from sovereign.cluster.metrics import REPAIR_SECONDS, REPAIRS
from sovereign.cluster.queue import Key
from sovereign.cluster.resources import NODES, PODS
from sovereign.cluster.rows import Pod
from sovereign.controllers.context import Context, Later, Outcome
from sovereign.controllers.store import POOL
from sovereign.plan.inventory import Node
from sovereign.residency import ending
from sovereign.residency.verdicts import Violation

logger = logging.getLogger(__name__)
RETRY = 2.0
"""Seconds between attempts at an eviction that a disruption budget refuses."""
SETTLE = 5.0
"""Seconds in which an accepted eviction is not asked for again."""
STRANDED_AFTER = 2.0
"""Seconds that a pod may wait for nodes of a policy that is gone."""
BLOCKED_AFTER = 60.0
"""Seconds beyond the policy's grace period after which a pod that does not end counts as blocked."""


class _Told(NamedTuple):
    """What a pod was told last: the cache learns of it a moment later."""

    at: float
    grace: int


class PodRepair:
    """Level-triggered: each call looks at the pod as it is now and takes the next step."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._since: dict[str, float] = {}
        self._told: dict[str, _Told] = {}
        """By UID: the evictions and deletions that the API server accepted."""

    async def reconcile(self, key: Key) -> Outcome:
        """Take the next step for the pod ``key``, if it needs one."""
        store = self._context.store
        pod = store.pods.get((key.namespace, key.name))
        if pod is None:
            return None
        violation = store.verify(pod)
        if violation is not None and pod.node not in store.nodes and await self._node_exists(pod.node):
            violation = store.verify(pod)
        if violation is None and store.stranded(pod):
            return await self._remake(pod)
        if violation is None:
            self._since.pop(pod.uid, None)
            return await self._restore(pod)
        return await self._repair(pod, violation)

    async def _repair(self, pod: Pod, violation: Violation) -> Outcome:
        since = self._since.setdefault(pod.uid, time.monotonic())
        self._forget_ended()
        if not violation.repair:
            # The grace period begins when a policy wants the pod removed, not while policies only report it.
            del self._since[pod.uid]
        if not violation.enforced:
            self._tell(pod, "Warning", Reason.UNLAWFUL_PLACEMENT, f"{violation.message} (audit only: nothing is done)")
            return None
        if pod.compliant:
            await self._leave_endpoints(pod, violation, since)
        if not violation.repair:
            return None
        if pod.mirror:
            return self._leave_to_its_node(pod, violation)
        if pod.deleting:
            await self._shorten(pod, violation, since)
            return self._watch_it_end(pod, violation, since)
        return await self._remove(pod, violation, since)

    def _leave_to_its_node(self, pod: Pod, violation: Violation) -> Outcome:
        """A mirror pod is only the sign of a static pod, which would go on unseen without it."""
        self._tell(
            pod,
            "Warning",
            Reason.REPAIR_BLOCKED,
            f"{violation.message}; only its node can end a static pod: remove its manifest from the staticPodPath of {pod.node}",
        )
        return None

    async def _remake(self, pod: Pod) -> Outcome:
        """Have a stranded pod made anew, once its controller has had the time to see the change itself."""
        since = self._since.setdefault(pod.uid, time.monotonic())
        left = since + STRANDED_AFTER - time.monotonic()
        if left > 0:
            return Later(left)
        del self._since[pod.uid]
        await self._guarded(
            self._context.client.delete(PODS.path(pod.namespace, pod.name), {"preconditions": {"uid": pod.uid}})
        )
        REPAIRS.labels("remake").inc()
        self._tell(
            pod, "Normal", Reason.PLACED, "it waited for nodes of a policy that does not govern it any more; made anew"
        )
        return None

    async def _node_exists(self, name: str) -> bool:
        """Look for a node that is not known: the pod's event may have been faster than the node's."""
        try:
            manifest = await self._context.client.get(NODES.path(name=name))
        except ApiError as error:
            if error.not_found:
                return False
            raise
        self._context.store.put_node(Node.from_manifest(manifest))
        return True

    async def _restore(self, pod: Pod) -> Outcome:
        """Let a pod of a pool serve again whose node is approved again."""
        store = self._context.store
        of_pool = pod.pool and Key(POOL, pod.namespace, pod.pool) in store.objects
        of_ours = pod.owner is not None and pod.owner.kind in POOL_OWNERS
        if (
            of_pool
            and of_ours
            and pod.compliant is None
            and pod.node
            and not pod.deleting
            and store.governance(pod.namespace).governed
        ):
            await self._label(pod, "true")
            self._tell(pod, "Normal", Reason.PLACED, f"node {pod.node} is approved; the pod is back in the endpoints")
        return None

    async def _leave_endpoints(self, pod: Pod, violation: Violation, since: float) -> None:
        await self._label(pod, None)
        REPAIRS.labels("endpoints").inc()
        REPAIR_SECONDS.observe(time.monotonic() - since)
        self._tell(pod, "Warning", Reason.UNLAWFUL_PLACEMENT, f"{violation.message}; taken out of the endpoints")

    async def _label(self, pod: Pod, value: str | None) -> None:
        body = {"metadata": {"uid": pod.uid, "labels": {LABEL_COMPLIANT: value}}}
        await self._guarded(self._context.client.patch(PODS.path(pod.namespace, pod.name), body))

    async def _remove(self, pod: Pod, violation: Violation, since: float) -> Outcome:
        now = time.monotonic()
        told = self._told.get(pod.uid)
        settling = told.at + SETTLE - now if told else 0.0
        if settling > 0:
            return Later(settling)
        refusable = since + ending.refusable(violation.grace_seconds) - now
        if refusable <= 0:
            return await self._delete(pod, violation)
        grace = ending.grace(pod.grace, since + violation.grace_seconds - now)
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": pod.namespace},
            "deleteOptions": _options(pod, grace),
        }
        try:
            await self._guarded(self._context.client.create(PODS.path(pod.namespace, pod.name, "eviction"), eviction))
        except ApiError as error:
            # 429: a budget does not allow it now. 500: several budgets select the pod, which evictions do not support.
            if error.status not in (429, 500):
                raise
            self._tell(
                pod,
                "Warning",
                Reason.UNLAWFUL_PLACEMENT,
                f"eviction refused: {error.message}; deleted when the grace period is over",
            )
            return Later(min(RETRY, refusable))
        self._told[pod.uid] = _Told(now, grace)
        REPAIRS.labels("evict").inc()
        self._tell(pod, "Warning", Reason.EVICTED, f"{violation.message}; evicted, with {grace} s to end")
        return Later(BLOCKED_AFTER)

    async def _delete(self, pod: Pod, violation: Violation) -> Outcome:
        await self._end(pod, ending.SHORTEST)
        REPAIRS.labels("delete").inc()
        self._tell(
            pod, "Warning", Reason.DELETED, f"{violation.message}; deleted, because its eviction was refused too long"
        )
        return Later(BLOCKED_AFTER)

    async def _shorten(self, pod: Pod, violation: Violation, since: float) -> None:
        """Give a pod less time that somebody told to end before, where it would end too late."""
        now = time.monotonic()
        given, remaining = pod.grace, pod.ends - time.time()
        if (told := self._told.get(pod.uid)) is not None:
            given, remaining = min(given, told.grace), min(remaining, told.at + told.grace - now)
        grace = ending.shortened(given, remaining, since + violation.grace_seconds - now)
        if grace is None:
            return
        await self._end(pod, grace)
        REPAIRS.labels("shorten").inc()
        self._tell(
            pod,
            "Warning",
            Reason.UNLAWFUL_PLACEMENT,
            f"{violation.message}; it was ending already, with {given} s, and now has {grace} s",
        )

    async def _end(self, pod: Pod, grace: int) -> None:
        at = time.monotonic()
        await self._guarded(self._context.client.delete(PODS.path(pod.namespace, pod.name), _options(pod, grace)))
        self._told[pod.uid] = _Told(at, grace)

    def _watch_it_end(self, pod: Pod, violation: Violation, since: float) -> Outcome:
        waited = time.monotonic() - since
        limit = violation.grace_seconds + BLOCKED_AFTER
        if waited < limit:
            return Later(limit - waited)
        blocks = (
            f"finalizers {', '.join(pod.finalizers)}"
            if pod.finalizers
            else f"node {pod.node} does not confirm that it ended"
        )
        REPAIRS.labels("blocked").inc()
        self._tell(
            pod, "Warning", Reason.REPAIR_BLOCKED, f"{violation.message}; it was told to end and has not: {blocks}"
        )
        return Later(BLOCKED_AFTER)

    async def _guarded(self, request: object) -> None:
        """Await a request about a pod; a pod that is gone or replaced needs nothing any more."""
        try:
            await request  # type: ignore[misc]
        except ApiError as error:
            if not (error.not_found or error.conflict):
                raise

    def _tell(self, pod: Pod, severity: Severity, reason: Reason, message: str) -> None:
        logger.log(
            logging.WARNING if severity == "Warning" else logging.INFO,
            "Pod %s/%s: %s: %s",
            pod.namespace,
            pod.name,
            reason,
            message,
        )
        self._context.events.emit(Subject("v1", "Pod", pod.namespace, pod.name, pod.uid), severity, reason, message)

    def _forget_ended(self) -> None:
        """Keep start times only of pods that are still in the wrong place."""
        if len(self._since) > 2 * len(self._context.store.violations) + 64:
            known = self._context.store.violations
            self._since = {uid: since for uid, since in self._since.items() if uid in known}
            self._told = {uid: told for uid, told in self._told.items() if uid in known}


def _options(pod: Pod, grace: int) -> dict[str, object]:
    """DeleteOptions for exactly this pod."""
    return {"preconditions": {"uid": pod.uid}, "gracePeriodSeconds": grace}
