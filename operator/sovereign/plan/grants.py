"""Grants of egress as sets of (address, port), with the algebra that lets several policies only tighten.

Source: RFC 4632 (CIDR); NetworkPolicy ``ipBlock``.
"""

from collections import defaultdict
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Any, Final, NamedTuple

from sovereign.api.policy import Ports

Network = IPv4Network | IPv6Network

NEVER: Final[tuple[Network, ...]] = tuple(
    ip_network(cidr)
    for cidr in (
        "169.254.0.0/16",  # link-local: the metadata services of clouds
        "fe80::/10",  # link-local
        "fd00:ec2::/112",  # metadata services over IPv6
        "64:ff9b::a9fe:0/112",  # the IPv4 range, through NAT64 (RFC 6052)
    )
)
"""What no policy can grant. IPv4-mapped networks, which have no place on a wire, are refused by the CRD."""


class Grant(NamedTuple):
    """A network and the TCP ports that may be reached in it."""

    network: Network
    ports: tuple[int, ...]


def of(entries: Iterable[Ports]) -> tuple[Grant, ...]:
    """The grants that a policy states, in normal form."""
    return normal(Grant(ip_network(entry.cidr), tuple(entry.ports)) for entry in entries)


def normal(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """The one form of a set of grants: for each port the fewest networks. Equal sets have equal forms."""
    by_port: defaultdict[int, list[Network]] = defaultdict(list)
    for grant in grants:
        for port in grant.ports:
            by_port[port].append(grant.network)
    by_network: defaultdict[Network, list[int]] = defaultdict(list)
    for port in sorted(by_port):
        for network in collapse(by_port[port]):
            by_network[network].append(port)
    return tuple(Grant(network, tuple(by_network[network])) for network in sorted(by_network, key=_order))


def collapse(networks: Iterable[Network]) -> list[Network]:
    """The fewest networks that hold the same addresses, IPv4 first."""
    both = list(networks)
    v4 = collapse_addresses(network for network in both if isinstance(network, IPv4Network))
    v6 = collapse_addresses(network for network in both if isinstance(network, IPv6Network))
    return [*v4, *v6]


def intersection(left: Iterable[Grant], right: Iterable[Grant]) -> tuple[Grant, ...]:
    """What both sides grant, in normal form."""
    others = tuple(right)
    return normal(
        Grant(network, tuple(sorted({*one.ports} & {*other.ports})))
        for one in left
        for other in others
        if (network := overlap(one.network, other.network)) is not None
    )


def overlap(left: Network, right: Network) -> Network | None:
    """The smaller of two networks if it lies in the larger, else nothing: they never overlap in part."""
    if isinstance(left, IPv4Network) and isinstance(right, IPv4Network):
        return left if left.subnet_of(right) else right if right.subnet_of(left) else None
    if isinstance(left, IPv6Network) and isinstance(right, IPv6Network):
        return left if left.subnet_of(right) else right if right.subnet_of(left) else None
    return None


def everywhere(grants: Iterable[Grant]) -> bool:
    """Whether the grants for some port add up to all of IPv4 or IPv6, as 0.0.0.0/1 and 128.0.0.0/1 do."""
    return any(grant.network.prefixlen == 0 for grant in normal(grants))


def ip_block(network: Network) -> dict[str, Any] | None:
    """``network`` as a NetworkPolicy's ``ipBlock`` without what is in `NEVER`; nothing if none is left."""
    excluded = [never for never in NEVER if overlap(network, never) is not None]
    if any(overlap(network, never) == network for never in excluded):
        return None
    block: dict[str, Any] = {"cidr": str(network)}
    if excluded:
        block["except"] = [str(never) for never in excluded]
    return block


def _order(network: Network) -> tuple[int, int, int]:
    return (network.version, int(network.network_address), network.prefixlen)
