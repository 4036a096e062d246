"""Networks and grants to fuzz with: they meet each other, the networks that nobody is granted, and the edges of both families."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from hypothesis import strategies as st

from sovereign.plan.grants import Grant, Network

METADATA: Final = (
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fd00:42::42",
    "fe80::a9fe:a9fe",
)
"""Where clouds tell machines who they are, and give them keys."""
EMBEDDED: Final = (
    "::169.254.169.254",  # IPv4-compatible
    "::ffff:169.254.169.254",  # IPv4-mapped
    "::ffff:0:169.254.169.254",  # IPv4-translated
    "64:ff9b::169.254.169.254",  # NAT64
    "64:ff9b::100.100.100.200",
    "64:ff9b::192.0.0.192",
    "64:ff9b:1:fffe::169.254.169.254",  # NAT64 of local use, RFC 6052 with /96
    "64:ff9b:1:a9fe:a9:fe00::",  # with /48
    "64:ff9b:1:a9:fe:a9fe::",
    "2002:a9fe:a9fe::1",  # 6to4
    "2001:0:a9fe:a9fe::1",  # Teredo
)
"""The same, seen through translators and tunnels."""
_EDGES: Final = (
    *METADATA,
    *EMBEDDED,
    "0.0.0.0",
    "128.0.0.0",
    "10.0.0.0",
    "255.255.255.255",
    "::",
    "8000::",
    "2000::",
    "64:ff9b::",
    "64:ff9b::8000:0",
    "64:ff9b::c000:0",
    "fd00::",
)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """A network around, or beside, an address that matters."""
    base = ip_network(draw(st.sampled_from(_EDGES)))
    prefix = draw(st.integers(0, base.max_prefixlen))
    kind = IPv4Network if base.version == 4 else IPv6Network
    network = kind((int(base.network_address), prefix), strict=False)
    if prefix and draw(st.booleans()):  # its twin, with which it adds up to the next larger one
        twin = int(network.network_address) ^ (1 << (network.max_prefixlen - prefix))
        return kind((twin, prefix))
    return network


@st.composite
def shares(draw: st.DrawFn) -> list[Network]:
    """A network cut into parts, most of the time all of them."""
    whole = ip_network(
        draw(st.sampled_from(["0.0.0.0/0", "::/0", "64:ff9b::/96", "10.0.0.0/8", "2000::/3", "64:ff9b::/97"]))
    )
    parts: list[Network] = [whole]
    for _ in range(draw(st.integers(0, 12))):
        index = draw(st.integers(0, len(parts) - 1))
        if parts[index].prefixlen < parts[index].max_prefixlen:
            parts[index : index + 1] = parts[index].subnets()
    if draw(st.integers(0, 3)) == 0:
        parts.pop(draw(st.integers(0, len(parts) - 1)))
    return parts


ports = st.lists(st.sampled_from([53, 80, 443, 65535]), min_size=1, max_size=3, unique=True)


@st.composite
def stated(draw: st.DrawFn) -> list[Grant]:
    """What a policy may state: networks one by one, and some that add up."""
    found = [Grant(network, tuple(draw(ports))) for network in draw(st.lists(networks(), max_size=6))]
    for share in draw(st.lists(shares(), max_size=2)):
        granted = tuple(draw(ports))
        found += [Grant(network, granted) for network in share]
    return draw(st.permutations(found))
