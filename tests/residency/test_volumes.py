"""Verdicts about volumes, policy by policy (row 20)."""

import time
from typing import Any

import pytest

from sovereign.api.meta import FACT_JURISDICTION, FACT_REGION
from sovereign.api.policy import PolicySpec
from sovereign.plan.governance import Governance
from sovereign.plan.inventory import Node, Owner, Policy
from sovereign.plan.placement import rejection
from sovereign.residency.volumes import MOST_PLACES, Volumes, volume

ZONE = "topology.kubernetes.io/zone"


def node(name: str, jurisdiction: str, zone: str = "z", region: str | None = None) -> Node:
    labels = {ZONE: zone, "kubernetes.io/hostname": name, FACT_REGION: zone if region is None else region}
    return Node(name, labels=labels | ({FACT_JURISDICTION: jurisdiction} if jurisdiction else {}))


def policy(name: str = "eu", **spec: Any) -> Policy:
    full = {"namespaceSelector": {"matchLabels": {"a": "b"}}, "placement": {"jurisdictions": ["FR"]}} | spec
    return Policy(Owner("SovereigntyPolicy", name), PolicySpec.model_validate(full))


def in_(key: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": "In", "values": list(values)}]}


def pv(*terms: dict[str, Any], name: str = "v", phase: str = "Bound", **spec: Any) -> dict[str, Any]:
    affinity = {"nodeAffinity": {"required": {"nodeSelectorTerms": list(terms)}}} if terms else {}
    claim = {"namespace": "team", "name": "weights", "uid": "u"}
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": "1"},
        "spec": {"claimRef": claim, "storageClassName": "fast"} | affinity | spec,
        "status": {"phase": phase},
    }


def known(nodes: list[Node], policies: list[Policy], *manifests: dict[str, Any]) -> Volumes:
    by_name = {one.name: one for one in nodes}
    approved = {p.name: {n.name for n in nodes if rejection(n, p) is None} for p in policies}
    volumes = Volumes(by_name, approved)
    for manifest in manifests:
        volumes.put(None, volume(manifest))
    return volumes


FR, DE, US = node("fr", "FR", "z1"), node("de", "DE", "z2"), node("us", "US", "z3")


@pytest.mark.parametrize(
    ("terms", "spec", "rule", "words"),
    [
        ([in_(ZONE, "z1")], {}, None, ""),
        ([in_(ZONE, "z1", "z2")], {}, "placement.jurisdictions", "reached from node de"),
        ([in_(ZONE, "z1"), in_(ZONE, "z3")], {}, "placement.jurisdictions", "reached from node us"),
        ([in_(ZONE, "z4")], {}, "storage.requireTopology", "no node of the cluster satisfies"),
        ([], {}, None, ""),
        ([], {"storage": {"requireTopology": True}}, "storage.requireTopology", "nothing says where it lies"),
        (
            [in_(ZONE, "z1")],
            {"storage": {"storageClasses": ["slow"]}},
            "storage.storageClasses",
            "class fast, not slow",
        ),
        ([in_(ZONE, "z1")], {"storage": {"storageClasses": ["fast"]}}, None, ""),
    ],
)
def test_what_a_policy_says_of_a_volume(terms: list[Any], spec: dict[str, Any], rule: str | None, words: str) -> None:
    governing = policy(**spec)
    volumes = known([FR, DE, US], [governing], pv(*terms))
    (held,) = volumes.of("team", "weights")
    found = volumes.judge(held, governing)
    assert (found.rule if found else None) == rule
    assert words in (found.message if found else "")
    if found:
        for word in ("policy eu", "volume v", "claim team/weights"):
            assert word in found.message


def test_a_node_of_the_same_region_that_is_not_approved_says_nothing_about_where_the_volume_is() -> None:
    relabelled = node("relabelled", "US", "z1")
    other = node("other", "US", "z1", "us-east")
    for nodes, lawful in (([FR, relabelled], True), ([FR, other], False), ([FR], True)):
        volumes = known(nodes, [policy()], pv(in_(ZONE, "z1")))
        assert (volumes.elsewhere("team", "weights", Governance((policy(),))) is None) is lawful
    without_regions = [node("a", "FR", "z1", ""), node("b", "US", "z1", "")]
    volumes = known(without_regions, [policy()], pv(in_(ZONE, "z1")))
    assert volumes.elsewhere("team", "weights", Governance((policy(),))) is not None


def test_without_any_approved_node_nothing_is_said_of_volumes() -> None:
    """NoApprovedNode says it then, and pods stay Pending instead of being scaled away."""
    volumes = known([node("relabelled", "US", "z1")], [policy()], pv(in_(ZONE, "z1")))
    assert volumes.elsewhere("team", "weights", Governance((policy(),))) is None


def test_one_node_without_facts_is_enough_not_to_know() -> None:
    volumes = known([FR, node("unknown", "", "z1", "")], [policy()], pv(in_(ZONE, "z1")))
    found = volumes.elsewhere("team", "weights", Governance((policy(),)))
    assert found is not None
    assert found.rule == "placement.facts"


def test_of_several_policies_the_one_that_does_most_is_named() -> None:
    policies = [
        policy("a", enforcement="Audit"),
        policy("b", onViolation={"action": "Report"}),
        policy("c"),
        policy("d", placement={"jurisdictions": ["FR", "US"]}),
    ]
    volumes = known([FR, US], policies, pv(in_(ZONE, "z3")))
    found = volumes.elsewhere("team", "weights", Governance(tuple(policies)))
    assert found is not None
    assert (found.enforced, found.stops, "policy c" in found.message) == (True, True, True)
    told = volumes.elsewhere("team", "weights", Governance(tuple(policies[:2])))
    assert told is not None
    assert (told.enforced, told.stops, "policy b" in told.message) == (True, False, True)
    violations = volumes.violations(volumes.of("team", "weights")[0], Governance(tuple(policies)))
    assert [(one.policy, one.removes) for one in violations] == [("a", False), ("b", False), ("c", True)]


@pytest.mark.parametrize("phase", ["Available", "Pending", "Released", "Failed"])
def test_a_volume_that_no_claim_holds_is_not_judged(phase: str) -> None:
    assert volume(pv(phase=phase)) is None
    assert volume(pv(claimRef=None)) is None


def test_the_annotation_of_old_is_the_class() -> None:
    manifest = pv()
    manifest["metadata"]["annotations"] = {"volume.beta.kubernetes.io/storage-class": "old"}
    row = volume(manifest)
    assert row is not None
    assert row.storage_class == "old"


def test_two_volumes_that_name_one_claim_are_both_judged() -> None:
    volumes = known([FR, US], [policy()], pv(in_(ZONE, "z1")), pv(in_(ZONE, "z3"), name="w"))
    found = volumes.elsewhere("team", "weights", Governance((policy(),)))
    assert found is not None
    assert "volume w" in found.message


def test_the_place_is_told_by_facts_and_capped() -> None:
    nodes = [node(f"n{number}", "FR", "z1", f"r{number:02}") for number in range(40)]
    volumes = known(nodes, [policy()], pv(in_(ZONE, "z1")))
    places = volumes.location("team", "weights")
    assert len(places) == MOST_PLACES
    assert places[0] == {"volume": "v", "storageClass": "fast", "region": "r00", "jurisdiction": "FR"}
    assert known([], [policy()], pv()).location("team", "weights") == [
        {"volume": "v", "storageClass": "fast", "region": "", "jurisdiction": ""}
    ]


def test_what_a_change_touches() -> None:
    volumes = known([FR, US], [policy()], pv(in_(ZONE, "z1")), pv(in_("kubernetes.io/hostname", "us"), name="w"))

    def touched(old: Node | None, new: Node | None, *, judged: bool = False) -> list[str]:
        return [one.name for one in volumes.touched(old, new, judged=judged)]

    assert touched(US, node("us", "US", "z1")) == ["v"]
    assert touched(US, node("us", "FR", "z3"), judged=True) == ["w"]
    assert touched(US, None) == ["w"]
    assert touched(None, node("fr2", "FR", "z1")) == ["v"]
    assert touched(US, node("us", "US", "z3", "another")) == []


def test_a_volume_moves_and_goes() -> None:
    row = volume(pv(in_(ZONE, "z1")))
    moved = volume(pv(in_(ZONE, "z1"), claimRef={"namespace": "team", "name": "more", "uid": "w"}))
    volumes = known([FR], [policy()])
    assert volumes.put(None, row)
    assert not volumes.put(row, row)
    assert volumes.put(row, moved)
    assert volumes.of("team", "weights") == []
    assert volumes.put(moved, None)
    assert volumes.held_in() == []


def test_a_large_cluster_is_judged_in_moderate_time() -> None:
    """2,000 local volumes on 5,000 nodes: each node is looked up, and not compared with each volume."""
    nodes = [node(f"n{number}", "FR", f"z{number % 3}") for number in range(5000)]
    manifests = [pv(in_("kubernetes.io/hostname", f"n{number}"), name=f"v{number}") for number in range(2000)]
    governing = policy()
    volumes = known(nodes, [governing], *manifests)
    started = time.process_time()
    assert volumes.elsewhere("team", "weights", Governance((governing,))) is None
    assert time.process_time() - started < 2.0
