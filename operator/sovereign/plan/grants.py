"""Grants of egress as sets of (address, port), with the algebra that lets several policies only tighten.

Source: RFC 4632 (CIDR); NetworkPolicy ``ipBlock``; RFC 6052 (NAT64).
"""

from collections import defaultdict
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Any, Final, NamedTuple

from sovereign.api.policy import Dns, Ports

Network = IPv4Network | IPv6Network
DNS_PORT: Final = 53

_METADATA: Final = tuple(
    map(
        IPv4Network,
        (
            "169.254.0.0/16",  # link-local: the metadata services of most clouds
            "100.100.100.200/32",  # Alibaba Cloud
            "192.0.0.192/32",  # Oracle Cloud
        ),
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
"""Whose last 32 bits are an IPv4 address (RFC 6052)."""


def _by_nat64(network: IPv4Network) -> IPv6Network:
    return IPv6Network(
        (int(_NAT64.network_address) | int(network.network_address), _NAT64.prefixlen + network.prefixlen)
    )


NEVER: Final[tuple[Network, ...]] = (
    *_METADATA,
    # What has an IPv4 address in it where the place can be told. The others have it anywhere, or are no one's any more.
    *map(_by_nat64, _METADATA),
    *map(
        IPv6Network,
        (
            "::/64",  # IPv4-compatible, -mapped and -translated addresses (RFC 4291, RFC 2765); no place on a wire
            "64:ff9b:1::/48",  # NAT64 of local use: where the IPv4 address is, only the translator knows (RFC 8215)
            "2001::/32",  # Teredo (RFC 4380)
            "2002::/16",  # 6to4 (RFC 3056, given up by RFC 7526)
            "fe80::/10",  # link-local
            "fd00:ec2::/112",  # AWS's metadata services
            "fd20:ce::254/128",  # Google Cloud's
            "fd00:42::42/128",  # Scaleway's
        ),
    ),
)
"""What no policy can grant: metadata services, and addresses that may stand for one of them or for any IPv4 address."""

_NOT_PUBLIC: Final[tuple[Network, ...]] = tuple(
    map(
        ip_network,
        (
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
            "::/3",
            "2001::/23",
            "2001:db8::/32",
            "2002::/16",
            "3fff::/20",
            "4000::/2",
            "8000::/1",
        ),
    )
)
"""Addresses that are not of the internet (IANA's special-purpose registries). Who grants all others has granted the internet."""


class Grant(NamedTuple):
    """A network and the TCP ports that may be reached in it."""

    network: Network
    ports: tuple[int, ...]


def of(entries: Iterable[Ports]) -> tuple[Grant, ...]:
    """The grants that a policy states, in normal form."""
    return normal(Grant(ip_network(entry.cidr), tuple(entry.ports)) for entry in entries)


def dns(servers: Dns) -> tuple[Grant, ...]:
    """The DNS servers that a policy names, in normal form."""
    return normal(Grant(ip_network(cidr), (DNS_PORT,)) for cidr in servers.resolvers)


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
    """Whether the grants for some port add up to the whole internet, as 0.0.0.0/1 and 128.0.0.0/1 do."""
    stated = normal(grants)
    return bounded(stated) != stated


def bounded(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """``grants`` in normal form, without the ports for which they add up to the whole internet: those open nothing."""
    stated = normal(grants)
    ports = {port for grant in stated for port in grant.ports}
    open_to_all = {port for port in ports if _all_public(grant.network for grant in stated if port in grant.ports)}
    return tuple(
        Grant(network, left)
        for network, granted in stated
        if (left := tuple(port for port in granted if port not in open_to_all))
    )


def _all_public(networks: Iterable[Network]) -> bool:
    """Whether ``networks`` hold every public address of a family, IPv4 by way of NAT64 included."""
    stated = list(networks)
    through = [block for network in stated if (block := _through_nat64(network)) is not None]
    return any(network.prefixlen == 0 for network in collapse([*stated, *through, *_NOT_PUBLIC]))


def _through_nat64(network: Network) -> IPv4Network | None:
    """What of IPv4 is reached through ``network``."""
    common = overlap(network, _NAT64)
    if common is None:
        return None
    return IPv4Network((int(common.network_address) & 0xFFFFFFFF, common.prefixlen - _NAT64.prefixlen))


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
