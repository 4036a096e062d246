"""The network between real nodes: a bridge, a namespace for each node, and one that plays the outside world.

Nodes reach each other on the bridge; what is not on it goes to the outside world's namespace, never to the machine's
uplink. The machine forwards nothing between the bridge and its other interfaces: an nftables table of our own says so.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from testbed.errors import TestbedError
from testbed.nodes.layout import SLOTS, Layout, RealNode
from testbed.nodes.machine import batch, run

_NAMESPACES = Path("/run/netns")
_INTERFACES = Path("/sys/class/net")
OUTSIDE4 = ("203.0.113.10", "203.0.113.20", "203.0.113.30", "203.0.113.53", "169.254.169.254", "198.51.100.10")
"""Addresses that the outside world answers on: RFC 5737 documentation, and the link-local metadata service."""
OUTSIDE6 = ("2001:db8::10", "2001:db8::53")
"""The same in IPv6: RFC 3849."""


def free_slot(taken: set[int]) -> int:
    """The first number whose names and addresses nobody on this machine uses.

    Raises:
        TestbedError: there is none; with what is in the way.
    """
    reasons = []
    for slot in SLOTS:
        layout = Layout(slot, (), "bridge")
        reason = "a cluster of yours" if slot in taken else _in_the_way(layout)
        if reason is None:
            return slot
        reasons.append(f"{layout.prefix}: {reason}")
    raise TestbedError("no names and addresses are free for real nodes: " + "; ".join(reasons))


def _in_the_way(layout: Layout) -> str | None:
    links = {link["ifname"] for link in json.loads(run("ip", "-json", "link", "show") or "[]")}
    if taken := sorted(name for name in links if name == layout.bridge or name.startswith(f"{layout.prefix}-")):
        return f"interface {taken[0]} is there"
    if taken := sorted(path.name for path in _NAMESPACES.glob(f"{layout.prefix}-*")):
        return f"network namespace {taken[0]} is there"
    routes = json.loads(run("ip", "-json", "route", "show", "root", str(layout.range4)) or "[]")
    if used := [route["dst"] for route in routes if route["dst"] != "default"]:
        return f"{used[0]} is routed"
    return None


def up(layout: Layout, ports: list[int]) -> None:
    """Make what is missing of bridge, namespaces, addresses and routes; the machine answers the bridge on `ports` alone.

    Raises:
        TestbedError: something cannot be made.
    """
    if not (_INTERFACES / layout.bridge).exists():
        _make_bridge(layout)
    run("nft", "-f", "-", stdin=_rules(layout, ports))
    if not _whole(f"{layout.prefix}-out"):
        _make_outside(layout)
    for node in layout.nodes:
        if not _whole(f"{layout.prefix}-{node.number}"):
            _make_node(layout, node)


def down(layout: Layout) -> None:
    """Remove all of it; what is not there is no error."""
    for path in _NAMESPACES.glob(f"{layout.prefix}-*"):
        run("ip", "netns", "delete", path.name)
    for path in [*_INTERFACES.glob(f"{layout.prefix}-*"), _INTERFACES / layout.bridge]:
        _delete(path.name)
    run("nft", "-f", "-", stdin=f"add table inet {layout.prefix}\ndelete table inet {layout.prefix}\n")


def throttle(layout: Layout, kilobits: int | None) -> None:
    """Let no more than this many kbit/s come from the outside world; None for as much as the machine can."""
    enter = ("ip", "netns", "exec", layout.outside, "tc", "qdisc")
    if kilobits is None:
        run(*enter, "delete", "dev", "eth0", "root")
    else:
        shape = ("tbf", "rate", f"{kilobits}kbit", "burst", "64kb", "latency", "200ms")
        run(*enter, "replace", "dev", "eth0", "root", *shape)


def sent_from_outside(layout: Layout) -> int:
    """Bytes that the outside world has sent to the bridge so far."""
    (link,) = json.loads(run("ip", "-n", layout.outside, "-json", "-statistics", "link", "show", "dev", "eth0"))
    return int(link["stats64"]["tx"]["bytes"])


def _make_bridge(layout: Layout) -> None:
    lines = [
        f"link add {layout.bridge} type bridge",
        f"addr add {layout.machine}/24 dev {layout.bridge}",
        f"addr add {layout.link6(1)}/64 dev {layout.bridge} nodad",
        f"link set {layout.bridge} up",
    ]
    # The machine answers pods: their packets arrive with their own addresses.
    lines += [
        f"route add {layout.pods4(node)} via {layout.address4(node)} dev {layout.bridge}" for node in layout.nodes
    ]
    batch("ip", lines, "-batch", "-")


def _rules(layout: Layout, ports: list[int]) -> str:
    allowed = ", ".join(map(str, ports))
    return f"""
        add table inet {layout.prefix}
        delete table inet {layout.prefix}
        table inet {layout.prefix} {{
          chain forward {{
            type filter hook forward priority -10; policy accept;
            iifname "{layout.bridge}" oifname != "{layout.bridge}" counter reject
            oifname "{layout.bridge}" iifname != "{layout.bridge}" counter reject
          }}
          chain input {{
            type filter hook input priority -10; policy accept;
            iifname != "{layout.bridge}" accept
            ct state established,related accept
            meta l4proto {{ icmp, ipv6-icmp }} accept
            tcp dport {{ {allowed} }} accept
            counter reject
          }}
        }}
    """


def _make_outside(layout: Layout) -> None:
    space = layout.outside
    _join(layout, space, f"{layout.prefix}-out", layout.gateway4, layout.gateway6)
    inside = [f"addr add {address}/32 dev lo" for address in OUTSIDE4]
    inside += [f"addr add {address}/128 dev lo nodad" for address in OUTSIDE6]
    for node in layout.nodes:
        inside.append(f"route add {layout.pods4(node)} via {layout.address4(node)} dev eth0")
        inside.append(f"route add {layout.pods6(node)} via {layout.address6(node)} dev eth0")
    batch("ip", inside, "-n", space, "-batch", "-")
    _finish(f"{layout.prefix}-out")


def _make_node(layout: Layout, node: RealNode) -> None:
    space = layout.namespace(node)
    _join(layout, space, f"{layout.prefix}-{node.number}", layout.address4(node), layout.address6(node))
    batch("ip", list(_routes(layout, node)), "-n", space, "-batch", "-")
    _finish(f"{layout.prefix}-{node.number}")


def _routes(layout: Layout, node: RealNode) -> Iterator[str]:
    yield f"route add default via {layout.gateway4}"
    yield f"route add ::/0 via {layout.gateway6}"
    for other in layout.nodes:
        if other != node:
            yield f"route add {layout.pods4(other)} via {layout.address4(other)}"
            yield f"route add {layout.pods6(other)} via {layout.address6(other)}"


def _join(layout: Layout, space: str, port: str, address4: str, address6: str) -> None:
    """A namespace with one interface, eth0, whose other end is a port of the bridge."""
    if (_NAMESPACES / space).exists():  # left by an `up` that was killed; nothing runs in it yet
        run("ip", "netns", "delete", space)
    _delete(port)
    run("ip", "netns", "add", space)
    lines = [
        f"link add {port} type veth peer name eth0 netns {space}",
        f"link set {port} master {layout.bridge} up",
    ]
    batch("ip", lines, "-batch", "-")
    inside = [
        "link set lo up",
        "link set eth0 up",
        f"addr add {address4}/24 dev eth0",
        f"addr add {address6}/64 dev eth0 nodad",
    ]
    batch("ip", inside, "-n", space, "-batch", "-")


def _delete(interface: str) -> None:
    """Remove an interface; the kernel may be about to do so itself, because the namespace of its other end is gone."""
    while (_INTERFACES / interface).exists():
        with contextlib.suppress(TestbedError):
            run("ip", "link", "delete", interface)


def _finish(port: str) -> None:
    # The last thing done: an `up` that was killed before is done over.
    run("ip", "link", "set", port, "alias", "complete")


def _whole(port: str) -> bool:
    alias = _INTERFACES / port / "ifalias"
    return alias.exists() and alias.read_text().strip() == "complete"
