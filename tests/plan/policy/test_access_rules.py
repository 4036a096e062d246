"""What a policy allows has no rule; what it denies has one, for each way apart."""

import re
from typing import Any

import pytest

from sovereign.plan.access_rules import access_rules
from tests.plan.policy.build import policy

WAYS = {
    "exec": {"pods/attach", "pods/exec", "nodes/proxy"},
    "portForward": {"pods/portforward", "pods/proxy", "services/proxy"},
    "ephemeralContainers": {"pods/ephemeralcontainers"},
    "resize": {"pods/resize"},
    "serviceAccountTokens": {"serviceaccounts/token", "secrets"},
}


def _judged(**access: str) -> set[str]:
    compiled = access_rules(policy(access=access))
    return {name for rules in compiled for resource in rules.resources for name in resource["resources"]}


def test_everything_is_denied_unless_the_policy_says_otherwise() -> None:
    assert _judged() == set.union(*WAYS.values())


@pytest.mark.parametrize("field", WAYS)
def test_each_way_is_opened_by_its_own_field(field: str) -> None:
    assert _judged(**{field: "Allow"}) == set.union(*WAYS.values()) - WAYS[field]
    others = {other: "Allow" for other in WAYS if other != field}
    assert _judged(**others) == WAYS[field]


def test_with_everything_allowed_there_is_nothing_to_apply() -> None:
    assert list(access_rules(policy(access=dict.fromkeys(WAYS, "Allow")))) == []


@pytest.mark.parametrize("field", WAYS)
def test_each_refusal_names_the_field_that_would_allow_it(field: str) -> None:
    others: dict[str, Any] = {other: "Allow" for other in WAYS if other != field}
    messages = [rule.message for rules in access_rules(policy(access=others)) for rule in rules.validations]
    assert messages
    assert all(re.search(rf"access\.{field}\b", message) for message in messages)
