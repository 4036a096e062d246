"""Whether a policy is enforced: what was written, what canaries have shown, and what somebody took away in between."""

from typing import Final

from sovereign.api.conditions import ENFORCED, Reason
from sovereign.cluster.metrics import DRIFT
from sovereign.cluster.status import Condition, by_type, condition
from sovereign.controllers.canary import Canaries
from sovereign.controllers.context import Context
from sovereign.controllers.objects import Object
from sovereign.plan.inventory import Manifest, Policy
from sovereign.plan.policy import PolicyPlan
from sovereign.plan.verdict import Verdict

_OF_CANARIES: Final = (Reason.CANARY_ACCEPTED, Reason.CANARY_UNANSWERED)
_Name = tuple[str, str]
"""Kind and name of an admission object."""


class Enforcement:
    """The condition `Enforced`, and the Events about it."""

    def __init__(self, context: Context, canaries: Canaries | None) -> None:
        self._context = context
        self._canaries = canaries
        self._written: dict[str, tuple[str, frozenset[_Name]]] = {}
        """The UID of each policy, and its admission objects that were all there at the end of its last pass."""

    def forget(self, policy: str) -> None:
        """Of a policy that is gone."""
        self._written.pop(policy, None)
        if self._canaries is not None:
            self._canaries.forget(policy)

    # --- what was taken away ------------------------------------------------------------------------

    def missing(self, item: Object, plan: PolicyPlan) -> list[_Name]:
        """Admission objects that were there, should still be, and are not: somebody deleted them. To be asked before they are made."""
        uid, written = self._written.get(item.owner.name, ("", frozenset[_Name]()))
        if uid != item.owner.uid:
            return []
        wanted = {_name(manifest) for manifest in plan.admission}
        return sorted(name for name in written & wanted if not self._there(name))

    def _there(self, name: _Name) -> bool:
        row = self._context.caches[name[0]].rows.get(("", name[1]))
        return row is not None and not row.deleting

    def wrote(self, item: Object, plan: PolicyPlan, missing: list[_Name], failure: Verdict | None) -> None:
        """Take down what is there now, and tell what is back."""
        if failure is not None:
            return
        self._written[item.owner.name] = (item.owner.uid, frozenset(map(_name, plan.admission)))
        for kind, name in missing:
            DRIFT.labels(kind).inc()
            message = f"{kind} {name} was deleted by somebody else and has been made again"
            self._context.tell(item, "Warning", Reason.DRIFT_REPAIRED, message)

    # --- the condition ------------------------------------------------------------------------------

    def judge(self, item: Object, policy: Policy, plan: PolicyPlan, failure: Verdict | None) -> Condition:
        """`Enforced`, the gravest first: what canaries have shown counts more than what could not be written."""
        if self._canaries is None or not plan.trials:
            if self._canaries is not None:
                self._canaries.forget(policy.name)
            return _unproven(policy, plan, failure)
        proof = self._canaries.renew(item, plan)
        if failure is not None and not (proof is not None and proof.accepted):
            return _unproven(policy, plan, failure)
        result = condition(ENFORCED, *proof.enforced()) if proof is not None else _before_canaries(item)
        self._tell_turn(item, result)
        return result

    def _tell_turn(self, item: Object, now: Condition) -> None:
        before = _recorded(item)
        if before is None or before["reason"] == now["reason"]:
            return
        if now["reason"] in _OF_CANARIES:
            self._context.tell(item, "Warning", Reason(now["reason"]), now["message"])
        elif before["reason"] in _OF_CANARIES and now["status"] == "True":
            self._context.tell(item, "Normal", Reason.ENFORCED, now["message"])


def _name(manifest: Manifest) -> _Name:
    return manifest["kind"], manifest["metadata"]["name"]


def _recorded(item: Object) -> Condition | None:
    """`Enforced` as it was written last for this generation."""
    entry = by_type(item.status).get(ENFORCED)
    return entry if entry is not None and entry.get("observedGeneration") == item.owner.generation else None


def _before_canaries(item: Object) -> Condition:
    """Until the first round has shown something, what is written stays: a new leader is through in a moment."""
    recorded = _recorded(item)
    if recorded is not None and recorded["reason"] in (Reason.ENFORCED, *_OF_CANARIES):
        return {key: recorded[key] for key in ("type", "status", "reason", "message")}
    message = "the admission objects are in place, and canaries have yet to show that they refuse"
    return condition(ENFORCED, None, Reason.PROGRESSING, message)


def _unproven(policy: Policy, plan: PolicyPlan, failure: Verdict | None) -> Condition:
    """What is known without canaries."""
    if failure is not None:
        return condition(ENFORCED, False, failure.reason, failure.message)
    if not plan.complete:
        return condition(ENFORCED, False, Reason.TOO_MANY_NODES, "the rules in force are older than the policy")
    if policy.spec.enforcement == "Audit":
        message = "the policy only reports; set spec.enforcement to Enforce to refuse and repair"
        return condition(ENFORCED, False, Reason.AUDIT_ONLY, message)
    message = "the admission objects are in place; nothing tries them, because the installation has no canaries"
    return condition(ENFORCED, True, Reason.ENFORCED, message)
