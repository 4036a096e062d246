"""Repair of one pod that is where, or as, it may not be: out of the endpoints at once, then evicted, then deleted."""

import time
from dataclasses import dataclass

from sovereign.api.conditions import Reason
from sovereign.api.meta import LABEL_COMPLIANT
from sovereign.cluster.client import ApiError
from sovereign.cluster.metrics import REPAIR_GONE_SECONDS, REPAIR_SECONDS
from sovereign.cluster.queue import Key
from sovereign.cluster.resources import NODES, PODS
from sovereign.cluster.rows import Pod
from sovereign.controllers import stopping
from sovereign.controllers.context import Context, Later, Outcome
from sovereign.controllers.objects import POLICY
from sovereign.controllers.removal import Refused, Removal, guarded
from sovereign.controllers.repair_report import RepairReport
from sovereign.controllers.store import POD
from sovereign.controllers.turns import Turns
from sovereign.plan.inventory import Node
from sovereign.residency import ending
from sovereign.residency.findings import Step
from sovereign.residency.verdicts import Remedy, Violation, remedy

RETRY = 2.0
"""Seconds between attempts at an eviction that a disruption budget refuses."""
STRANDED_AFTER = 2.0
"""Seconds that a pod may wait for nodes of a policy that is gone."""
STOPPED_AFTER = 5.0
"""Seconds that a pod waits for its pool to be stopped first."""
BLOCKED_AFTER = 60.0
"""Seconds beyond the policy's grace period after which a pod that does not end counts as blocked."""


@dataclass
class _Case:
    """A pod that something is wrong with."""

    uid: str
    noticed: float
    """When it was, or when a policy began to do something about it."""
    serving: bool
    """Whether it served when it was found: it is not made to wait for its turn."""
    since: float | None = None
    """When its grace period began: at its turn. None while no policy wants it removed, or it waits."""
    wanted: float | None = None
    """When it first waited for its pool to be stopped."""
    stops: bool = False
    """Whether its pool is stopped on its account."""
    blocked: bool = False

    def begin(self) -> float:
        """When its grace period began: now, where it had not."""
        if self.since is None:
            self.since = time.monotonic()
        return self.since


class PodRepair:
    """Level-triggered: each call looks at the pod as it is now and takes the next step."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._cases: dict[Key, _Case] = {}
        self._turns: Turns | None = None
        self._removal = Removal(context.client)
        self._report = RepairReport(context)

    async def reconcile(self, key: Key) -> Outcome:
        """Take the next step for the pod ``key``, if it needs one."""
        store = self._context.store
        pod = store.pods.get((key.namespace, key.name))
        self._close_ended(key, pod)
        if pod is None:
            return None
        violations = self._verify(pod)
        if violations and pod.node and pod.node not in store.nodes and await self._node_exists(pod.node):
            violations = self._verify(pod)
        if violations:
            return await self._repair(key, pod, remedy(violations))
        if store.stranded(pod):
            return await self._remake(pod, self._case(key, pod))
        self._close(key)
        return await self._restore(pod)

    def _verify(self, pod: Pod) -> tuple[Violation, ...]:
        before = self._context.store.findings.violations(pod.uid)
        after = self._context.store.verify(pod)
        if before != after:
            self._report.recount(pod, (*before, *after))
        return after

    # --- cases ------------------------------------------------------------------------------------

    def _case(self, key: Key, pod: Pod) -> _Case:
        case = self._cases.get(key)
        if case is None:
            serving = pod.ready and stopping.pool_of(self._context.store, pod) is not None
            case = self._cases[key] = _Case(pod.uid, time.monotonic(), serving)
        return case

    def _close_ended(self, key: Key, pod: Pod | None) -> None:
        """Close the case of a pod that is gone, or has another in its place."""
        case = self._cases.get(key)
        if case is not None and (pod is None or pod.uid != case.uid):
            if case.since is not None:
                REPAIR_GONE_SECONDS.observe(time.monotonic() - case.noticed)
            self._close(key)

    def _close(self, key: Key) -> None:
        case = self._cases.pop(key, None)
        if case is not None:
            self._removal.forget(case.uid)
            self._all_turns().leave(key)

    def _all_turns(self) -> Turns:
        """The turns. Pods that were told to end before this operator led have theirs."""
        if self._turns is None:
            store, queue = self._context.store, self._context.queue
            self._turns = Turns(lambda key: queue.add(key, first=True))
            for pod in store.pods.values():
                violations = store.findings.violations(pod.uid) if pod.deleting else ()
                if violations and (asked := remedy(violations)).repair:
                    self._turns.take(_key(pod), asked.limits)
                    self._case(_key(pod), pod)
        return self._turns

    # --- steps ------------------------------------------------------------------------------------

    async def _repair(self, key: Key, pod: Pod, asked: Remedy) -> Outcome:
        turns = self._all_turns()
        case = self._case(key, pod)
        if not asked.repair:
            # The grace period begins when a policy wants the pod removed, not while policies only report it.
            turns.leave(key)
            case.since = case.wanted = None
        if not asked.enforced:
            case.noticed = time.monotonic()
            told = asked.first.reason is Reason.IMAGE_MISMATCH
            why = "reported only" if told else "audit only: nothing is done"
            self._report.tell(pod, asked.first.reason, f"{asked.message} ({why})", asked, "report")
            return None
        if pod.compliant:
            await self._leave_endpoints(pod, asked, case)
        if not asked.repair:
            self._report.tell(pod, asked.first.reason, f"{asked.message} (reported only)", asked, "report")
            return None
        if pod.mirror:
            return self._leave_to_its_node(pod, asked)
        if self._waits_for_its_pool(pod, asked, case):
            return Later(1.0)
        if pod.deleting:
            return await self._see_it_end(key, pod, asked, case)
        if case.serving:
            turns.take(key, asked.limits)
        elif not turns.enter(key, asked.limits):
            return self._wait(pod, asked)
        return await self._remove(pod, asked, case)

    def _leave_to_its_node(self, pod: Pod, asked: Remedy) -> Outcome:
        """A mirror pod is only the sign of a static pod, which would go on unseen without it."""
        blocks = f"only its node can end a static pod: remove its manifest from the staticPodPath of {pod.node}"
        self._report.show(pod, Step.REPAIR_BLOCKED, blocks)
        self._report.tell(pod, Reason.REPAIR_BLOCKED, f"{asked.message}; {blocks}", asked, "blocked")
        return None

    def _waits_for_its_pool(self, pod: Pod, asked: Remedy, case: _Case) -> bool:
        """Have its pool stopped, where a policy asks for that, before it goes; not longer than that may take."""
        pool = stopping.pool_of(self._context.store, pod) if asked.stop is not None else None
        case.stops = pool is not None
        if pool is None or asked.stop is None:
            return False
        if stopping.standing(self._context.store, pool) is None:
            stopping.ask(self._context, pool, asked.stop)
        elif stopping.scaled(self._context, pool):
            return False
        if case.wanted is None:
            case.wanted = time.monotonic()
        patience = min(STOPPED_AFTER, asked.grace_seconds / 2)
        return not pod.deleting and time.monotonic() - case.wanted < patience

    def _wait(self, pod: Pod, asked: Remedy) -> Outcome:
        if self._report.show(pod, Step.WAITING):
            most = min(limit for _, limit in asked.limits)
            message = f"{asked.message}; it waits, because {most} others are being removed"
            self._report.wait(pod, message, asked)
        return None

    async def _leave_endpoints(self, pod: Pod, asked: Remedy, case: _Case) -> None:
        await self._label(pod, None)
        REPAIR_SECONDS.observe(time.monotonic() - case.noticed)
        self._report.count(pod, asked.first.reason, f"{asked.message}; taken out of the endpoints", asked, "endpoints")

    async def _remove(self, pod: Pod, asked: Remedy, case: _Case) -> Outcome:
        now, since = time.monotonic(), case.begin()
        settling = self._removal.settling(pod, now)
        if settling > 0:
            return Later(settling)
        self._report.show(pod, Step.SCALED_TO_ZERO if case.stops else Step.EVICTING)
        refusable = since + ending.refusable(asked.grace_seconds) - now
        if refusable <= 0:
            return await self._delete(pod, asked, case)
        grace = ending.grace(pod.grace, since + asked.grace_seconds - now)
        try:
            await self._removal.evict(pod, grace)
        except Refused as refused:
            message = f"eviction refused: {refused}; deleted when the grace period is over"
            self._report.tell(pod, asked.first.reason, message, asked, "evict")
            return Later(min(RETRY, refusable))
        self._report.count(pod, Reason.EVICTED, f"{asked.message}; evicted, with {grace} s to end", asked, "evict")
        return Later(BLOCKED_AFTER)

    async def _delete(self, pod: Pod, asked: Remedy, case: _Case) -> Outcome:
        await self._removal.end(pod, ending.SHORTEST)
        self._report.show(pod, Step.SCALED_TO_ZERO if case.stops else Step.DELETING)
        message = f"{asked.message}; deleted, because its eviction was refused too long"
        self._report.count(pod, Reason.DELETED, message, asked, "delete")
        return Later(BLOCKED_AFTER)

    async def _see_it_end(self, key: Key, pod: Pod, asked: Remedy, case: _Case) -> Outcome:
        if not case.blocked:
            self._all_turns().take(key, asked.limits)
        since = case.begin()
        grace = await self._removal.shorten(pod, since + asked.grace_seconds)
        if grace is not None:
            message = f"{asked.message}; it was ending already, with {pod.grace} s, and now has {grace} s"
            self._report.count(pod, asked.first.reason, message, asked, "shorten")
        left = since + asked.grace_seconds + BLOCKED_AFTER - time.monotonic()
        if left > 0:
            self._report.show(pod, Step.SCALED_TO_ZERO if case.stops else Step.DELETING)
            return Later(left)
        blocks = f"it was told to end and has not: {_blocks(pod)}"
        self._report.show(pod, Step.REPAIR_BLOCKED, blocks)
        tell = self._report.tell if case.blocked else self._report.count
        tell(pod, Reason.REPAIR_BLOCKED, f"{asked.message}; {blocks}", asked, "blocked")
        case.blocked = True
        # Whoever waits must not wait for a pod that nothing more can be done about.
        self._all_turns().leave(key)
        return Later(BLOCKED_AFTER)

    # --- pods that are lawful -----------------------------------------------------------------------

    async def _remake(self, pod: Pod, case: _Case) -> Outcome:
        """Have a stranded pod made anew, once its controller has had the time to see the change itself."""
        left = case.noticed + STRANDED_AFTER - time.monotonic()
        if left > 0:
            return Later(left)
        await self._removal.drop(pod)
        message = "it waited for nodes of a policy that does not govern it any more; made anew"
        self._report.count(pod, Reason.PLACED, message, None, "remake")
        return None

    async def _node_exists(self, name: str) -> bool:
        """Look for a node that is not known: the pod's event may have been faster than the node's."""
        try:
            manifest = await self._context.client.get(NODES.path(name=name))
        except ApiError as error:
            if error.not_found:
                return False
            raise
        # The node's own event will show nothing new: the policies that approve it hear of it here.
        for policy in self._context.store.put_node(Node.from_manifest(manifest)) or ():
            self._context.queue.add(Key(POLICY, "", policy))
        return True

    async def _restore(self, pod: Pod) -> Outcome:
        """Let a pod of a pool serve again that is lawful again."""
        store = self._context.store
        if (
            stopping.pool_of(store, pod) is not None
            and pod.compliant is None
            and pod.node
            and not pod.deleting
            and store.governance(pod.namespace).governed
        ):
            await self._label(pod, "true")
            message = f"node {pod.node} is approved; the pod is back in the endpoints"
            self._report.tell(pod, Reason.PLACED, message, None, "restore")
        return None

    async def _label(self, pod: Pod, value: str | None) -> None:
        body = {"metadata": {"uid": pod.uid, "labels": {LABEL_COMPLIANT: value}}}
        await guarded(self._context.client.patch(PODS.path(pod.namespace, pod.name), body))


def _key(pod: Pod) -> Key:
    return Key(POD, pod.namespace, pod.name)


def _blocks(pod: Pod) -> str:
    """What keeps a pod that was told to end."""
    if pod.finalizers:
        return f"finalizers {', '.join(pod.finalizers)}"
    return f"node {pod.node} does not confirm that it ended"
