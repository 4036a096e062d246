"""What is suspicious of others' Services, slices and NetworkPolicies, and what policies say of it (rows 9 and 17)."""

from typing import Any

import pytest

from sovereign.api.meta import LABEL_COMPLIANT, LABEL_MODEL, LABEL_POOL
from sovereign.api.policy import PolicySpec
from sovereign.plan.inventory import Owner, Policy
from sovereign.residency.others import Other, Others, judge, opens, other

POOL_LABELS = {LABEL_POOL: "chat", LABEL_MODEL: "m", LABEL_COMPLIANT: "true"}


def policy(**network: Any) -> Policy:
    spec = {
        "namespaceSelector": {"matchLabels": {"a": "b"}},
        "placement": {"jurisdictions": ["FR"]},
        "network": network,
    }
    return Policy(Owner("SovereigntyPolicy", "eu"), PolicySpec.model_validate(spec))


def row(
    kind: str, spec: dict[str, Any] | None = None, labels: dict[str, str] | None = None, **more: Any
) -> Other | None:
    metadata = {"namespace": "team", "name": "x", "uid": "u", "resourceVersion": "7", "labels": labels or {}}
    return other({"metadata": metadata, **({} if spec is None else {"spec": spec}), **more}, kind)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"selector": {"app": "front"}}, ""),
        ({"selector": {LABEL_POOL: "chat", LABEL_COMPLIANT: "true"}}, ""),
        ({"selector": {LABEL_POOL: "chat"}}, "could select pods with weights"),
        ({"selector": {LABEL_POOL: "chat", LABEL_COMPLIANT: "false"}}, ""),
        ({"selector": {"topology.kubernetes.io/zone": "z"}}, "could select pods with weights"),
        ({"selector": {LABEL_POOL: "chat", "app": "front"}}, ""),
        ({}, "has no selector"),
        ({"type": "ExternalName", "externalName": "example.org"}, "stands for a name outside"),
        ({"selector": {"app": "a"}, "externalIPs": ["192.0.2.1"]}, "takes over addresses"),
        ({"selector": {"app": "a"}, "type": "NodePort"}, "by type NodePort"),
        ({"selector": {"app": "a"}, "type": "LoadBalancer"}, "by type LoadBalancer"),
    ],
)
def test_services(spec: dict[str, Any], words: str) -> None:
    found = row("Service", spec)
    breach = judge(found, policy()) if found is not None else None
    assert words in (breach.message if breach else "")
    assert (breach is not None) is bool(words)
    if breach:
        assert breach.rule == "services"
        assert "policy eu: Service team/x " in breach.message


def test_a_type_that_is_granted() -> None:
    found = row("Service", {"selector": {"app": "a"}, "type": "NodePort"})
    assert found is not None
    assert judge(found, policy(serviceTypes=["NodePort"])) is None
    assert judge(found, policy(serviceTypes=["LoadBalancer"])) is not None


def test_what_no_policy_refuses_is_not_kept() -> None:
    assert row("NetworkPolicy", {"podSelector": {}}) is None
    assert row("NetworkPolicy", {"egress": [{"to": [{"podSelector": {}}]}]}) is None
    assert row("NetworkPolicy") is None
    granted = {"egress": [{"to": [{"ipBlock": {"cidr": "10.2.0.0/16"}}], "ports": [{"port": 443}]}]}
    kept = row("NetworkPolicy", granted)
    assert kept is not None
    assert judge(kept, policy(egress=[{"cidr": "10.0.0.0/8", "ports": [443]}])) is None
    assert judge(kept, policy()) is not None


def test_which_pods_a_network_policy_opens() -> None:
    def opened(selector: dict[str, Any], types: list[str], **spec: Any) -> bool:
        found = row("NetworkPolicy", {"podSelector": selector, "policyTypes": types} | spec)
        assert found is not None
        return opens(found, policy(), POOL_LABELS, "chat")

    assert opened({}, ["Egress"], egress=[{}])
    assert opened({"matchLabels": {"pod-template-hash": "x"}}, ["Egress"], egress=[{}])
    assert opened({"matchLabels": {LABEL_POOL: "chat"}}, ["Ingress"], ingress=[{}])
    assert not opened({"matchLabels": {LABEL_POOL: "other"}}, ["Egress"], egress=[{}])
    assert not opened({}, ["Ingress"], egress=[{}]), "it is inert"
    for operator, values, expected in (
        ("In", ["chat"], True),
        ("NotIn", ["chat"], False),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
    ):
        expression = {"key": LABEL_POOL, "operator": operator, "values": values}
        assert opened({"matchExpressions": [expression]}, ["Egress"], egress=[{}]) is expected


def test_slices() -> None:
    label = {"kubernetes.io/service-name": "chat"}
    endpoints = [{"addresses": ["192.0.2.1"]}]
    found = row("EndpointSlice", labels=label, endpoints=endpoints)
    assert found is not None
    assert judge(found, policy()) is not None
    assert opens(found, policy(), POOL_LABELS, "chat")
    assert not opens(found, policy(), POOL_LABELS, "other")
    assert row("EndpointSlice", labels=label, endpoints=[]) is None
    assert row("EndpointSlice", labels=label, endpoints=None) is None
    assert row("EndpointSlice", endpoints=endpoints) is None
    own = {
        "metadata": {
            "namespace": "default",
            "name": "kubernetes",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        }
    }
    assert other(own | {"endpoints": endpoints}, "EndpointSlice") is None


def test_rows_come_and_go() -> None:
    others, found = Others(), row("Service", {})
    assert others.put("Service", "team", "x", found) is None
    assert others.known("Service", "team", "x")
    assert others.within("team") == [found]
    assert others.put("Service", "team", "x", None) == found
    assert others.namespaces() == []
