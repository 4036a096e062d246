"""What ``plan`` answers, as data: the same for people and for programs."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from sovereign.api.conditions import Reason
from sovereign.cli.planning import Planned, PlannedModel, PlannedPool
from sovereign.plan.inventory import Manifest, Policy
from sovereign.plan.placement import explain_none
from sovereign.plan.policy import PolicyPlan
from sovereign.plan.verdict import Verdict

REFUSED: Final = "refused"
"""It will not be made as it is written."""
NOWHERE: Final = "nowhere"
"""It will be made, and finds no node."""
WARNING: Final = "warning"
UNKNOWN: Final = "unknown"
"""It could not be judged, because no nodes were given."""

_NOWHERE: Final = frozenset({Reason.NO_APPROVED_NODE, Reason.INSUFFICIENT_ACCELERATORS})
_WARNINGS: Final = frozenset({Reason.DOES_NOT_FIT, Reason.SIZE_UNKNOWN})
_NEEDS_NODES: Final = frozenset({Reason.NO_APPROVED_NODE, Reason.INSUFFICIENT_ACCELERATORS, Reason.COUNT_REQUIRED})


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """Base of all answers: camelCase on the wire, like the API."""


class Problem(Answer, frozen=True):
    """A rule that does not hold."""

    effect: str
    """refused, nowhere, warning or unknown."""
    rule: str
    reason: str
    message: str
    found: str = ""


class Reference(Answer, frozen=True):
    """An object that would be made."""

    kind: str
    name: str
    namespace: str = ""


class RejectedNode(Answer, frozen=True):
    """A node that a policy does not approve."""

    node: str
    rule: str
    message: str
    found: str = ""


class PolicyAnswer(Answer, frozen=True):
    """What a policy comes to."""

    name: str
    enforcement: str
    jurisdictions: tuple[str, ...]
    """Countries, with EU and EEA written out."""
    stated_jurisdictions: tuple[str, ...]
    namespaces: tuple[str, ...]
    approved_nodes: tuple[str, ...]
    rejected_nodes: tuple[RejectedNode, ...]
    children: tuple[Reference, ...]
    problems: tuple[Problem, ...]


class ModelAnswer(Answer, frozen=True):
    """What a model comes to."""

    namespace: str
    name: str
    policies: tuple[str, ...]
    source: str
    claim: str
    imported: bool
    children: tuple[Reference, ...]
    problems: tuple[Problem, ...]


class PoolAnswer(Answer, frozen=True):
    """What a pool comes to."""

    namespace: str
    name: str
    policies: tuple[str, ...]
    model: str
    runtime: str
    replicas: int | None
    """None when the autoscaler decides."""
    gpus: int | None
    """Of one replica; None when they cannot be told."""
    resource: str
    sizing: dict[str, Any] | None
    sized: str
    """Whether the model fits, in words."""
    endpoint: str
    lawful_nodes: tuple[str, ...] | None
    """Nodes that every policy approves; None when no nodes were given."""
    waits_for_model: bool
    children: tuple[Reference, ...]
    problems: tuple[Problem, ...]


class PlanAnswer(Answer, frozen=True):
    """What all files come to."""

    ok: bool
    """Whether nothing is refused and everything finds a node."""
    policies: tuple[PolicyAnswer, ...]
    models: tuple[ModelAnswer, ...]
    pools: tuple[PoolAnswer, ...]
    notes: tuple[str, ...]

    @property
    def effects(self) -> Counter[str]:
        """How many objects have a problem of which effect, the gravest of each object."""
        graveness = (REFUSED, NOWHERE, UNKNOWN, WARNING)
        worst: Counter[str] = Counter()
        for problems in self.problems:
            effects = {problem.effect for problem in problems}
            worst.update([next(effect for effect in graveness if effect in effects)] if effects else [])
        return worst

    @property
    def problems(self) -> list[tuple[Problem, ...]]:
        """The problems of each object."""
        return [
            *(policy.problems for policy in self.policies),
            *(model.problems for model in self.models),
            *(pool.problems for pool in self.pools),
        ]


def plan_answer(planned: Planned) -> PlanAnswer:
    """The plan as data."""
    policies = tuple(_policy(planned, *item) for item in planned.policies)
    models = tuple(_model(item) for item in planned.models)
    pools = tuple(_pool(planned, item) for item in planned.pools)
    answer = PlanAnswer(True, policies, models, pools, planned.notes)
    ok = all(problem.effect not in (REFUSED, NOWHERE) for problems in answer.problems for problem in problems)
    return msgspec.structs.replace(answer, ok=ok)


def _policy(planned: Planned, policy: Policy, plan: PolicyPlan) -> PolicyAnswer:
    return PolicyAnswer(
        name=policy.name,
        enforcement=policy.spec.enforcement,
        jurisdictions=plan.jurisdictions,
        stated_jurisdictions=tuple(policy.spec.placement.jurisdictions),
        namespaces=plan.namespaces,
        approved_nodes=tuple(sorted(plan.approved)),
        rejected_nodes=rejected(plan),
        children=references((*plan.admission, *plan.network)),
        problems=problems_of(plan.verdicts, nodes_known=planned.snapshot.nodes is not None),
    )


def rejected(plan: PolicyPlan) -> tuple[RejectedNode, ...]:
    """The nodes that a policy does not approve, each with the first rule that rejects it."""
    return tuple(RejectedNode(node, verdict.rule, verdict.message, verdict.found) for node, verdict in plan.rejections)


def _model(item: PlannedModel) -> ModelAnswer:
    return ModelAnswer(
        namespace=item.model.owner.namespace,
        name=item.model.owner.name,
        policies=item.governance.names,
        source=item.model.spec.source.uri,
        claim=item.plan.claim,
        imported=item.model.artifact is not None or item.plan.existing,
        children=references(item.plan.children),
        problems=problems_of((*item.plan.verdicts, item.plan.license), nodes_known=True),
    )


def _pool(planned: Planned, item: PlannedPool) -> PoolAnswer:
    spec, plan = item.pool.spec, item.plan
    known = planned.snapshot.nodes is not None
    return PoolAnswer(
        namespace=item.pool.owner.namespace,
        name=item.pool.owner.name,
        policies=item.governance.names,
        model=spec.model_ref.name,
        runtime=spec.runtime.name,
        replicas=plan.replicas,
        gpus=gpus_of(item),
        resource=spec.accelerator.resource_name,
        sizing=plan.sizing.model_dump(by_alias=True) if plan.sizing is not None else None,
        sized=plan.sized.message,
        endpoint=plan.endpoint,
        lawful_nodes=tuple(node.name for node in item.lawful) if known else None,
        waits_for_model=item.waits,
        children=references(plan.children),
        problems=problems_of(_with_rules(planned, item), nodes_known=known),
    )


def gpus_of(item: PlannedPool) -> int | None:
    """The GPUs of one replica, as in its pod template, else as the pool states them; None while neither tells."""
    resource = item.pool.spec.accelerator.resource_name
    for child in item.plan.children:
        if child["kind"] == "Deployment":
            limits = child["spec"]["template"]["spec"]["containers"][0]["resources"].get("limits", {})
            return int(limits.get(resource, 0))
    return item.pool.spec.accelerator.count


def _with_rules(planned: Planned, item: PlannedPool) -> Iterable[Verdict]:
    """The pool's verdicts; where no node is left, with the rules that reject them."""
    for verdict in item.plan.verdicts:
        nodes = planned.snapshot.nodes
        if verdict.reason is Reason.NO_APPROVED_NODE and not verdict.ok and nodes and not item.lawful:
            yield verdict._replace(message=explain_none(nodes, item.governance))
        else:
            yield verdict


def problems_of(verdicts: Iterable[Verdict], *, nodes_known: bool) -> tuple[Problem, ...]:
    """The verdicts that are not ok, each with its effect."""
    return tuple(
        Problem(_effect(verdict, nodes_known=nodes_known), verdict.rule, verdict.reason, verdict.message, verdict.found)
        for verdict in verdicts
        if not verdict.ok
    )


def _effect(verdict: Verdict, *, nodes_known: bool) -> str:
    if not nodes_known and verdict.reason in _NEEDS_NODES:
        return UNKNOWN
    if verdict.reason in _NOWHERE:
        return NOWHERE
    return WARNING if verdict.reason in _WARNINGS else REFUSED


def references(manifests: Iterable[Manifest]) -> tuple[Reference, ...]:
    """Kind, name and namespace of each manifest."""
    return tuple(
        Reference(item["kind"], item["metadata"]["name"], item["metadata"].get("namespace", "")) for item in manifests
    )
