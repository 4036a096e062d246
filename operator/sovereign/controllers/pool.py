"""Reconciling an InferencePool: serve an imported model on lawful nodes, and say where it stands."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from sovereign.api.conditions import (
    AVAILABLE,
    PLACEMENT_VERIFIED,
    POLICY_ACCEPTED,
    READY,
    RECONCILING,
    SIZED,
    STALLED,
    Reason,
)
from sovereign.cluster.queue import Key
from sovereign.cluster.rows import DeploymentState, Pod
from sovereign.cluster.status import Condition, condition
from sovereign.controllers import children, model, stopping
from sovereign.controllers.context import Context, Later, Outcome
from sovereign.controllers.network import Network, network_of
from sovereign.controllers.objects import MODEL, RUNTIME, Object
from sovereign.controllers.probe import Prober
from sovereign.plan.governance import Governance
from sovereign.plan.inventory import InferencePool, Runtime, SovereignModel
from sovereign.plan.placement import explain_none
from sovereign.plan.pool import PoolPlan, plan_pool
from sovereign.plan.verdict import Verdict
from sovereign.residency.findings import Finding, Step

_WORKLOAD = ("Deployment", "HorizontalPodAutoscaler")
"""What stays while a model is imported anew: it serves what it has."""
_PLACES = frozenset({Reason.UNLAWFUL_PLACEMENT, Reason.DEDICATED_NODE})
_POLICY_REASONS = frozenset(
    {
        Reason.NO_POLICY,
        Reason.IMAGE_NOT_ALLOWED,
        Reason.OVERRIDE_NOT_ALLOWED,
        Reason.PLACEMENT_NOT_ALLOWED,
        Reason.FORMAT_NOT_ALLOWED,
        Reason.EMPTY_INTERSECTION,
        Reason.POLICY_CONFLICT,
    }
)


class PoolController:
    """One reconcile of one pool."""

    def __init__(self, context: Context, prober: Prober) -> None:
        self._context = context
        self._prober = prober

    async def reconcile(self, key: Key) -> Outcome:
        """Plan, bring the children about, write the status."""
        context = self._context
        item = await children.owner(context, key)
        if item is None or item.spec is None:
            self._prober.forget(key)
            if item is not None:
                await self._invalid(item)
            return None
        if self._too_early(item):
            return None
        governance = context.store.governance(key.namespace)
        sizing = item.status.get("sizing") or {}
        stopped = await stopping.see_to(context, item)
        running = stopped is not None and not stopping.scaled(context, item)
        plan = plan_pool(
            InferencePool(item.owner, item.spec.model_copy(update={"suspend": True}) if stopped else item.spec),
            self._model(key, item),
            self._runtime(item),
            governance,
            context.store.lawful.examples(governance.names, item.spec.accelerator),
            context.settings,
            previous_gpus=sizing.get("gpus"),
        )
        failure: Verdict | None = None
        if plan.children or plan.stopped is not None:
            failure = await children.bring_about(context, item, plan.children, keep=self._kept(plan))
        if running and stopping.scaled(context, item):
            stopping.wake(context, item)
        pods = context.store.pods_of(key)
        lawful = context.store.lawful.of(governance.names) if plan.children else None
        network = network_of(context, self._prober, item, pods, lawful)
        conditions = self._conditions(item, plan, governance, pods, failure, network, stopped)
        content = self._content(item, plan, governance, pods, stopped) | network.content
        later = await children.write_status(context, item, content, conditions)
        self._announce(item, conditions)
        if failure is not None:
            return children.outcome(failure, later)
        return later if later is not None or network.seconds is None else Later(network.seconds)

    def _too_early(self, item: Object) -> bool:
        """Whether nobody has looked at its model yet: whoever does brings the pool back, and it would only say that it waits."""
        model = self._context.store.objects.get(Key(MODEL, item.owner.namespace, item.spec.model_ref.name))
        return model is not None and model.unseen

    def _kept(self, plan: PoolPlan) -> tuple[str, ...]:
        """Kinds of children that stay although they are not planned."""
        if plan.stopped is not None:
            # What runs ends, whatever else stands in the way of the pool.
            return () if plan.children else tuple(kind for kind in self._context.caches if kind not in _WORKLOAD)
        return _WORKLOAD if plan.waiting is not None else ()

    async def _invalid(self, item: Object) -> None:
        """Report what cannot be understood; what runs is left as it is."""
        kept = {name: value for name, value in item.status.items() if name not in ("conditions", "observedGeneration")}
        conditions = [
            condition(READY, False, Reason.INVALID_SPEC, item.problem),
            condition(STALLED, True, Reason.INVALID_SPEC, item.problem),
        ]
        await children.write_status(self._context, item, kept, conditions)

    def _model(self, key: Key, item: Object) -> SovereignModel | None:
        found = self._context.store.objects.get(Key(MODEL, key.namespace, item.spec.model_ref.name))
        if found is None or found.spec is None:
            return None
        return model.snapshot(found, self._context)

    def _runtime(self, item: Object) -> Runtime | None:
        name = item.spec.runtime.name
        found = self._context.store.objects.get(Key(RUNTIME, "", name))
        return None if found is None or found.spec is None else Runtime(name, found.spec)

    def _deployment(self, item: Object) -> DeploymentState | None:
        row = self._context.caches["Deployment"].rows.get((item.owner.namespace, item.owner.name))
        return row.state if row is not None and isinstance(row.state, DeploymentState) else None

    def _findings(self, pods: Sequence[Pod]) -> list[Finding]:
        """What is wrong with the pods, other than what only a kubelet says."""
        found = [self._context.store.findings.get(pod.uid) for pod in pods]
        return [one for one in found if one is not None and one.violations[0].reason is not Reason.IMAGE_MISMATCH]

    # --- status -------------------------------------------------------------------------------------

    def _content(
        self,
        item: Object,
        plan: PoolPlan,
        governance: Governance,
        pods: Sequence[Pod],
        stopped: dict[str, Any] | None,
    ) -> dict[str, Any]:
        state = self._deployment(item) or DeploymentState()
        content: dict[str, Any] = {
            "replicas": state.replicas,
            "readyReplicas": state.ready,
            "selector": ",".join(f"{key}={value}" for key, value in sorted(plan.selector.items())),
            "endpoint": plan.endpoint,
            "placement": self._placement(pods),
            "policies": list(governance.names[: children.POLICIES_SHOWN]),
        }
        if plan.sizing is not None:
            content["sizing"] = plan.sizing.model_dump(by_alias=True)
        elif "sizing" in item.status:
            content["sizing"] = item.status["sizing"]
        if stopped is not None:
            content[stopping.STATUS] = stopped
        return content

    def _placement(self, pods: Sequence[Pod]) -> dict[str, Any]:
        store = self._context.store
        placed = [pod for pod in pods if pod.node and not pod.deleting]
        unlawful = sum(any(one.reason in _PLACES for one in store.findings.violations(pod.uid)) for pod in placed)
        regions: Counter[tuple[str, str]] = Counter()
        for pod in placed:
            node = store.nodes.get(pod.node)
            regions[(node.region, node.jurisdiction) if node is not None else ("", "")] += 1
        return {
            "lawful": len(placed) - unlawful,
            "unlawful": unlawful,
            "byRegion": [
                {"region": region, "jurisdiction": jurisdiction, "replicas": number}
                for (region, jurisdiction), number in sorted(regions.items())[:64]
            ],
        }

    def _conditions(
        self,
        item: Object,
        plan: PoolPlan,
        governance: Governance,
        pods: Sequence[Pod],
        failure: Verdict | None,
        network: Network,
        stopped: dict[str, Any] | None,
    ) -> list[Condition]:
        halt = None if stopped is None else Verdict(False, "onViolation", Reason.SCALED_TO_ZERO, stopped["message"])
        blocking = plan.blocking or failure or halt
        findings = self._findings(pods)
        available = self._available(item, plan, governance, pods, halt)
        result = [_ready(item, blocking, plan.stopped or plan.waiting, findings, available)]
        if blocking is not None:
            result.append(condition(STALLED, True, blocking.reason, blocking.message))
        elif result[0]["status"] != "True":
            result.append(condition(RECONCILING, True, Reason(result[0]["reason"]), result[0]["message"]))
        result.append(_accepted(plan))
        if not plan.children:
            return [*result, condition(AVAILABLE, False, Reason(result[0]["reason"]), result[0]["message"])]
        result.append(_sized(plan.sized))
        result.append(_placement_verified(pods, findings, halt))
        return [*result, network.condition, available]

    def _available(
        self, item: Object, plan: PoolPlan, governance: Governance, pods: Sequence[Pod], halt: Verdict | None
    ) -> Condition:
        if halt is not None:
            return condition(AVAILABLE, False, halt.reason, halt.message)
        if item.spec.suspend:
            return condition(AVAILABLE, False, Reason.SUSPENDED, "spec.suspend is true")
        if plan.stopped is not None:
            return condition(AVAILABLE, False, plan.stopped.reason, f"stopped: {plan.stopped.message}")
        state = self._deployment(item)
        wanted = plan.replicas if plan.replicas is not None else max(state.replicas if state else 0, 1)
        if wanted == 0:
            return condition(AVAILABLE, True, Reason.AVAILABLE, "no replicas are wanted")
        if state is not None and state.observed and state.updated >= wanted and state.available >= wanted:
            return condition(AVAILABLE, True, Reason.AVAILABLE, f"{state.available} of {wanted} replicas are ready")
        ready = state.available if state is not None else 0
        reason, why = self._why(plan, governance, pods, state)
        return condition(
            AVAILABLE, False, reason, f"{ready} of {wanted} replicas are ready" + (f"; {why}" if why else "")
        )

    def _why(
        self, plan: PoolPlan, governance: Governance, pods: Sequence[Pod], state: DeploymentState | None
    ) -> tuple[Reason, str]:
        """The first reason for replicas that are missing: placement, then accelerators, then what the cluster says."""
        store = self._context.store
        lacking = next(
            (
                v
                for v in plan.verdicts
                if not v.ok and v.reason in (Reason.NO_APPROVED_NODE, Reason.INSUFFICIENT_ACCELERATORS)
            ),
            None,
        )
        if lacking is not None:
            nowhere = not store.lawful.of(governance.names)
            return lacking.reason, explain_none(store.nodes.values(), governance) if nowhere else lacking.message
        if state is not None and state.failure:
            return Reason.UNAVAILABLE, state.failure
        waiting = next((pod.message for pod in pods if pod.message), "")
        return (Reason.UNAVAILABLE if waiting else Reason.PROGRESSING), waiting

    def _announce(self, item: Object, conditions: Sequence[Condition]) -> None:
        """A Warning when the pool is refused, or has nowhere to go."""
        for entry in conditions:
            refused = entry["type"] == STALLED
            nowhere = entry["type"] == AVAILABLE and entry["reason"] == Reason.NO_APPROVED_NODE
            if refused or nowhere:
                self._context.tell(item, "Warning", Reason(entry["reason"]), entry["message"])


def _ready(
    item: Object,
    blocking: Verdict | None,
    waiting: Verdict | None,
    findings: Sequence[Finding],
    available: Condition,
) -> Condition:
    if blocking is not None:
        return condition(READY, False, blocking.reason, blocking.message)
    if waiting is not None:
        return condition(READY, False, waiting.reason, waiting.message)
    if findings:
        first = findings[0].violations[0]
        return condition(READY, False, first.reason, first.message)
    if item.spec.suspend:
        return condition(READY, True, Reason.SUSPENDED, "spec.suspend is true; nothing runs")
    if available["status"] != "True":
        return condition(READY, False, Reason(available["reason"]), available["message"])
    return condition(READY, True, Reason.READY, available["message"])


def _accepted(plan: PoolPlan) -> Condition:
    refused = next((verdict for verdict in plan.verdicts if not verdict.ok and verdict.reason in _POLICY_REASONS), None)
    if refused is not None:
        return condition(POLICY_ACCEPTED, False, refused.reason, refused.message)
    return condition(POLICY_ACCEPTED, True, Reason.POLICY_ACCEPTED)


def _sized(verdict: Verdict) -> Condition:
    if verdict.reason in (Reason.SIZE_UNKNOWN, Reason.COUNT_REQUIRED):
        return condition(SIZED, None, verdict.reason, verdict.message)
    return condition(SIZED, verdict.ok, verdict.reason, verdict.message)


def _placement_verified(pods: Sequence[Pod], findings: Sequence[Finding], halt: Verdict | None) -> Condition:
    told = "; ".join(_unlawful(findings))
    if halt is not None:
        return condition(
            PLACEMENT_VERIFIED, False, halt.reason, "; ".join(part for part in (halt.message, told) if part)
        )
    if findings:
        return condition(PLACEMENT_VERIFIED, False, findings[0].violations[0].reason, told)
    if not any(pod.node for pod in pods):
        return condition(PLACEMENT_VERIFIED, None, Reason.PROGRESSING, "no pod has a node yet")
    return condition(PLACEMENT_VERIFIED, True, Reason.PLACED, "every pod is on an approved node")


def _unlawful(findings: Sequence[Finding]) -> Iterator[str]:
    if findings:
        count = "1 pod is" if len(findings) == 1 else f"{len(findings)} pods are"
        yield f"{count} where, or as, it may not be: {findings[0].violations[0].message}"
    blocked = [one for one in findings if one.step is Step.REPAIR_BLOCKED]
    if blocked:
        more = f" (and {len(blocked) - 1} more)" if len(blocked) > 1 else ""
        yield f"pod {blocked[0].name}{more} cannot be removed: {blocked[0].blocks}"
