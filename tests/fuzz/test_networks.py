"""Row 18: the algebra of networks, held against netaddr; what generated NetworkPolicies open, counted by it."""

from collections.abc import Iterable
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netaddr import IPNetwork, IPSet

from sovereign.api.conditions import Reason
from sovereign.plan import grants
from sovereign.plan.governance import Governance
from sovereign.plan.grants import Grant, Network
from sovereign.plan.inventory import Manifest, Policy, Settings
from sovereign.plan.network import import_policy, serving_policy
from sovereign.plan.network_rules import openings
from sovereign.plan.policy import plan_policy
from tests.fuzz.networks import EMBEDDED, METADATA, networks, shares, stated
from tests.fuzz.totals import costly, tried
from tests.plan.policy.build import policy
from tests.plan.serving.samples import model, pool, runtime

_INTERNET = {
    4: IPSet(["0.0.0.0/0"])
    - IPSet(
        [
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",
        ]
    ),
    6: IPSet(["2000::/3"]) - IPSet(["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"]),
}
_LESS_PRIVATE = (
    *("1.0.0.0/8", "2.0.0.0/7", "4.0.0.0/6", "8.0.0.0/7", "11.0.0.0/8", "12.0.0.0/6", "16.0.0.0/4", "32.0.0.0/3"),
    *("64.0.0.0/2", "128.0.0.0/2", "192.0.0.0/3"),
)
_NAT64 = IPNetwork("64:ff9b::/96")
_NEVER = IPSet(str(network) for network in grants.NEVER)


def _set(networks: Iterable[Any]) -> IPSet:
    return IPSet(str(network) for network in networks)


def _by_port(granted: Iterable[Grant]) -> dict[int, IPSet]:
    every = list(granted)
    return {port: _set(g.network for g in every if port in g.ports) for port in {p for g in every for p in g.ports}}


def _through_nat64(granted: IPSet) -> IPSet:
    """The IPv4 addresses that end those of ``granted`` in NAT64's network."""
    inside = granted & IPSet([_NAT64])
    return IPSet(
        IPNetwork((block.first - _NAT64.first, block.prefixlen - 96), version=4) for block in inside.iter_cidrs()
    )


def _everywhere(granted: IPSet) -> bool:
    reached = granted | _through_nat64(granted)
    return any(internet.issubset(reached) for internet in _INTERNET.values())


def _bounded(granted: Iterable[Grant]) -> dict[int, IPSet]:
    return {port: opened for port, opened in _by_port(granted).items() if not _everywhere(opened)}


@costly(60, 1500)
@given(stated())
def test_the_normal_form_is_the_same_set_in_the_fewest_networks(granted: list[Grant]) -> None:
    """Row 18."""
    tried("grants: normal forms")
    form = grants.normal(granted)
    assert _by_port(form) == _by_port(granted)
    for port, opened in _by_port(granted).items():
        assert sorted(str(g.network) for g in form if port in g.ports) == sorted(map(_text, opened.iter_cidrs()))


def _text(network: IPNetwork) -> str:
    return str(ip_network(str(network)))


@costly(60, 1000)
@given(stated(), stated())
def test_an_intersection_is_what_both_sets_have(left: list[Grant], right: list[Grant]) -> None:
    """Row 18, row 25."""
    tried("grants: intersections")
    one, other = _by_port(left), _by_port(right)
    wanted = {port: one[port] & other[port] for port in one.keys() & other.keys() if one[port] & other[port]}
    assert _by_port(grants.intersection(left, right)) == wanted


@costly(100, 8000)
@given(networks(), networks())
def test_an_overlap_is_the_common_part(left: Network, right: Network) -> None:
    """Row 18."""
    tried("grants: overlaps")
    found = grants.overlap(left, right)
    assert (IPSet() if found is None else _set([found])) == _set([left]) & _set([right])


@costly(60, 2000)
@given(st.one_of(stated(), shares().map(lambda parts: [Grant(part, (443,)) for part in parts])))
def test_grants_that_add_up_to_the_internet_are_seen_and_open_nothing(granted: list[Grant]) -> None:
    """Row 18: also where IPv4 is reached through NAT64."""
    wanted = _bounded(granted)
    too_much = wanted.keys() != _by_port(granted).keys()
    tried(f"grants: {'everywhere' if too_much else 'bounded'}")
    assert grants.everywhere(granted) is too_much
    assert _by_port(grants.bounded(granted)) == wanted


@costly(100, 8000)
@given(networks())
def test_a_block_is_its_network_without_what_is_never_granted(network: Network) -> None:
    """Row 18."""
    tried("grants: blocks")
    block = grants.ip_block(network)
    wanted = _set([network]) - _NEVER
    assert (_opened(block) if block else IPSet()) == wanted
    assert (block is None) is (not wanted)
    for excluded in (block or {}).get("except", ()):  # a strict subset, or the API server refuses it
        assert ip_network(excluded).subnet_of(network)
        assert ip_network(excluded) != network


def _opened(block: dict[str, Any]) -> IPSet:
    return IPSet([block["cidr"]]) - IPSet(block.get("except", []))


@pytest.mark.parametrize("address", [*METADATA, *EMBEDDED])
@pytest.mark.parametrize("prefix", range(0, 129, 8))
def test_no_block_around_a_metadata_service_holds_it(address: str, prefix: int) -> None:
    """Row 18: whichever translator it is seen through."""
    one = ip_network(address)
    if prefix <= one.max_prefixlen:
        block = grants.ip_block(type(one)((int(one.network_address), prefix), strict=False))
        assert block is None or address not in _opened(block)


@pytest.mark.parametrize(
    "parts",
    [
        ["0.0.0.0/1", "128.0.0.0/1"],
        ["64:ff9b::/96"],
        ["64:ff9b::/97", "64:ff9b::8000:0/97"],
        ["128.0.0.0/1", "64:ff9b::/97"],
        ["::/1"],
        ["2000::/3"],
        ["2000::/4", "3000::/4"],
        [
            "1.0.0.0/8",
            "2.0.0.0/7",
            "4.0.0.0/6",
            "8.0.0.0/7",
            "11.0.0.0/8",
            "12.0.0.0/6",
            "16.0.0.0/4",
            "32.0.0.0/3",
            "64.0.0.0/2",
            "128.0.0.0/2",
            "192.0.0.0/3",
        ],
    ],
    ids=[
        "halves",
        "NAT64",
        "halves of NAT64",
        "one half each",
        "half of IPv6",
        "the half in use",
        "cut",
        "less private",
    ],
)
def test_a_policy_that_grants_the_internet_in_parts_is_told_and_opens_nothing(parts: list[str]) -> None:
    """Row 18."""
    granted = [{"cidr": part, "ports": [443]} for part in parts]
    for field in ("egress", "importEgress"):
        stated_policy = policy(network={field: granted})
        (verdict,) = [v for v in _plan(stated_policy).verdicts if v.reason is Reason.INVALID_SPEC]
        assert verdict.rule == f"network.{field}"
        assert openings(stated_policy) == ()
        assert not any(_peers(one) for one in _policies(stated_policy))


def test_resolvers_all_over_the_world_are_told_and_open_nothing() -> None:
    """Row 18, row 19."""
    resolvers = {"dns": {"resolvers": ["0.0.0.0/1", "128.0.0.0/1"]}, "egress": [{"cidr": "10.0.0.0/8", "ports": [443]}]}
    told = policy(network=resolvers)
    (verdict,) = [v for v in _plan(told).verdicts if v.reason is Reason.INVALID_SPEC]
    assert verdict.rule == "network.dns.resolvers"
    assert [str(one.network) for one in openings(told)] == ["10.0.0.0/8"]
    assert _reached(_policies(told)[0]) == {("TCP", 443): IPSet(["10.0.0.0/8"])}


@costly(30, 300)
@given(st.lists(st.tuples(stated(), stated(), st.lists(networks(), max_size=3)), min_size=1, max_size=3))
def test_generated_network_policies_open_what_every_policy_grants_and_is_not_never(
    said: list[tuple[list[Grant], list[Grant], list[Network]]],
) -> None:
    """Row 18, row 25: counted in the manifests, address by address."""
    tried("grants: NetworkPolicies")
    policies = tuple(
        policy(f"p{index}", network=_network(egress, imported, resolvers))
        for index, (egress, imported, resolvers) in enumerate(said)
    )
    servers = [
        _bounded([Grant(one, (53,)) for one in resolvers]).get(53, IPSet()) for *_, resolvers in said if resolvers
    ]
    for manifest, sets in zip(_policies(*policies), ([s[0] for s in said], [s[1] for s in said]), strict=True):
        wanted = _common([_bounded(granted) for granted in sets])
        tcp = {("TCP", port): opened - _NEVER for port, opened in wanted.items() if opened - _NEVER}
        dns = _common([{53: one} for one in servers]).get(53, IPSet()) - _NEVER
        if tcp and dns:
            tcp[("TCP", 53)] = tcp.get(("TCP", 53), IPSet()) | dns
            tcp[("UDP", 53)] = dns
        assert _reached(manifest) == tcp


def _common(each: list[dict[int, IPSet]]) -> dict[int, IPSet]:
    if not each:
        return {}
    ports = set.intersection(*(set(one) for one in each))
    result = {}
    for port in ports:
        opened = each[0][port]
        for one in each[1:]:
            opened = opened & one[port]
        result[port] = opened
    return result


def _network(egress: list[Grant], imported: list[Grant], resolvers: list[Network]) -> dict[str, Any]:
    def said(granted: list[Grant]) -> list[dict[str, Any]]:
        return [{"cidr": str(one.network), "ports": [*one.ports]} for one in granted][:32]

    return {"egress": said(egress), "importEgress": said(imported), "dns": {"resolvers": [*map(str, resolvers)]}}


def _policies(*policies: Policy) -> tuple[Manifest, Manifest]:
    """The NetworkPolicies of a pool and of an import."""
    governance = Governance(policies, "team")
    return (
        serving_policy(pool(), runtime(), governance, Settings()),
        import_policy(model(), governance, Settings()),
    )


def _peers(manifest: Manifest) -> list[dict[str, Any]]:
    return [peer for rule in manifest["spec"].get("egress", []) for peer in rule["to"]]


def _reached(manifest: Manifest) -> dict[tuple[str, int], IPSet]:
    """What the blocks of a NetworkPolicy open, by protocol and port."""
    result: dict[tuple[str, int], IPSet] = {}
    for rule in manifest["spec"].get("egress", []):
        for peer in rule["to"]:
            for port in rule["ports"]:
                if "ipBlock" in peer:
                    key = (port["protocol"], port["port"])
                    result[key] = result.get(key, IPSet()) | _opened(peer["ipBlock"])
    return result


def _plan(one: Policy) -> Any:
    return plan_policy(one, [], {}, [one], Settings())
