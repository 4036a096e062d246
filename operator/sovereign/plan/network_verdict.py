"""What `network_rules` would say of a NetworkPolicy that is there, without asking the API server.

The same rules a second time, in Python: rules judge requests, and not what was stored before them. A test holds the two together on a
real API server. NetworkPolicies add up, so that each is judged by itself: what all of them open is within what is granted exactly when
what each of them opens is.
"""

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv6Address, IPv6Network, ip_network
from typing import Any, Final, NamedTuple

from sovereign.api.meta import LABEL_MODEL
from sovereign.plan import grants
from sovereign.plan.governance import NAMESPACE_NAME
from sovereign.plan.grants import Network
from sovereign.plan.inventory import Policy
from sovereign.plan.network_rules import Opening, openings

_DNS_PORT: Final = 53
_CIDR: Final = re.compile(r"[0-9A-Fa-f:.]+/(?:0|[1-9][0-9]{0,2})", re.ASCII)


class Opened(NamedTuple):
    """What a NetworkPolicy opens that it may not."""

    direction: str
    """Egress or Ingress."""
    what: str


def opened(policy: Policy, spec: Mapping[str, Any]) -> tuple[Opened, ...]:
    """What ``policy`` would refuse of a NetworkPolicy with this spec, whatever its policyTypes."""
    return (*(Opened("Egress", what) for what in _egress(policy, spec)), *_ingress(spec))


def active(spec: Mapping[str, Any], direction: str) -> bool:
    """Whether the rules of a direction are in effect: the API server fills in policyTypes."""
    return direction in (spec.get("policyTypes") or ())


def could_select(spec: Mapping[str, Any], labels: Mapping[str, str], unknown: frozenset[str]) -> bool:
    """Whether a NetworkPolicy selects pods with these labels; those with a key in ``unknown`` may have any value, or none."""
    selector = spec.get("podSelector") or {}
    if any(
        key not in unknown and labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()
    ):
        return False
    return all(one["key"] in unknown or _holds(one, labels) for one in selector.get("matchExpressions") or ())


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value is not None and value in values
        case "NotIn":
            return value is None or value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None


# --- egress -------------------------------------------------------------------------------------------


def _egress(policy: Policy, spec: Mapping[str, Any]) -> Iterator[str]:
    rules = spec.get("egress") or ()
    if not rules:
        return
    cluster_dns = not policy.spec.network.dns.resolvers
    open_to = openings(policy)
    touched = [never for never in grants.NEVER if any(grants.overlap(one.network, never) for one in open_to)]
    for rule in rules:
        peers, ports = rule.get("to") or (), rule.get("ports") or ()
        if not peers:
            yield "has an egress rule without 'to', which reaches every address"
        for peer in peers:
            if "ipBlock" in peer:
                wrong = _block(peer["ipBlock"], ports, open_to, touched)
                if wrong:
                    yield wrong
            elif not _own_pods(peer):
                if not (cluster_dns and _dns_pods(peer)):
                    yield "has egress to pods by namespaceSelector, which may be anywhere"
                elif not ports or not all(_dns_port(port) for port in ports):
                    yield "reaches the cluster's DNS pods on other ports than 53"


def _own_pods(peer: Mapping[str, Any]) -> bool:
    return "podSelector" in peer and "namespaceSelector" not in peer


def _dns_pods(peer: Mapping[str, Any]) -> bool:
    def label(selector: str, key: str) -> object:
        return ((peer.get(selector) or {}).get("matchLabels") or {}).get(key)

    return label("namespaceSelector", NAMESPACE_NAME) == "kube-system" and label("podSelector", "k8s-app") == "kube-dns"


def _one_port(port: Mapping[str, Any]) -> bool:
    return "port" in port and port.get("endPort", port["port"]) == port["port"]


def _dns_port(port: Mapping[str, Any]) -> bool:
    return _one_port(port) and port["port"] == _DNS_PORT and port.get("protocol", "TCP") in ("TCP", "UDP")


def _block(block: Mapping[str, Any], ports: Any, open_to: tuple[Opening, ...], touched: list[Network]) -> str | None:
    """What is wrong with egress to one ipBlock."""
    shown = f"has egress to ipBlock {block.get('cidr')}"
    network = _network(block.get("cidr", ""))
    if network is None:
        return f"{shown}, which can be read in several ways"
    holding = [one for one in open_to if _contains(one.network, network)]
    if not holding:
        return f"{shown}, which is not inside a network that is granted"
    if not ports or not all(_granted(port, holding) for port in ports):
        return f"{shown} on ports that are not granted"
    excepted = [one for text in block.get("except") or () if (one := _sloppy(text)) is not None]
    for never in touched:
        meets = grants.overlap(network, never) is not None
        if meets and not any(_contains(one, never) for one in excepted):
            return f"{shown}, which meets the link-local addresses of metadata services"
    return None


def _granted(port: Mapping[str, Any], holding: list[Opening]) -> bool:
    return _one_port(port) and any(
        port["port"] in one.ports and port.get("protocol", "TCP") in one.protocols for one in holding
    )


def _contains(outer: Network, inner: Network) -> bool:
    return grants.overlap(outer, inner) == inner


def _network(cidr: str) -> Network | None:
    """A network as CEL's ``isCIDR`` has it, without bits beyond its prefix."""
    found = _sloppy(cidr)
    try:
        return ip_network(cidr) if found is not None else None
    except ValueError:
        return None


def _sloppy(cidr: str) -> Network | None:
    """As Go's ``netip.ParsePrefix``, bits beyond the prefix masked; no IPv4-mapped addresses."""
    if _CIDR.fullmatch(cidr) is None:
        return None
    try:
        network = ip_network(cidr, strict=False)
    except ValueError:
        return None
    mapped = isinstance(network, IPv6Network) and _mapped(cidr)
    return None if mapped else network


def _mapped(cidr: str) -> bool:
    return IPv6Address(cidr.partition("/")[0]).ipv4_mapped is not None


# --- ingress ------------------------------------------------------------------------------------------


def _ingress(spec: Mapping[str, Any]) -> Iterator[Opened]:
    expressions = (spec.get("podSelector") or {}).get("matchExpressions") or ()
    excluded = any(one["key"] == LABEL_MODEL and one["operator"] == "DoesNotExist" for one in expressions)
    if spec.get("ingress") and not excluded:
        yield Opened("Ingress", "has ingress rules and could select pods with weights")
