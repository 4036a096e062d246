"""A whole policy, planned: determinism, labels, and what is wrong with the policy itself."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sovereign.api.conditions import Reason
from sovereign.api.meta import approved_label
from sovereign.plan import approval, placement
from sovereign.plan.inventory import Node, Policy, Settings
from sovereign.plan.policy import PolicyPlan, PolicyPlanner, concerns, plan_policy
from tests.plan.policy.build import node, nodes, placed, placements, policy

_LABEL = approved_label("eu")
_NAMESPACES = {"team": {"tier": "restricted"}, "free": {}, "kube-system": {"tier": "restricted"}}


def _plan(of: Policy, found: list[Node], *others: Policy, **settings: Any) -> PolicyPlan:
    return plan_policy(of, found, _NAMESPACES, [of, *others], Settings(**settings))


def test_a_plain_policy() -> None:
    found = [node("b", "FR"), node("a", "FR", **{_LABEL: "true"}), node("us", "US", **{_LABEL: "true"}), node("bare")]
    plan = _plan(placed(jurisdictions=["EU"]), found)
    assert plan.approved == {"a", "b"}
    assert [(name, verdict.found) for name, verdict in plan.rejections] == [("bare", ""), ("us", "US")]
    assert len(plan.jurisdictions) == 27
    assert plan.namespaces == ("team",)
    assert [one["metadata"]["namespace"] for one in plan.network] == ["team"]
    assert (plan.node_label, plan.to_label, plan.to_unlabel) == (_LABEL, ("b",), ("us",))
    assert plan.verdicts == ()
    assert plan.complete


@given(nodes(), placements, st.randoms())
def test_the_order_of_what_is_known_does_not_matter(found, stated, random) -> None:
    of, other = placed(**stated), placed("other")
    plan = _plan(of, found, other)
    shuffled = random.sample(found, len(found))
    namespaces = dict(random.sample(sorted(_NAMESPACES.items()), len(_NAMESPACES)))
    assert plan_policy(of, shuffled, namespaces, [other, of], Settings()) == plan


@given(nodes(), placements)
def test_planning_on_top_of_an_applied_plan_changes_no_label(found, stated) -> None:
    plan = _plan(placed(**stated), found)
    applied = [_labelled(one, plan) for one in found]
    again = _plan(placed(**stated), applied)
    assert (again.to_label, again.to_unlabel) == ((), ())
    assert again.admission == plan.admission
    assert {one.name for one in applied if one.labels.get(_LABEL) == "true"} == plan.approved


@given(st.lists(st.tuples(nodes(), nodes(), st.booleans()), min_size=1, max_size=5), placements, st.booleans())
def test_planning_again_and_again_comes_to_what_planning_anew_does(rounds, stated, dedicated) -> None:
    of, other = placed(**stated, dedicated=dedicated), placed("other")
    planner, known = PolicyPlanner(of, Settings()), {}
    for changed, gone, alone in rounds:
        # Some nodes are the same objects as before, some equal ones, some others, some gone, and some come back.
        known |= {one.name: one for one in changed}
        there = [one for name, one in known.items() if name not in {one.name for one in gone}]
        policies = [of] if alone else [of, other]
        anew = plan_policy(of, there, _NAMESPACES, policies, Settings())
        again = planner.plan(there, _NAMESPACES, policies)
        assert again == anew
        assert [name for name, _ in again.trials] == [name for name, _ in anew.trials]


def test_only_what_changed_is_judged_and_compiled_again(monkeypatch) -> None:
    judged: list[str] = []
    rejections = placement.rejections
    monkeypatch.setattr(
        placement, "rejections", lambda nodes, of: (judged.extend(n.name for n in nodes), rejections(nodes, of))[1]
    )
    planner = PolicyPlanner(placed(), Settings())
    found = [node("a", "FR"), node("b", "FR"), node("c", "DE")]
    first = planner.plan(found, _NAMESPACES, [planner.policy])
    assert judged == ["a", "b", "c"]
    found[1] = node("b", "FR", **{_LABEL: "true"})
    labelled = planner.plan(found, _NAMESPACES, [planner.policy])
    assert judged == ["a", "b", "c", "b"]
    assert (first.to_label, labelled.to_label) == (("a", "b"), ("a",))
    assert labelled.admission is first.admission
    moved = planner.plan([*found[:2], node("c", "FR")], _NAMESPACES, [planner.policy])
    changed = [new for old, new in zip(first.admission, moved.admission, strict=True) if old != new]
    assert [one["metadata"]["name"] for one in changed] == [
        f"sovereign-eu-{suffix}" for suffix in ("binding", "nodename", "nodecreate")
    ]


def _labelled(one: Node, plan: PolicyPlan) -> Node:
    labels = {key: value for key, value in one.labels.items() if key != _LABEL or one.name not in plan.to_unlabel}
    return Node(one.name, labels=labels | ({_LABEL: "true"} if one.name in plan.to_label else {}))


@given(nodes(max_size=3), nodes(max_size=3), placements, st.integers(0, 2), st.booleans())
def test_a_node_that_does_not_concern_a_policy_changes_nothing_of_its_plan(
    found, others, stated, index, labelled
) -> None:
    of = placed(**stated)
    name = f"n{index}"
    found = [_labelled(one, _plan(of, found)) if labelled else one for one in found]
    rest = [one for one in found if one.name != name]
    before, now = (next((one for one in these if one.name == name), None) for these in (found, others))
    first, second = _plan(of, [*rest, *filter(None, [before])]), _plan(of, [*rest, *filter(None, [now])])
    if concerns(of, before, now):
        assert first != second or name in {*second.to_label, *second.to_bind, *second.to_unlabel}
    else:
        assert replace(first, to_label=(), to_bind=(), to_unlabel=()) == replace(
            second, to_label=(), to_bind=(), to_unlabel=()
        )
        assert name not in {*second.to_label, *second.to_bind, *second.to_unlabel}


def test_audit_closes_no_namespace() -> None:
    plan = _plan(policy(enforcement="Audit"), [node("a", "FR")])
    assert plan.network == ()
    assert plan.namespaces == ("team",)
    assert plan.to_label == ("a",)


def test_a_code_that_does_not_exist_is_an_error_that_says_what_is_meant() -> None:
    (verdict,) = _plan(placed(jurisdictions=["FR", "UK"]), [node("a", "FR"), node("b", "UK")]).verdicts
    assert verdict.reason is Reason.INVALID_SPEC
    assert verdict.message.endswith("UK is not an ISO 3166-1 code; the United Kingdom is GB")


def test_networks_that_add_up_to_everything_are_an_error() -> None:
    halves = [{"cidr": "0.0.0.0/1", "ports": [443]}, {"cidr": "128.0.0.0/1", "ports": [443]}]
    (verdict,) = _plan(policy(network={"egress": halves}), [node("a", "FR")]).verdicts
    assert (verdict.reason, verdict.rule) == (Reason.INVALID_SPEC, "network.egress")


def test_a_conflict_is_reported_where_namespaces_are_shared() -> None:
    other = placed("german", jurisdictions=["DE"])
    (verdict,) = _plan(placed(), [node("a", "FR")], other).verdicts
    assert verdict.reason is Reason.EMPTY_INTERSECTION
    assert "policy german also governs team" in verdict.message
    elsewhere = policy("german", placement={"jurisdictions": ["DE"]}, namespaceSelector={"matchLabels": {"x": "y"}})
    assert _plan(placed(), [node("a", "FR")], elsewhere).verdicts == ()


def test_no_approved_node_is_explained_and_admits_nothing() -> None:
    plan = _plan(placed(), [node("gpu-us-1", "US")])
    (verdict,) = plan.verdicts
    assert verdict.reason is Reason.NO_APPROVED_NODE
    assert "gpu-us-1" in verdict.message
    assert plan.complete
    assert plan.admission


def test_too_many_nodes_leave_the_rules_that_are_in_force(monkeypatch) -> None:
    monkeypatch.setattr(approval, "BYTES_PER_OBJECT", 10)
    plan = _plan(placed(), [node(f"gpu-fr-{index}", "FR") for index in range(50)])
    assert plan.verdicts[0].reason is Reason.TOO_MANY_NODES
    assert not plan.complete
    assert plan.admission == ()
