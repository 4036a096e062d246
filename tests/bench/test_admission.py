"""Which rules are asked about a pod, and which about a Binding."""

import pytest

from bench.arms.admission import matching
from sovereign.plan.admission import compile_policy
from sovereign.plan.inventory import Settings
from tests.plan.policy.build import policy


@pytest.mark.parametrize(
    ("kind", "rules"),
    [("pods", {"nodename", "pods", "reserved-pods", "pin"}), ("pods/binding", {"binding", "bound-labels"})],
)
def test_rules_are_found_by_what_they_are_asked_about(kind: str, rules: set[str]) -> None:
    found = dict(matching(compile_policy(policy(), ["n"], Settings()), [kind]))
    assert found.keys() == {f"sovereign-eu-{rule}" for rule in rules}
    assert all(len(pair) == 2 for pair in found.values()), "each with its binding"
