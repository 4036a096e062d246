"""Which real nodes there are, and the names and addresses that everything of them has. No I/O.

Every name on the machine begins with the cluster's prefix (``svtb0``), every address is from the cluster's range
(10.160.0.0/16 for the first): what is there under neither is not ours and is never touched.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from testbed.errors import TestbedError

SLOTS = range(10)
"""Clusters with real nodes that one machine can have side by side."""
MAX_NODES = 40
PLUGINS = ("calico", "bridge")
"""Network plugins: one that enforces NetworkPolicy, and one that does not know it."""

_REGIONS = {"fr": "fr-par", "de": "de-fra", "us": "us-east"}
_PROVIDERS = {"fr": "seine-cloud", "de": "rhein-cloud", "us": "potomac-cloud"}
_GROUP = re.compile(r"([a-z]{2}):([1-9][0-9]?)")
_FIRST_HOST = 10


@dataclass(frozen=True)
class RealNode:
    """One node: its facts, and its place in the cluster's network."""

    name: str
    number: int
    region: str
    jurisdiction: str
    provider: str


@dataclass(frozen=True)
class Layout:
    """The nodes of one cluster, and everything's names and addresses."""

    slot: int
    nodes: tuple[RealNode, ...]
    plugin: str

    @property
    def prefix(self) -> str:
        """What every name on the machine begins with: bridge, namespaces, cgroups, nftables table."""
        return f"svtb{self.slot}"

    @property
    def bridge(self) -> str:
        """The bridge that joins nodes, the outside world and the machine."""
        return self.prefix

    @property
    def outside(self) -> str:
        """The network namespace that plays the outside world."""
        return f"{self.prefix}-outside"

    def namespace(self, node: RealNode) -> str:
        """The network namespace of a node."""
        return f"{self.prefix}-{node.name}"

    @property
    def range4(self) -> IPv4Network:
        """All IPv4 addresses of the cluster."""
        return IPv4Network(f"10.{160 + self.slot}.0.0/16")

    @property
    def range6(self) -> IPv6Network:
        """All IPv6 addresses of the cluster."""
        return IPv6Network(f"fd7a:5b:{self.slot}::/48")

    def link4(self, host: int) -> str:
        """An IPv4 address on the bridge."""
        return str(self.range4[host])

    def link6(self, host: int) -> str:
        """An IPv6 address on the bridge."""
        return str(self.range6[host])

    @property
    def machine(self) -> str:
        """The machine's own address on the bridge: API server and registry listen there."""
        return self.link4(1)

    @property
    def gateway4(self) -> str:
        """The outside world's IPv4 address on the bridge: the nodes' default route and resolver."""
        return self.link4(254)

    @property
    def gateway6(self) -> str:
        """The outside world's IPv6 address on the bridge."""
        return self.link6(254)

    def address4(self, node: RealNode) -> str:
        """A node's IPv4 address."""
        return self.link4(_FIRST_HOST + node.number)

    def address6(self, node: RealNode) -> str:
        """A node's IPv6 address."""
        return self.link6(_FIRST_HOST + node.number)

    def pods4(self, node: RealNode) -> str:
        """The IPv4 range of a node's pods."""
        return f"10.{160 + self.slot}.{_FIRST_HOST + node.number}.0/24"

    def pods6(self, node: RealNode) -> str:
        """The IPv6 range of a node's pods."""
        return f"fd7a:5b:{self.slot}:{_FIRST_HOST + node.number:x}::/64"

    @property
    def regions(self) -> list[str]:
        """The regions of the nodes, sorted."""
        return sorted({node.region for node in self.nodes})


def parse(text: str) -> tuple[RealNode, ...]:
    """Nodes from text such as ``fr:2,de:1,us:1``: how many in which jurisdiction.

    Raises:
        TestbedError: the text is something else, names a jurisdiction twice, or asks for too many.
    """
    groups = [_GROUP.fullmatch(part.strip().lower()) for part in text.split(",")]
    codes = [group[1] for group in groups if group]
    total = sum(int(group[2]) for group in groups if group)
    if not all(groups) or len(set(codes)) != len(codes):
        raise TestbedError(f"nodes {text!r}: write each jurisdiction once with a number, for example fr:2,de:1,us:1")
    if total > MAX_NODES:
        raise TestbedError(f"nodes {text!r}: at most {MAX_NODES} real nodes")
    return tuple(_numbered(codes, [int(group[2]) for group in groups if group]))


def _numbered(codes: list[str], counts: list[int]) -> Iterator[RealNode]:
    number = 0
    for code, count in zip(codes, counts, strict=True):
        for index in range(count):
            region, provider = _REGIONS.get(code, f"{code}-main"), _PROVIDERS.get(code, f"{code}-cloud")
            yield RealNode(f"{code}-{index + 1}", number, region, code.upper(), provider)
            number += 1
