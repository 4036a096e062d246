"""Egress grants: the algebra against an oracle that knows addresses one by one."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.plan import grants
from sovereign.plan.grants import Grant

_V4 = int(IPv4Address("10.0.0.0"))
_V6 = int(IPv6Address("fd00::"))
_PORTS = (80, 443)


@st.composite
def _networks(draw: st.DrawFn) -> grants.Network:
    """A network of at most 16 addresses out of the same 16 of each family, so that they meet."""
    bits = draw(st.integers(0, 4))
    start = draw(st.integers(0, 15)) >> bits << bits
    if draw(st.booleans()):
        return ip_network((_V4 + start, 32 - bits))
    return ip_network((_V6 + start, 128 - bits))


_stated = st.lists(
    st.builds(Grant, _networks(), st.lists(st.sampled_from(_PORTS), min_size=1, unique=True).map(tuple)), max_size=5
)


def _reachable(granted: object) -> set[tuple[object, int]]:
    """Every address and port that ``granted`` opens, counted out."""
    return {(address, port) for network, ports in granted for address in network for port in ports}


@given(_stated)
def test_normal_form_opens_the_same(granted: list[Grant]) -> None:
    assert _reachable(grants.normal(granted)) == _reachable(granted)


@given(_stated, st.randoms())
def test_equal_sets_have_one_normal_form(granted, random) -> None:
    split = [
        Grant(half, (port,))
        for network, ports in granted
        for port in ports
        for half in (network.subnets() if network.prefixlen < network.max_prefixlen else [network])
    ]
    random.shuffle(split)
    assert grants.normal(split) == grants.normal(granted)


@given(_stated, _stated)
def test_an_intersection_opens_what_both_open(left, right) -> None:
    common = grants.intersection(left, right)
    assert _reachable(common) == _reachable(left) & _reachable(right)
    assert common == grants.intersection(right, left)


@given(_stated, _stated, _stated)
def test_the_order_of_policies_does_not_matter(first, second, third) -> None:
    one = grants.intersection(grants.intersection(first, second), third)
    assert one == grants.intersection(first, grants.intersection(third, second))


@pytest.mark.parametrize(
    ("networks", "everywhere"),
    [
        (["0.0.0.0/1", "128.0.0.0/1"], True),
        (["::/2", "4000::/2", "8000::/1"], True),
        (["0.0.0.0/1", "128.0.0.0/2"], False),
        (["0.0.0.0/1", "8000::/1"], False),
        ([], False),
    ],
)
def test_networks_that_add_up_to_everything_are_seen(networks: list[str], everywhere: bool) -> None:
    stated = [Grant(ip_network(network), (443,)) for network in networks]
    assert grants.everywhere(stated) is everywhere


def test_halves_for_different_ports_are_not_everything() -> None:
    assert not grants.everywhere([Grant(ip_network("0.0.0.0/1"), (80,)), Grant(ip_network("128.0.0.0/1"), (443,))])


def test_metadata_services_are_never_granted() -> None:
    assert grants.ip_block(ip_network("10.1.0.0/16")) == {"cidr": "10.1.0.0/16"}
    assert grants.ip_block(ip_network("160.0.0.0/4")) == {"cidr": "160.0.0.0/4", "except": ["169.254.0.0/16"]}
    for inside in ("169.254.169.254/32", "169.254.0.0/16", "fe80::/64", "fd00:ec2::254/128", "64:ff9b::a9fe:a9fe/128"):
        assert grants.ip_block(ip_network(inside)) is None
    wide = grants.ip_block(ip_network("fc00::/6"))
    assert wide == {
        "cidr": "fc00::/6",
        "except": ["fe80::/10", "fd00:ec2::/112", "fd20:ce::254/128", "fd00:42::42/128"],
    }


@given(st.sampled_from(["169.254.169.254", "fd00:ec2::254", "fe80::1", "64:ff9b::a9fe:a9fe"]), st.integers(0, 128))
def test_no_block_around_a_metadata_address_holds_it(address: str, prefix: int) -> None:
    metadata = ip_address(address)
    network = ip_network((int(metadata), min(prefix, metadata.max_prefixlen)), strict=False)
    if network.version != metadata.version:  # a small integer reads as IPv4
        return
    block = grants.ip_block(network)
    if block is not None:
        assert any(metadata in ip_network(excluded) for excluded in block["except"])
        assert all(ip_network(excluded).subnet_of(network) for excluded in block["except"])
