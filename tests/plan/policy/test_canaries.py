"""Canaries: every rule has one, and what an answer means is decided by what only that answer can say."""

from typing import Any

import pytest

from sovereign.api.conditions import Reason
from sovereign.api.meta import approved_label
from sovereign.plan import approval
from sovereign.plan.admission import compile_policy, compiled_rules
from sovereign.plan.canaries import NOBODY, PREFIX, Canary, Ground, create
from sovereign.plan.inventory import Settings
from sovereign.plan.proof import Answer, Finding, Outcome, Proof, judge
from tests.plan.policy.build import policy

NAME = f"{PREFIX}x"
GROUND = Ground(
    NAME, "assistants", pod=("assistants", "chat-1"), pool=("assistants", "chat"), node="gpu-fr-1", stranger="default"
)
MANY = [f"gpu-{index:06}.eu-west-3.compute.internal" for index in range(60_000)]
RULE = "sovereign-eu-pods"
CANARY = create("assistants", f"pods/{NAME}/binding", {}, absent=NAME)


def canaries(ground: Ground = GROUND, approved: list[str] | None = None, **spec: Any) -> dict[str, Canary | None]:
    """Each admission object's canary."""
    compiled = compile_policy(policy(**spec), approved or ["gpu-fr-1"], Settings())
    return {name: trial(ground) for name, trial in compiled.trials}


def test_every_rule_has_a_canary() -> None:
    rules = compiled_rules(policy(placement={"jurisdictions": ["FR"], "dedicated": True}), ["gpu-fr-1"], Settings())
    assert [one.suffix for one in rules if one.canary is None] == []


def test_every_admission_policy_that_decides_is_tried() -> None:
    compiled = compile_policy(policy(), MANY, Settings())
    decide = [one["metadata"]["name"] for one in compiled.objects if one["kind"].endswith("AdmissionPolicy")]
    assert [name for name, _ in compiled.trials] == decide


def test_a_canary_is_a_dry_run_or_about_a_pod_that_does_not_exist() -> None:
    found = canaries(placement={"jurisdictions": ["FR"], "dedicated": True})
    assert {rule for rule, canary in found.items() if canary is None} == {"sovereign-eu-tokens", "sovereign-eu-volumes"}
    for canary in filter(None, found.values()):
        assert canary.dry_run or (canary.absent == NOBODY and f"/{NOBODY}/" in canary.path)


def test_without_anything_to_try_them_on_rules_are_not_tried() -> None:
    found = canaries(Ground(NAME))
    in_no_namespace = {"sovereign-eu-nodecreate", "sovereign-eu-node-proxy", "sovereign-eu-status"}
    assert {rule for rule, canary in found.items() if canary is not None} == in_no_namespace


def test_a_policy_that_only_reports_is_not_tried() -> None:
    assert canaries(enforcement="Audit") == {}


def test_each_shard_is_tried_with_a_name_that_it_judges_and_that_is_not_approved() -> None:
    found = canaries(approved=MANY)
    names = sorted(rule for rule in found if "-binding-" in rule)
    targets = [found[rule].body["target"]["name"] for rule in names]  # type: ignore[index, call-overload, union-attr]
    assert [approval.shard_of(target, len(names)) for target in targets] == list(range(len(names)))
    assert set(targets).isdisjoint(MANY)
    pods = [found[rule.replace("binding", "nodename")].body for rule in names]  # type: ignore[union-attr]
    assert [pod["spec"]["nodeName"] for pod in pods] == targets  # type: ignore[index, call-overload]


def test_a_pod_that_must_be_pinned_is_one_that_comes_back_with_the_selector() -> None:
    pin = canaries()["sovereign-eu-pin"]
    assert pin is not None
    pinned = {"spec": {"nodeSelector": {approved_label("eu"): "true"}}}
    assert judge("sovereign-eu-pin", pin, Answer(201, body=pinned)).outcome is Outcome.REFUSED
    assert judge("sovereign-eu-pin", pin, Answer(201, body={"spec": {}})).outcome is Outcome.ACCEPTED


DENIED = (
    f"pods \"x\" is forbidden: ValidatingAdmissionPolicy '{RULE}' with binding '{RULE}' denied request: policy eu: no"
)
RBAC = 'pods "x" is forbidden: User "system:serviceaccount:s:c" cannot create resource "pods/binding" in API group "" in the namespace "n"'


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answer(403, DENIED), Outcome.REFUSED),
        (Answer(201, body={}), Outcome.ACCEPTED),
        (Answer(404, f'pods "{NAME}" not found'), Outcome.ACCEPTED),
        (Answer(409, f'networkpolicies "{NAME}" already exists'), Outcome.ACCEPTED),
        (Answer(404, 'namespaces "assistants" not found'), Outcome.UNTRIED),
        (Answer(403, DENIED.replace("eu-pods", "fr-pods")), Outcome.ELSEWHERE),
        (Answer(403, DENIED.replace("eu-pods", "eu-pods-2")), Outcome.ELSEWHERE),
        (Answer(403, 'pods "x" is forbidden: violates PodSecurity "restricted:latest"'), Outcome.ELSEWHERE),
        (Answer(422, 'Pod "x" is invalid: spec.containers: Required value'), Outcome.ELSEWHERE),
        (Answer(403, RBAC), Outcome.UNANSWERED),
        (Answer(401, "Unauthorized"), Outcome.UNANSWERED),
        (Answer(429, "too many requests"), Outcome.UNANSWERED),
        (Answer(500, "etcdserver: request timed out"), Outcome.UNANSWERED),
        (Answer(0, "no answer within 5 s"), Outcome.UNANSWERED),
    ],
    ids=str,
)
def test_what_an_answer_means(answer: Answer, outcome: Outcome) -> None:
    assert judge(RULE, CANARY, answer).outcome is outcome


def test_a_missing_right_is_named_so_that_it_can_be_granted() -> None:
    proof = Proof.of({RULE: judge(RULE, CANARY, Answer(403, RBAC))})
    status, reason, message = proof.enforced()
    assert (status, reason) == (None, Reason.CANARY_UNANSWERED)
    assert message.endswith(f"whether {RULE} refuses: the canaries' account lacks the right to create pods/binding")


def proof(**outcomes: Outcome) -> tuple[bool | None, Reason]:
    return Proof.of({name: Finding(outcome) for name, outcome in outcomes.items()}).enforced()[:2]


def test_one_acceptance_outweighs_everything() -> None:
    found = proof(a=Outcome.REFUSED, b=Outcome.ACCEPTED, c=Outcome.UNANSWERED, d=Outcome.ELSEWHERE)
    assert found == (False, Reason.CANARY_ACCEPTED)


def test_what_is_not_known_is_not_shown_as_a_pass() -> None:
    assert proof(a=Outcome.REFUSED, b=Outcome.UNANSWERED) == (None, Reason.CANARY_UNANSWERED)
    assert proof(a=Outcome.ELSEWHERE, b=Outcome.UNTRIED) == (None, Reason.CANARY_UNANSWERED)
    assert proof() == (None, Reason.CANARY_UNANSWERED)


def test_what_could_not_be_proven_is_said() -> None:
    found = Proof.of({"a": Finding(Outcome.REFUSED), "b": Finding(Outcome.UNTRIED), "c": Finding(Outcome.ELSEWHERE)})
    status, reason, message = found.enforced()
    assert (status, reason) == (True, Reason.ENFORCED)
    assert message == "the admission objects are in place, and what could be tried was refused"
    assert found.summary() == (
        "1 of 3 refused; something else refused first what c must refuse; there is nothing now to try b on"
    )
