"""The conditions of a SovereignModel: what its plan, its import and its children come to."""

from dataclasses import dataclass

from sovereign.api.conditions import (
    IMPORTED,
    LICENSE_ACCEPTED,
    PLACEMENT_VERIFIED,
    POLICY_ACCEPTED,
    READY,
    RECONCILING,
    STALLED,
    VERIFIED,
    Reason,
)
from sovereign.api.model import Artifact, ModelSpec
from sovereign.cluster.status import Condition, condition
from sovereign.controllers.objects import Object
from sovereign.plan.inventory import Elsewhere
from sovereign.plan.model import ModelPlan
from sovereign.plan.verdict import Verdict, first_failure


@dataclass(frozen=True)
class Import:
    """How the import stands."""

    done: bool | None
    reason: Reason
    message: str


def invalid(item: Object) -> list[Condition]:
    """The conditions of a model whose spec cannot be understood."""
    return [
        condition(READY, False, Reason.INVALID_SPEC, item.problem),
        condition(STALLED, True, Reason.INVALID_SPEC, item.problem),
    ]


def conditions_of(
    item: Object,
    plan: ModelPlan,
    artifact: Artifact | None,
    state: Import,
    failure: Verdict | None,
    placed: Condition,
) -> list[Condition]:
    """All conditions of a model.

    ``failure`` is about a child that could not be written, ``placed`` about where its volume lies.
    """
    policy = first_failure(list(plan.verdicts))
    blocking = plan.blocking or failure
    result = [_ready(artifact, state, blocking, placed)]
    permanent = state.done is not True and state.reason is not Reason.IMPORTING
    if blocking is not None or permanent:
        result.append(
            condition(
                STALLED,
                True,
                blocking.reason if blocking else state.reason,
                blocking.message if blocking else state.message,
            )
        )
    elif artifact is None:
        result.append(condition(RECONCILING, True, Reason.IMPORTING, state.message))
    accepted = policy is None
    result.append(
        condition(
            POLICY_ACCEPTED,
            accepted,
            Reason.POLICY_ACCEPTED if policy is None else policy.reason,
            "" if policy is None else policy.message,
        )
    )
    result.append(_license(plan.license))
    result.append(condition(IMPORTED, state.done, state.reason, state.message))
    result.append(_verified(item.spec, plan, artifact))
    return [*result, placed]


def placement_verified(known: bool | None, elsewhere: Elsewhere | None, *, nowhere: bool) -> Condition:
    """Whether the weights' volume lies where every policy wants it.

    ``known`` is None while there is no volume; ``nowhere``: some policy approves no node, so that there is nothing to compare with.
    """
    if elsewhere is not None:
        return condition(PLACEMENT_VERIFIED, False, elsewhere.reason, elsewhere.message)
    if known is None:
        return condition(PLACEMENT_VERIFIED, None, Reason.PROGRESSING, "the claim has no volume yet")
    if not known:
        message = "the volume has no nodeAffinity, so it is not known where it lies"
        return condition(PLACEMENT_VERIFIED, None, Reason.NOT_VERIFIED, message)
    if nowhere:
        message = "a policy approves no node, so there is no place to compare the volume's with"
        return condition(PLACEMENT_VERIFIED, None, Reason.NO_APPROVED_NODE, message)
    return condition(
        PLACEMENT_VERIFIED, True, Reason.PLACED, "the volume lies where nodes are that every policy approves"
    )


def _ready(artifact: Artifact | None, state: Import, blocking: Verdict | None, placed: Condition) -> Condition:
    if blocking is not None:
        return condition(READY, False, blocking.reason, blocking.message)
    if artifact is None:
        return condition(READY, False, state.reason, state.message)
    if placed["status"] == "False":
        return condition(READY, False, Reason(placed["reason"]), placed["message"])
    return condition(READY, True, Reason.READY, state.message)


def _license(verdict: Verdict) -> Condition:
    if verdict.ok:
        return condition(LICENSE_ACCEPTED, True, Reason.LICENSE_ACCEPTED, verdict.message)
    return condition(LICENSE_ACCEPTED, False, verdict.reason, verdict.message)


def _verified(spec: ModelSpec, plan: ModelPlan, artifact: Artifact | None) -> Condition:
    if artifact is None:
        return condition(VERIFIED, None, Reason.NOT_VERIFIED, "the weights are not imported")
    if plan.existing:
        return condition(
            VERIFIED, None, Reason.NOT_VERIFIED, "weights on an existing claim are not hashed by the operator"
        )
    if spec.digest:
        return condition(
            VERIFIED, True, Reason.VERIFIED, f"every file has the size and SHA-256 of manifest {artifact.digest}"
        )
    return condition(
        VERIFIED,
        None,
        Reason.DIGEST_NOT_PINNED,
        f"set spec.digest to {artifact.digest} so that another import cannot bring something else",
    )
