"""Which nodes are approved: against a slow oracle, in any order, with messages that can be acted on."""

import timeit

from hypothesis import given
from hypothesis import strategies as st

from sovereign.api.conditions import Reason
from sovereign.api.pool import PoolPlacement
from sovereign.plan import placement
from sovereign.plan.governance import Governance
from sovereign.plan.inventory import Node, Policy
from sovereign.plan.jurisdictions import EEA, EU
from tests.plan.policy.build import TIER, node, nodes, placed, placements


def _oracle(candidate: Node, policy: Policy) -> bool:
    """Placement as its documentation puts it, one sentence after the other."""
    stated = policy.spec.placement
    countries: set[str] = set()
    for code in stated.jurisdictions:
        countries |= EU if code == "EU" else EEA if code == "EEA" else {code}
    in_country = any(candidate.jurisdiction == country for country in countries)
    in_region = stated.regions == [] or any(candidate.region == region for region in stated.regions)
    of_provider = stated.providers == [] or any(candidate.provider == one for one in stated.providers)
    labelled = [candidate.labels.get(key) == value for key, value in stated.node_selector.items()]
    return in_country and in_region and of_provider and False not in labelled


@given(nodes(), placements)
def test_approval_is_what_the_documentation_says(found: list[Node], stated: dict[str, object]) -> None:
    policy = placed(**stated)
    assert placement.approved(found, policy) == {n.name for n in found if _oracle(n, policy)}


@given(nodes(), placements)
def test_every_way_to_ask_gives_the_same_answer(found: list[Node], stated: dict[str, object]) -> None:
    policy = placed(**stated)
    approved = placement.approved(found, policy)
    for candidate in found:
        verdicts = placement.judge(candidate, policy)
        first = next((verdict for verdict in verdicts if not verdict.ok), None)
        assert placement.rejection(candidate, policy) == first
        assert (first is None) == (candidate.name in approved)
        assert len(verdicts) == len(placement.RULES)


@given(nodes(), st.lists(placements, max_size=3), st.randoms())
def test_several_policies_approve_what_each_approves_in_any_order(found, stated, random) -> None:
    policies = [placed(f"p{index}", **one) for index, one in enumerate(stated)]
    lawful = placement.lawful(found, Governance(tuple(policies)))
    assert lawful == [n for n in found if all(n.name in placement.approved(found, p) for p in policies)]
    random.shuffle(policies)
    assert placement.lawful(found, Governance(tuple(policies))) == lawful


@given(nodes(), placements, placements)
def test_a_pool_only_narrows(found, stated, wanted) -> None:
    governance = Governance((placed(**stated),))
    own = PoolPlacement.model_validate({k: v for k, v in wanted.items() if k in ("jurisdictions", "regions")})
    narrowed = placement.lawful(found, governance, own)
    assert [n for n in placement.lawful(found, governance) if n in narrowed] == narrowed


def test_a_missing_fact_never_passes() -> None:
    bare = placement.rejection(node("n"), placed())
    assert bare is not None
    assert (bare.rule, bare.found) == (placement.FACTS, "")
    assert "sovereignai.node-restriction.kubernetes.io/jurisdiction" in bare.message
    no_region = placement.rejection(node("n", "FR"), placed(regions=["fr-par"]))
    assert no_region is not None
    assert no_region.rule == placement.FACTS


def test_the_first_rule_that_rejects_is_named_with_what_was_found() -> None:
    policy = placed(regions=["fr-par"], providers=["seine"], nodeSelector={TIER: "gold"})
    cases = {
        placement.JURISDICTIONS: (node("n", "US", "us-east", "seine"), "US"),
        placement.REGIONS: (node("n", "FR", "fr-mrs", "seine"), "fr-mrs"),
        placement.PROVIDERS: (node("n", "FR", "fr-par", "potomac"), "potomac"),
        placement.NODE_SELECTOR: (node("n", "FR", "fr-par", "seine", **{TIER: "iron"}), "iron"),
    }
    for rule, (candidate, found) in cases.items():
        verdict = placement.rejection(candidate, policy)
        assert verdict is not None
        assert (verdict.rule, verdict.found, verdict.reason) == (rule, found, Reason.NO_APPROVED_NODE)


def test_the_message_for_no_node_groups_caps_and_names_rule_and_policy() -> None:
    found = [node(f"gpu-us-{index}", "US") for index in range(1, 6)] + [node("bare"), node("gpu-gb-1", "GB")]
    message = placement.explain_none(found, Governance((placed("eu-only", jurisdictions=["FR", "DE"]),)))
    assert message == (
        "no node is approved: "
        "5 nodes with jurisdiction US, not in DE, FR (placement.jurisdictions of policy eu-only): "
        "gpu-us-1, gpu-us-2, gpu-us-3 and 2 more; "
        "1 node with jurisdiction GB, not in DE, FR (placement.jurisdictions of policy eu-only): gpu-gb-1; "
        "1 node without the label sovereignai.node-restriction.kubernetes.io/jurisdiction "
        "(placement.facts of policy eu-only): bare"
    )


def test_the_message_for_no_node_stays_short() -> None:
    found = [node(f"n{code}", code) for code in ("US", "GB", "CN", "IN", "BR", "JP", "KR", "CA")]
    message = placement.explain_none(found, Governance((placed(),)))
    assert message.endswith("and 3 more nodes for other reasons")


def test_the_message_for_an_empty_cluster_and_for_a_pool() -> None:
    governance = Governance((placed(),))
    assert "has no nodes" in placement.explain_none([], governance)
    own = PoolPlacement(regions=["fr-mrs"])
    message = placement.explain_none([node("n", "FR", "fr-par")], governance, own)
    assert "(placement.regions of the pool): n" in message


def test_a_pool_that_asks_for_more_is_told_what_it_may_choose() -> None:
    governance = Governance((placed("fr", regions=["fr-par"]),))
    assert placement.narrowing(PoolPlacement(), governance).ok
    assert placement.narrowing(PoolPlacement(jurisdictions=["EU"], regions=["fr-par"]), governance).ok
    for own, rule, advice in (
        (PoolPlacement(jurisdictions=["FR", "US"]), placement.JURISDICTIONS, "choose among FR"),
        (PoolPlacement(regions=["us-east"]), placement.REGIONS, "choose among fr-par"),
    ):
        verdict = placement.narrowing(own, governance)
        assert (verdict.ok, verdict.rule, verdict.reason) == (False, rule, Reason.PLACEMENT_NOT_ALLOWED)
        assert "policy fr" in verdict.message
        assert advice in verdict.message
    unknown = placement.narrowing(PoolPlacement(jurisdictions=["UK"]), governance)
    assert unknown.reason is Reason.INVALID_SPEC


def test_judging_many_nodes_costs_less_than_explaining_them() -> None:
    found = [node(f"n{index}", "FR", "fr-par") for index in range(1000)]
    policy = placed(jurisdictions=["EEA"], regions=["fr-par"])
    quick, slow = [], []
    for _ in range(20):  # in turn, so that a busy machine slows both
        quick.append(timeit.timeit(lambda: placement.approved(found, policy), number=1))
        slow.append(timeit.timeit(lambda: [placement.judge(each, policy) for each in found], number=1))
    assert min(quick) < min(slow) / 2
