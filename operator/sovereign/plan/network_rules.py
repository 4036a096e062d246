"""What NetworkPolicies must be in governed namespaces: they add up, so that one too wide undoes all that close.

A tenant's own applications need some. Egress is held to what is proven closed: pods of the same namespace, the
cluster's DNS, what the policy grants. Ingress is the tenant's affair, except to pods with weights. The rules are judged
whatever ``policyTypes`` says, and so is what other policies leave inert. The operator's own writes are not judged.

Source: the API reference of NetworkPolicy v1, and the CEL library ``kubernetes.net.cidr``, which knows no IPv4-mapped
addresses and no leading zeros, both of which the API server stores.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from sovereign.api.meta import LABEL_MODEL
from sovereign.api.schema import CIDR_MESSAGE
from sovereign.plan import canary_requests, grants, names
from sovereign.plan.cel import Cel, all_of, any_of, choose, code, integers, quote, sentence, strings, variable
from sovereign.plan.grants import Network
from sovereign.plan.inventory import Policy, Settings
from sovereign.plan.rules import SPEC_CHANGES, Rules, Validation, by_controllers, by_others, resources

_GROUP: Final = ("networking.k8s.io", "v1")
_POLICIES: Final = resources(*_GROUP, ["CREATE", "UPDATE"], ["networkpolicies"])
_DENIES: Final = resources(*_GROUP, ["CREATE", "UPDATE", "DELETE"], ["networkpolicies"])

_GRANTS_SHOWN: Final = 3

_NAME: Final = code("object.metadata.?name.orValue('')")
_EGRESS: Final = variable("egress")
_VARIABLES: Final = (
    ("egress", code("object.spec.?egress.orValue([])")),
    ("ingress", code("object.spec.?ingress.orValue([])")),
)

# In these, `r` is a rule of egress, `p` one of its peers, `b` an ipBlock, `q` a port.
_TO: Final = code("r.?to.orValue([])")
_PORTS: Final = code("r.?ports.orValue([])")
_SELECTED: Final = _TO.where("p", code("!has(p.ipBlock)"))
_BLOCKS: Final = _TO.where("p", code("has(p.ipBlock)")).each("p", code("p.ipBlock"))
_OWN_PODS: Final = code("has(p.podSelector) && !has(p.namespaceSelector)")
# Whatever else the selectors say only narrows them.
_DNS_PODS: Final = code(
    "p.?namespaceSelector.?matchLabels[?'kubernetes.io/metadata.name'].orValue('') == 'kube-system' && "
    "p.?podSelector.?matchLabels[?'k8s-app'].orValue('') == 'kube-dns'"
)
_ONE_PORT: Final = code("has(q.port) && (!has(q.endPort) || q.endPort == q.port)")
_NETWORK: Final = code("isCIDR(b.cidr) && cidr(b.cidr) == cidr(b.cidr).masked()")
_SOME_PORTS: Final = code("r.?ports.orValue([]).size() > 0")
_PROTOCOL: Final = code("q.?protocol.orValue('TCP')")

_SELECTOR_TEXT: Final = sentence(
    "{",
    code(
        "p.?namespaceSelector.?matchLabels.orValue({}).map(k, k + ': ' + p.namespaceSelector.matchLabels[k]) + "
        "p.?namespaceSelector.?matchExpressions.orValue([]).map(e, e.key + ' ' + e.operator)"
    ).joined(", "),
    "}",
)


class Opening(NamedTuple):
    """What egress may reach: a network, ports in it, and their protocols."""

    network: Network
    ports: tuple[int, ...]
    protocols: tuple[str, ...]


def network_rules(policy: Policy, settings: Settings) -> Iterator[Rules]:
    """The rules about everybody's NetworkPolicies, and about the default-deny."""
    whose = f"policy {policy.name}: "
    validations = (*_egress(policy, whose), _ingress(whose))
    conditions = (by_others(settings), SPEC_CHANGES)
    yield Rules("network", (_POLICIES,), validations, _VARIABLES, conditions, canary=canary_requests.open_network())
    yield _default_deny(policy, settings, whose)


def openings(policy: Policy) -> tuple[Opening, ...]:
    """All that egress to addresses may reach because of ``policy``, in the fewest networks for each port.

    Grants that add up to everything, of which the policy is told, open nothing.
    """
    network = policy.spec.network
    every = [
        *(Opening(*grant, ("TCP",)) for grant in grants.bounded(grants.of(network.egress))),
        *(Opening(*grant, ("TCP", "UDP")) for grant in grants.bounded(grants.dns(network.dns))),
    ]
    return tuple(opening for opening in every if grants.ip_block(opening.network) is not None)


# --- egress -------------------------------------------------------------------------------------------


def _egress(policy: Policy, whose: str) -> Iterator[Validation]:
    cluster_dns = not policy.spec.network.dns.resolvers
    open_to = openings(policy)
    yield _peers_named(whose)
    yield _selectors(whose, cluster_dns=cluster_dns)
    if cluster_dns:
        yield _dns_ports(whose)
    yield _plain_networks(whose)
    yield _granted_networks(whose, open_to)
    yield _granted_ports(whose, open_to)
    yield from _never(whose, open_to)


def _peers_named(whose: str) -> Validation:
    return _wrong(
        _EGRESS.every("r", code("r.?to.orValue([]).size() > 0")),
        whose,
        "has an egress rule without 'to', which reaches every address; name its peers: podSelector for pods of "
        "this namespace, ipBlock for a network that the policy's network.egress grants",
    )


def _selectors(whose: str, *, cluster_dns: bool) -> Validation:
    """Peers by labels: the own namespace's pods, and those of the cluster's DNS unless the policy names resolvers."""
    lawful = any_of([_OWN_PODS, _DNS_PODS] if cluster_dns else [_OWN_PODS])
    besides = (
        ", or the cluster's DNS by namespaceSelector {kubernetes.io/metadata.name: kube-system} with podSelector "
        "{k8s-app: kube-dns}"
        if cluster_dns
        else ", and the policy's resolvers by ipBlock with port 53"
    )
    return _wrong(
        _EGRESS.every("r", _SELECTED.every("p", lawful)),
        whose,
        "has egress to pods by namespaceSelector",
        _per_rule(_SELECTED.where("p", ~lawful).each("p", _SELECTOR_TEXT).joined(", ")),
        f", which may be anywhere; select pods of this namespace by podSelector alone{besides}",
    )


def _dns_ports(whose: str) -> Validation:
    port = all_of([_ONE_PORT, code("q.port == 53"), _PROTOCOL.within(strings(["TCP", "UDP"]))])
    lawful = _SOME_PORTS & _PORTS.every("q", port)
    asks = _SELECTED.some("p", ~_OWN_PODS & _DNS_PODS)
    return _wrong(
        _EGRESS.every("r", ~asks | lawful),
        whose,
        "reaches the cluster's DNS pods on other ports than 53:",
        _EGRESS.where("r", asks & ~lawful).each("r", _PORTS_TEXT).joined("; "),
        "; give DNS an egress rule of its own with port 53, protocols UDP and TCP",
    )


def _plain_networks(whose: str) -> Validation:
    return _wrong(
        _EGRESS.every("r", _BLOCKS.every("b", _NETWORK)),
        whose,
        "has egress to ipBlock",
        _per_rule(_BLOCKS.where("b", ~_NETWORK).each("b", code("b.cidr")).joined(", ")),
        f", which can be read in several ways; {CIDR_MESSAGE}, and an IPv4 network as IPv4",
    )


def _granted_networks(whose: str, open_to: tuple[Opening, ...]) -> Validation:
    inside = _NETWORK & any_of(_holds(opening) for opening in open_to)
    return _wrong(
        _EGRESS.every("r", _BLOCKS.every("b", inside)),
        whose,
        "has egress to ipBlock",
        _per_rule(_BLOCKS.where("b", ~inside).each("b", code("b.cidr")).joined(", ")),
        f", which is not inside a network that is granted; {_advice(open_to)}",
    )


def _granted_ports(whose: str, open_to: tuple[Opening, ...]) -> Validation:
    granted = _SOME_PORTS & _BLOCKS.every("b", _PORTS.every("q", _port_granted(open_to)))
    lawful = code("%s.size() == 0").filled(_BLOCKS) | granted
    return _wrong(
        _EGRESS.every("r", lawful),
        whose,
        "has egress to ipBlock",
        _EGRESS.where("r", ~lawful).each("r", _BLOCK_RULE_TEXT).joined("; "),
        f", which is not granted; name each port by its number, without endPort; {_advice(open_to)}",
    )


def _never(whose: str, open_to: tuple[Opening, ...]) -> Iterator[Validation]:
    """Metadata services, where a grant is so wide that they lie in it."""
    touched = [
        str(never)
        for never in grants.NEVER
        if any(grants.overlap(opening.network, never) is not None for opening in open_to)
    ]
    if not touched:
        return
    meets = code("cidr(%s).containsCIDR(b.cidr) || cidr(b.cidr).containsCIDR(%s)")
    left_out = code("b.?except.orValue([]).exists(e, isCIDR(e) && cidr(e).containsCIDR(%s))")
    lawful = _NETWORK & all_of(
        ~meets.filled(quote(never), quote(never)) | left_out.filled(quote(never)) for never in touched
    )
    yield _wrong(
        _EGRESS.every("r", _BLOCKS.every("b", lawful)),
        whose,
        "has egress to ipBlock",
        _per_rule(_BLOCKS.where("b", ~lawful).each("b", code("b.cidr")).joined(", ")),
        ", which meets the link-local addresses of metadata services, and those no policy grants; put into its "
        f"except what it meets of {', '.join(touched)}",
    )


def _holds(opening: Opening) -> Cel:
    return code("cidr(%s).containsCIDR(b.cidr)").filled(quote(str(opening.network)))


def _port_granted(open_to: tuple[Opening, ...]) -> Cel:
    """Whether the port `q` may be reached in all of `b`.

    One opening must hold all of it: where several do together, `grants.normal` has made them one.
    """
    granted = any_of(
        all_of(
            [
                _holds(opening),
                code("q.port").within(integers(opening.ports)),
                _PROTOCOL.within(strings(opening.protocols)),
            ]
        )
        for opening in open_to
    )
    return _NETWORK & _ONE_PORT & granted


def _advice(open_to: tuple[Opening, ...]) -> str:
    """What a tenant may write instead."""
    if not open_to:
        return "the policy's network.egress grants none; leave it out, or have it granted there"
    shown = [f"{one.network} port {', '.join(map(str, one.ports))}" for one in open_to[:_GRANTS_SHOWN]]
    more = f" and {len(open_to) - _GRANTS_SHOWN} more" if len(open_to) > _GRANTS_SHOWN else ""
    return f"the policy grants {'; '.join(shown)}{more}; keep within, or have it added to network.egress"


_PORT_TEXT: Final = code(
    "q.?protocol.orValue('TCP') + ' ' + (has(q.port) ? string(q.port) : 'any') + "
    "(has(q.endPort) ? '-' + string(q.endPort) : '')"
)
_PORTS_TEXT: Final = choose(
    code("r.?ports.orValue([]).size() == 0"), quote("every port"), _PORTS.each("q", _PORT_TEXT).joined(", ")
)
_BLOCK_RULE_TEXT: Final = sentence(_BLOCKS.each("b", code("b.cidr")).joined(", "), " on ", _PORTS_TEXT)


# --- ingress ------------------------------------------------------------------------------------------


def _ingress(whose: str) -> Validation:
    excluded = code(
        "object.spec.?podSelector.?matchExpressions.orValue([]).exists(e, e.key == %s && e.operator == 'DoesNotExist')"
    ).filled(quote(LABEL_MODEL))
    return _wrong(
        code("variables.ingress.size() == 0") | excluded,
        whose,
        "has ingress rules and could select pods with weights, whose callers are said by the pool's "
        f"network.ingressFrom; add {{key: {LABEL_MODEL}, operator: DoesNotExist}} to spec.podSelector.matchExpressions",
    )


# --- the policy's own ---------------------------------------------------------------------------------


def _default_deny(policy: Policy, settings: Settings, whose: str) -> Rules:
    """Nobody takes away what shuts the namespace, or its name before it is there.

    An owner that does not exist would have it collected as garbage. Whoever empties a namespace, and the garbage
    collector when the policy has gone, must come through.
    """
    name = names.default_deny(policy.name)
    stored = code("(request.operation == 'DELETE' ? oldObject : object).metadata.?name.orValue('') == %s")
    emptied = code("request.operation == 'DELETE' && has(namespaceObject.metadata.deletionTimestamp)")
    collected = by_controllers("generic-garbage-collector")
    return Rules(
        "default-deny",
        (_DENIES,),
        (
            Validation(
                emptied | collected,
                f"{whose}NetworkPolicy {name} shuts this namespace, and is the operator's alone; leave it, and open what "
                "is to be open with a NetworkPolicy of your own",
            ),
        ),
        conditions=(
            by_others(settings),
            ("default-deny", stored.filled(quote(name))),
            (
                "changes",
                code(
                    "request.operation != 'UPDATE' || object.spec != oldObject.spec || "
                    "object.metadata.?ownerReferences.orValue([]) != oldObject.metadata.?ownerReferences.orValue([])"
                ),
            ),
        ),
        canary=canary_requests.default_deny(policy),
    )


# --- messages -----------------------------------------------------------------------------------------


def _per_rule(text: Cel) -> Cel:
    """``text`` for each rule of egress, where it is not empty, as one string."""
    return _EGRESS.each("r", text).where("s", code("s != ''")).joined(", ")


def _wrong(condition: Cel, whose: str, what: str, found: Cel | None = None, advice: str = "") -> Validation:
    """A rule whose breach is said as: policy, NetworkPolicy and its name, ``what``, what was found, ``advice``."""
    quoted: list[str | Cel] = [] if found is None else [" ", found]
    explanation = sentence(f"{whose}NetworkPolicy ", _NAME, f" {what}", *quoted, *([advice] if advice else []))
    return Validation(condition, f"{whose}the NetworkPolicy {what}{advice}", explanation)


__all__ = ["Opening", "network_rules", "openings"]
