"""Reconciling a SovereigntyPolicy: admission objects, the approved label on nodes, closed namespaces, status."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sovereign.api.conditions import ENFORCED, READY, STALLED, Reason
from sovereign.cluster import metrics
from sovereign.cluster.queue import Key
from sovereign.cluster.status import Condition, condition
from sovereign.controllers import children
from sovereign.controllers.canary import Canaries
from sovereign.controllers.context import Context, Outcome
from sovereign.controllers.enforcement import Enforcement
from sovereign.controllers.heartbeat import PolicyRecord
from sovereign.controllers.node_labels import NodeLabels
from sovereign.controllers.objects import Object
from sovereign.controllers.static_pods import StaticPodReport
from sovereign.controllers.unlawful import UnlawfulReport
from sovereign.plan.inventory import Policy
from sovereign.plan.policy import PolicyPlan, PolicyPlanner
from sovereign.plan.verdict import Verdict
from sovereign.residency.findings import Findings, Shown

logger = logging.getLogger(__name__)
_REJECTIONS_SHOWN: Final = 20
_NAMESPACES_SHOWN: Final = 100
_WORKLOADS_SHOWN: Final = 20
_ADMISSION: Final = (
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
)

_Inputs = tuple[int, frozenset[str]]
"""The revision of nodes, namespaces and policies, and the namespaces that are being deleted."""


class Totals:
    """How many violations a policy has had: what its status says, and what was noticed since this process read that."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._before: dict[str, int] = {}

    def of(self, policy: str, written: Mapping[str, Any]) -> int:
        """The total of ``policy``, whose status has ``written`` of violations.

        What is wrong when a leader begins was counted by the one before, as far as its last count went.
        """
        noticed = self._findings.noticed[policy]
        if policy not in self._before:
            new = max(0, self._findings.count(policy) - written.get("current", 0))
            self._before[policy] = written.get("total", 0) + new - noticed
        return self._before[policy] + noticed

    def forget(self, policy: str) -> None:
        """A policy is gone."""
        self._before.pop(policy, None)


class PolicyController:
    """One reconcile of one policy."""

    def __init__(self, context: Context, canaries: Canaries | None) -> None:
        self._context = context
        self._enforcement = Enforcement(context, canaries)
        self._labels = NodeLabels(context)
        self._static_pods = StaticPodReport(context)
        self._totals = Totals(context.store.findings)
        self._unlawful = UnlawfulReport(context)
        self._record = PolicyRecord(context)
        self._plans: dict[str, tuple[PolicyPlanner, _Inputs, PolicyPlan]] = {}

    async def reconcile(self, key: Key) -> Outcome:
        """Write the gate first, then the labels by which pods find through it, then the status.

        Labels are many: where the gate has to be written anew meanwhile, they are left to the next pass.
        """
        context = self._context
        item = await children.owner(context, key)
        if item is None:
            await self._clean_up(key.name)
            return None
        policy = context.store.policy(key.name)
        if item.spec is None or policy is None:
            await self._invalid(item)
            return None
        plan = self._plan(policy)
        keep = () if plan.complete else _ADMISSION
        missing = self._enforcement.missing(item, plan)
        failure = await children.bring_about(context, item, (*plan.admission, *plan.network), keep=keep)
        self._enforcement.wrote(item, plan, missing, failure)
        await self._labels.keep(
            key.name, {*plan.to_label, *plan.to_bind, *plan.to_unlabel}, lambda: self._outdated(key, policy, plan)
        )
        if self._outdated(key, policy, plan):
            return None
        conditions = self._conditions(item, plan, failure, self._enforcement.judge(item, policy, plan, failure))
        self._released(item, policy, plan)
        unlawful = context.store.findings.workloads(key.name)
        later = await children.write_status(context, item, self._content(item, plan, unlawful), conditions)
        self._measure(key.name, plan, conditions)
        self._static_pods.look(item)
        self._unlawful.look(item, unlawful)
        self._record.look(item, plan)
        return children.outcome(failure, later)

    def _plan(self, policy: Policy) -> PolicyPlan:
        """The plan of a policy; the last one where only what is wrong is to be counted anew."""
        store, settings = self._context.store, self._context.settings
        inputs = (store.revision, frozenset(store.terminating))
        known = self._plans.get(policy.name)
        if known is None or known[0].policy != policy:
            planner = PolicyPlanner(policy, settings)
        else:
            planner, before, plan = known
            if before == inputs:
                return plan
        plan = planner.plan(store.nodes.values(), store.living_namespaces(), store.policies)
        self._plans[policy.name] = (planner, inputs, plan)
        return plan

    def _outdated(self, key: Key, policy: Policy, plan: PolicyPlan) -> bool:
        """Whether the policy, or what it approves, is another by now, so that it comes again at once."""
        store = self._context.store
        if not self._context.queue.comes_again(key):
            return False
        return store.policy(key.name) != policy or bool(plan.approved ^ store.approved.get(key.name, set()))

    def _released(self, item: Object, policy: Policy, plan: PolicyPlan) -> None:
        """Tell of namespaces that left although the policy is the same, which its rules refuse while they are in force.

        What is remembered is the status, so that it is noticed too when the operator was down meanwhile.
        """
        if policy.spec.enforcement != "Enforce" or item.status.get("observedGeneration") != item.owner.generation:
            return
        store = self._context.store
        for name in sorted({*item.status.get("namespaces", ())} - {*plan.namespaces}):
            if name not in store.namespaces or name in store.terminating:
                continue
            message = (
                f"namespace {name} has lost the labels by which this policy governed it, and none of its rules hold there any "
                "more; put them back, or remove what runs there"
            )
            logger.warning("%s: %s", item.key, message)
            self._context.tell(item, "Warning", Reason.NAMESPACE_RELEASED, message)

    async def _clean_up(self, name: str) -> None:
        """Take the label of a policy that is gone off the nodes; its other children are garbage-collected."""
        self._plans.pop(name, None)
        await self._labels.clean_up(name)
        self._static_pods.forget(name)
        self._totals.forget(name)
        self._unlawful.forget(name)
        self._enforcement.forget(name)
        self._record.forget(name)
        for metric in (metrics.APPROVED_NODES, metrics.VIOLATIONS, metrics.ENFORCEMENT, metrics.STATIC_PODS):
            metrics.forget(metric, name)

    async def _invalid(self, item: Object) -> None:
        """Report what cannot be understood; the rules that are in force stay."""
        kept = {name: value for name, value in item.status.items() if name not in ("conditions", "observedGeneration")}
        conditions = [
            condition(READY, False, Reason.INVALID_SPEC, item.problem),
            condition(STALLED, True, Reason.INVALID_SPEC, item.problem),
            condition(ENFORCED, None, Reason.INVALID_SPEC, "the last rules that could be understood stay in force"),
        ]
        await children.write_status(self._context, item, kept, conditions)
        self._context.tell(item, "Warning", Reason.INVALID_SPEC, item.problem)

    def _content(self, item: Object, plan: PolicyPlan, unlawful: Sequence[Shown]) -> dict[str, Any]:
        return {
            "jurisdictions": list(plan.jurisdictions),
            "approvedNodes": len(plan.approved),
            "rejectedNodes": len(plan.rejections),
            "rejections": [
                {"node": node, "rule": verdict.rule, "found": verdict.found[:256]}
                for node, verdict in plan.rejections[:_REJECTIONS_SHOWN]
            ],
            "namespaces": list(plan.namespaces[:_NAMESPACES_SHOWN]),
            "governedNamespaces": len(plan.namespaces),
            "violations": self._violations(item, unlawful),
        }

    def _violations(self, item: Object, unlawful: Sequence[Shown]) -> dict[str, Any]:
        findings, name = self._context.store.findings, item.owner.name
        return {
            "current": findings.count(name),
            "total": self._totals.of(name, item.status.get("violations") or {}),
            "workloads": [shown.to_dict() for shown in unlawful[:_WORKLOADS_SHOWN]],
        }

    def _conditions(
        self, item: Object, plan: PolicyPlan, failure: Verdict | None, enforced: Condition
    ) -> list[Condition]:
        problem = failure or next((v for v in plan.verdicts if v.reason is not Reason.NO_APPROVED_NODE), None)
        nowhere = next((v for v in plan.verdicts if v.reason is Reason.NO_APPROVED_NODE), None)
        result = [_ready(plan, problem, nowhere, enforced)]
        if problem is not None:
            result.append(condition(STALLED, True, problem.reason, problem.message))
            self._context.tell(item, "Warning", problem.reason, problem.message)
        elif nowhere is not None:
            self._context.tell(item, "Warning", nowhere.reason, nowhere.message)
        return [*result, enforced]

    def _measure(self, name: str, plan: PolicyPlan, conditions: list[Condition]) -> None:
        metrics.APPROVED_NODES.labels(name).set(len(plan.approved))
        metrics.VIOLATIONS.labels(name).set(self._context.store.findings.count(name))
        enforced = any(entry["type"] == ENFORCED and entry["status"] == "True" for entry in conditions)
        metrics.ENFORCEMENT.labels(name).set(float(enforced))


def _ready(plan: PolicyPlan, problem: Verdict | None, nowhere: Verdict | None, enforced: Condition) -> Condition:
    if problem is not None:
        return condition(READY, False, problem.reason, problem.message)
    if enforced["reason"] == Reason.CANARY_ACCEPTED:
        return condition(READY, False, Reason.CANARY_ACCEPTED, enforced["message"])
    if nowhere is not None:
        return condition(READY, False, nowhere.reason, nowhere.message)
    return condition(
        READY,
        True,
        Reason.READY,
        f"{len(plan.approved)} nodes are approved, {len(plan.rejections)} are not; {len(plan.namespaces)} namespaces are governed",
    )
