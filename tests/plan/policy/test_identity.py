"""Facts are bound to a machine: what is learned of it later is no change, everything else is."""

from itertools import product

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.api.meta import FACT_IDENTITY, FACT_JURISDICTION, FACT_REGION, approved_label
from sovereign.plan import identity, placement
from sovereign.plan.inventory import Node, Settings
from sovereign.plan.policy import plan_policy
from tests.plan.policy.build import node, placed, policy

_MACHINE = ("uid-1", "aws:///eu-west-3a/i-1", "ec2a-1")


def machine(uid: str = "", provider_id: str = "", system_uuid: str = "", **labels: str) -> Node:
    """A French node that is this machine."""
    known = {FACT_JURISDICTION: "FR", FACT_REGION: "fr-par"} | labels
    return Node("gpu", uid=uid, labels=known, provider_id=provider_id, system_uuid=system_uuid)


def bound_to(one: Node, now: Node) -> Node:
    """``now``, with facts that were set for ``one``."""
    return msgspec.structs.replace(now, labels={**now.labels, FACT_IDENTITY: identity.identity(one)})


@given(st.text(), st.text(), st.text())
def test_it_is_a_value_that_a_label_can_have(uid: str, provider_id: str, system_uuid: str) -> None:
    value = identity.identity(machine(uid, provider_id, system_uuid))
    assert len(value) <= 63
    assert all(part == "0" or len(part) == 16 for part in value.split("."))


@pytest.mark.parametrize("known", [*product([True, False], repeat=3)], ids=str)
def test_what_was_empty_and_is_known_now_is_learned(known: tuple[bool, ...]) -> None:
    before = machine(*(part if there else "" for part, there in zip(_MACHINE, known, strict=True)))
    now = bound_to(before, machine(*_MACHINE))
    assert not identity.other_machine(now)
    assert identity.bound(now) is all(known)


@pytest.mark.parametrize("place", range(3), ids=identity.COMPONENTS)
def test_another_value_is_another_machine_and_so_is_none_at_all(place: int) -> None:
    for value in ("other", "") if place else ("other",):
        parts = [value if index == place else part for index, part in enumerate(_MACHINE)]
        now = bound_to(machine(*_MACHINE), machine(*parts))
        assert identity.other_machine(now)
        assert identity.differences(now) == (identity.COMPONENTS[place],)
        verdict = placement.rejection(now, policy())
        assert verdict is not None
        assert verdict.rule == "placement.identity"
        assert f"another {identity.COMPONENTS[place]}" in verdict.message


@pytest.mark.parametrize("stated", ["", "x", "0.0", "a.b.c.d"])
def test_what_no_operator_wrote_is_no_binding(stated: str) -> None:
    assert identity.other_machine(machine(*_MACHINE, **{FACT_IDENTITY: stated}))


def test_a_node_from_a_file_is_no_machine() -> None:
    read = bound_to(machine(*_MACHINE), machine())
    assert not identity.other_machine(read)
    assert identity.bound(read)


def test_approved_nodes_are_bound_and_others_are_not() -> None:
    approved, foreign = machine(*_MACHINE), node("us", "US")
    plan = plan_policy(placed(), [approved, foreign], {}, [placed()], Settings())
    assert (plan.to_label, plan.to_bind) == (("gpu",), ("gpu",))
    kept = bound_to(approved, machine(*_MACHINE, **{approved_label("eu"): "true"}))
    assert plan_policy(placed(), [kept], {}, [placed()], Settings()).to_bind == ()


def test_another_machine_leaves_the_list_and_loses_the_label() -> None:
    other = bound_to(machine("uid-0"), machine(*_MACHINE, **{approved_label("eu"): "true"}))
    plan = plan_policy(placed(), [other], {}, [placed()], Settings())
    assert plan.approved == frozenset()
    assert placement.rejection(identity.rebound(other), placed()) is None, "it was approved as the machine it was"
    assert (plan.to_bind, plan.to_unlabel) == ((), ("gpu",))


def test_the_command_sets_what_was_withdrawn() -> None:
    assert identity.command("gpu", identity.facts(machine())) == (
        "kubectl label node gpu --overwrite sovereignai.node-restriction.kubernetes.io/jurisdiction=FR "
        "sovereignai.node-restriction.kubernetes.io/region=fr-par"
    )
