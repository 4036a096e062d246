"""The rules about NetworkPolicies: what they hold for granted, against an oracle that knows addresses one by one."""

import json
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.plan.admission import admission_objects
from sovereign.plan.inventory import Manifest, Settings
from sovereign.plan.network import default_deny
from sovereign.plan.network_rules import openings
from tests.plan.policy.build import policy

_V4, _V6 = int(ip_network("10.0.0.0").network_address), int(ip_network("fd00::").network_address)
_PORTS = (53, 443)


@st.composite
def _networks(draw: st.DrawFn) -> Any:
    """A network of at most 16 addresses out of the same 16 of each family, so that they meet."""
    bits = draw(st.integers(0, 4))
    start = draw(st.integers(0, 15)) >> bits << bits
    return ip_network((_V4 + start, 32 - bits) if draw(st.booleans()) else (_V6 + start, 128 - bits))


_granted = st.lists(st.tuples(_networks(), st.lists(st.sampled_from(_PORTS), min_size=1, unique=True)), max_size=5)
_resolvers = st.lists(_networks(), max_size=3)


def _network(granted: list[Any], resolvers: list[Any]) -> dict[str, Any]:
    return {
        "egress": [{"cidr": str(network), "ports": ports} for network, ports in granted],
        "dns": {"resolvers": [str(network) for network in resolvers]},
    }


@given(_granted, _resolvers, _networks(), st.sampled_from(_PORTS), st.sampled_from(["TCP", "UDP"]))
def test_a_network_is_held_by_one_opening_exactly_where_all_its_addresses_are_granted(
    granted, resolvers, asked, port, protocol
) -> None:
    """What the CEL rule relies on, which asks the openings one by one."""
    tcp = {address for network, ports in granted if port in ports and protocol == "TCP" for address in network}
    dns = {address for network in resolvers if port == 53 for address in network}
    opened = openings(policy(network=_network(granted, resolvers)))
    held = any(
        one.network.version == asked.version
        and asked.subnet_of(one.network)
        and port in one.ports
        and protocol in one.protocols
        for one in opened
    )
    addresses = {*asked}
    assert held is (addresses <= tcp or addresses <= dns)


@pytest.mark.parametrize(
    "network",
    [
        {},
        {"egress": [{"cidr": "0.0.0.0/1", "ports": [443]}, {"cidr": "128.0.0.0/1", "ports": [443]}]},
        {"egress": [{"cidr": "169.254.169.254/32", "ports": [80]}, {"cidr": "fe80::/64", "ports": [80]}]},
        {"dns": {"resolvers": ["169.254.20.10/32"]}},
        {"importEgress": [{"cidr": "10.1.0.0/16", "ports": [443]}]},
    ],
    ids=["nothing granted", "halves of everything", "metadata", "a link-local resolver", "for imports"],
)
def test_what_is_granted_to_nobody_opens_nothing(network: dict[str, Any]) -> None:
    assert openings(policy(network=network)) == ()
    (_, expression), *_ = _rules(network)["network"]["networks"]
    assert expression.endswith("&& false))")


def _rules(network: dict[str, Any], name: str = "eu", **settings: Any) -> dict[str, dict[str, Any]]:
    """The two rules' specs by the end of their names; ``networks`` has the validation about granted networks."""
    objects = admission_objects(policy(name, network=network), [], Settings(**settings))
    found = {one["metadata"]["name"]: one["spec"] for one in objects if one["kind"] == "ValidatingAdmissionPolicy"}
    result = {suffix: found[f"sovereign-{name}-{suffix}"] for suffix in ("network", "default-deny")}
    inside = [(v["message"], v["expression"]) for v in result["network"]["validations"] if "not inside" in v["message"]]
    return result | {"network": result["network"] | {"networks": inside}}


def test_the_policy_that_shuts_the_namespace_is_the_one_that_is_guarded() -> None:
    name = default_deny("team", policy("fr"))["metadata"]["name"]
    guard = _rules({}, "fr")["default-deny"]
    assert any(f"'{name}'" in condition["expression"] for condition in guard["matchConditions"])
    assert "DELETE" in guard["matchConstraints"]["resourceRules"][0]["operations"]


def test_the_operator_of_this_installation_is_let_through() -> None:
    user = "system:serviceaccount:operators:it's mine"
    for spec in _rules({}, operator_user=user).values():
        first = spec["matchConditions"][0]
        assert first["expression"] == "request.userInfo.username != 'system:serviceaccount:operators:it\\u0027s mine'"


def test_metadata_services_are_asked_about_only_where_a_grant_is_so_wide() -> None:
    def text(cidr: str) -> str:
        return json.dumps(_rules({"egress": [{"cidr": cidr, "ports": [443]}]}))

    assert "169.254" not in text("10.0.0.0/8")
    assert "cidr(b.cidr).containsCIDR('169.254.0.0/16')" in text("160.0.0.0/4")
    assert "cidr(b.cidr).containsCIDR('fd00:ec2::/112')" in text("fd00::/8")


def test_the_most_grants_that_a_policy_can_hold_keep_within_the_limits() -> None:
    egress = [
        {"cidr": f"fd00:1:2:3:4:5:{2 * index:x}:0/112", "ports": list(range(60_000 + 40 * index, 60_032 + 40 * index))}
        for index in range(32)
    ]
    spec = _rules({"egress": egress})["network"]
    texts = [v[key] for v in spec["validations"] for key in ("expression", "messageExpression")]
    assert max(map(len, texts)) < 100_000
    assert len(json.dumps(spec)) < 500_000


@given(st.randoms())
def test_the_order_of_grants_does_not_matter(random) -> None:
    egress = [{"cidr": f"10.{index}.0.0/16", "ports": [443, 80 + index]} for index in range(5)]
    before: tuple[Manifest, ...] = admission_objects(policy(network={"egress": egress}), [], Settings())
    random.shuffle(egress)
    assert admission_objects(policy(network={"egress": egress}), [], Settings()) == before
