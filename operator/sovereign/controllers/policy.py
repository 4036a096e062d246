"""Reconciling a SovereigntyPolicy: admission objects, the approved label on nodes, closed namespaces, status."""

from typing import Any, Final

from sovereign.api.conditions import ENFORCED, READY, STALLED, Reason
from sovereign.cluster import metrics
from sovereign.cluster.queue import Key
from sovereign.cluster.status import Condition, condition
from sovereign.controllers import children
from sovereign.controllers.context import Context, Outcome, Retry
from sovereign.controllers.heartbeat import PolicyRecord
from sovereign.controllers.node_labels import NodeLabels
from sovereign.controllers.static_pods import StaticPodReport
from sovereign.controllers.store import Object
from sovereign.plan.inventory import Policy
from sovereign.plan.policy import PolicyPlan, plan_policy
from sovereign.plan.verdict import Verdict

_REJECTIONS_SHOWN: Final = 20
_NAMESPACES_SHOWN: Final = 100
_ADMISSION: Final = (
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
)


class PolicyController:
    """One reconcile of one policy."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._labels = NodeLabels(context)
        self._static_pods = StaticPodReport(context)
        self._record = PolicyRecord(context)

    async def reconcile(self, key: Key) -> Outcome:
        """Write the gate first, then the labels by which pods find through it, then the status."""
        context = self._context
        item = await children.owner(context, key)
        if item is None:
            await self._clean_up(key.name)
            return None
        policy = context.store.policy(key.name)
        if item.spec is None or policy is None:
            await self._invalid(item)
            return None
        plan = plan_policy(
            policy,
            context.store.nodes.values(),
            context.store.living_namespaces(),
            context.store.policies,
            context.settings,
        )
        keep = () if plan.complete else _ADMISSION
        failure = await children.bring_about(context, item, (*plan.admission, *plan.network), keep=keep)
        await self._labels.keep(key.name, {*plan.to_label, *plan.to_bind, *plan.to_unlabel})
        conditions = self._conditions(item, policy, plan, failure)
        later = await children.write_status(context, item, self._content(key.name, plan), conditions)
        self._measure(key.name, plan, conditions)
        self._static_pods.look(item)
        self._record.look(item, plan)
        return Retry(failure.message) if failure is not None else later

    async def _clean_up(self, name: str) -> None:
        """Take the label of a policy that is gone off the nodes; its other children are garbage-collected."""
        await self._labels.clean_up(name)
        self._static_pods.forget(name)
        self._record.forget(name)
        for metric in (metrics.APPROVED_NODES, metrics.VIOLATIONS, metrics.ENFORCEMENT, metrics.STATIC_PODS):
            if (name,) in metric._metrics:  # noqa: SLF001 - the client has no public test for a label
                metric.remove(name)

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

    def _content(self, name: str, plan: PolicyPlan) -> dict[str, Any]:
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
            "violations": {"current": self._violations(name)},
        }

    def _violations(self, name: str) -> int:
        return sum(name in violation.policies for violation in self._context.store.violations.values())

    def _conditions(self, item: Object, policy: Policy, plan: PolicyPlan, failure: Verdict | None) -> list[Condition]:
        problem = failure or next((v for v in plan.verdicts if v.reason is not Reason.NO_APPROVED_NODE), None)
        nowhere = next((v for v in plan.verdicts if v.reason is Reason.NO_APPROVED_NODE), None)
        result = [_ready(plan, problem, nowhere)]
        if problem is not None:
            result.append(condition(STALLED, True, problem.reason, problem.message))
            self._context.tell(item, "Warning", problem.reason, problem.message)
        elif nowhere is not None:
            self._context.tell(item, "Warning", nowhere.reason, nowhere.message)
        return [*result, _enforced(policy, plan, failure)]

    def _measure(self, name: str, plan: PolicyPlan, conditions: list[Condition]) -> None:
        metrics.APPROVED_NODES.labels(name).set(len(plan.approved))
        metrics.VIOLATIONS.labels(name).set(self._violations(name))
        enforced = any(entry["type"] == ENFORCED and entry["status"] == "True" for entry in conditions)
        metrics.ENFORCEMENT.labels(name).set(float(enforced))


def _ready(plan: PolicyPlan, problem: Verdict | None, nowhere: Verdict | None) -> Condition:
    if problem is not None:
        return condition(READY, False, problem.reason, problem.message)
    if nowhere is not None:
        return condition(READY, False, nowhere.reason, nowhere.message)
    return condition(
        READY,
        True,
        Reason.READY,
        f"{len(plan.approved)} nodes are approved, {len(plan.rejections)} are not; {len(plan.namespaces)} namespaces are governed",
    )


def _enforced(policy: Policy, plan: PolicyPlan, failure: Verdict | None) -> Condition:
    if failure is not None:
        return condition(ENFORCED, False, failure.reason, failure.message)
    if not plan.complete:
        return condition(ENFORCED, False, Reason.TOO_MANY_NODES, "the rules in force are older than the policy")
    if policy.spec.enforcement == "Audit":
        return condition(
            ENFORCED,
            False,
            Reason.AUDIT_ONLY,
            "the policy only reports; set spec.enforcement to Enforce to refuse and repair",
        )
    return condition(ENFORCED, True, Reason.ENFORCED, "the admission objects are in place")
