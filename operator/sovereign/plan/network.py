"""NetworkPolicies: serving pods answer whom they may and reach nobody, import jobs reach the source alone.

Manifests are written as the API server stores them: empty lists left out, protocols stated.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from sovereign.api.meta import LABEL_COMPONENT, LABEL_MODEL, LABEL_POLICY, LABEL_POOL
from sovereign.api.pool import Peer
from sovereign.api.schema import LabelSelector
from sovereign.plan import grants, names
from sovereign.plan.children import child
from sovereign.plan.governance import NAMESPACE_NAME, Governance
from sovereign.plan.grants import Grant
from sovereign.plan.inventory import InferencePool, Manifest, Owner, Policy, Runtime, Settings, SovereignModel

API_VERSION: Final = "networking.k8s.io/v1"
_CLUSTER_DNS: Final[dict[str, Any]] = {
    "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: "kube-system"}},
    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
}


def serving_policy(pool: InferencePool, runtime: Runtime, governance: Governance, settings: Settings) -> Manifest:
    """The NetworkPolicy of a pool's pods: callers that pool and policies allow, egress as granted."""
    rule = {
        "from": _callers(pool, governance),
        "ports": [{"port": runtime.spec.port, "protocol": "TCP"}],
    }
    return _network_policy(
        names.serving(pool.owner.name),
        pool.owner,
        component="serving",
        own_label={LABEL_POOL: pool.owner.name},
        selector={LABEL_POOL: pool.owner.name},
        ingress=[rule],
        egress=_egress(governance.egress(), governance),
    )


def import_policy(model: SovereignModel, governance: Governance, settings: Settings) -> Manifest:
    """The NetworkPolicy of a model's import: egress that the policies grant to imports, and no ingress."""
    own = {LABEL_MODEL: model.owner.name}
    return _network_policy(
        names.importer(model.owner.name),
        model.owner,
        component="import",
        own_label=own,
        selector={LABEL_COMPONENT: "import", **own},
        ingress=[],
        egress=_egress(governance.import_egress(), governance),
    )


def default_deny(namespace: str, policy: Policy) -> Manifest:
    """The NetworkPolicy that shuts a governed namespace; what is open in it, another NetworkPolicy opens."""
    manifest = child(
        API_VERSION,
        "NetworkPolicy",
        names.default_deny(policy.name),
        policy.owner,
        component="network",
        extra_labels={LABEL_POLICY: policy.name},
        spec={"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
    )
    manifest["metadata"]["namespace"] = namespace
    return manifest


def merged(selectors: Iterable[LabelSelector]) -> dict[str, Any]:
    """One selector, as Kubernetes writes it, that holds where all of ``selectors`` hold, in any order.

    A key that must have two values stays as two expressions, which nothing satisfies: so it was asked.
    """
    wanted: defaultdict[str, set[str]] = defaultdict(set)
    expressions: set[tuple[str, str, tuple[str, ...]]] = set()
    for selector in selectors:
        for key, value in selector.match_labels.items():
            wanted[key].add(value)
        for one in selector.match_expressions:
            expressions.add((one.key, one.operator, tuple(sorted({*one.values}))))
    labels = {key: next(iter(values)) for key, values in sorted(wanted.items()) if len(values) == 1}
    expressions |= {(key, "In", (value,)) for key in wanted.keys() - labels.keys() for value in wanted[key]}
    result: dict[str, Any] = {"matchLabels": labels} if labels else {}
    if expressions:
        result["matchExpressions"] = [
            {"key": key, "operator": operator} | ({"values": list(values)} if values else {})
            for key, operator, values in sorted(expressions)
        ]
    return result


def _callers(pool: InferencePool, governance: Governance) -> list[dict[str, Any]]:
    """The pool's peers, each narrowed by what the policies allow."""
    allowed = governance.ingress_namespaces()
    peers = pool.spec.network.ingress_from or [Peer(pod_selector=LabelSelector())]
    named = bool(pool.spec.network.ingress_from)
    return [_caller(peer, allowed, governance.namespace, named=named) for peer in peers]


def _caller(peer: Peer, allowed: tuple[LabelSelector, ...], namespace: str, *, named: bool) -> dict[str, Any]:
    """One peer: both its selectors must hold, and without namespaceSelector it is the own namespace."""
    own = LabelSelector(match_labels={NAMESPACE_NAME: namespace})
    narrowing = list(allowed)
    if peer.namespace_selector is not None:
        narrowing = [peer.namespace_selector, *(allowed or (own,))]
    elif named and allowed:
        narrowing = [own, *allowed]
    result: dict[str, Any] = {}
    if narrowing:
        result["namespaceSelector"] = merged(narrowing)
    if not narrowing or (peer.pod_selector is not None and not peer.pod_selector.empty):
        result["podSelector"] = (peer.pod_selector or LabelSelector()).to_dict()
    return result


def _egress(granted: tuple[Grant, ...], governance: Governance) -> list[dict[str, Any]]:
    """Egress rules for ``granted``; name resolution only where there is something to resolve for."""
    rules = []
    for grant in granted:
        block = grants.ip_block(grant.network)
        if block is not None:
            ports = [{"port": port, "protocol": "TCP"} for port in grant.ports]
            rules.append({"ports": ports, "to": [{"ipBlock": block}]})
    return rules + _name_resolution(governance) if rules else []


def _name_resolution(governance: Governance) -> list[dict[str, Any]]:
    resolvers = governance.resolvers()
    if resolvers is None:
        peers = [_CLUSTER_DNS]
    else:
        blocks = [grants.ip_block(network) for network in resolvers]
        peers = [{"ipBlock": block} for block in blocks if block is not None]
    ports = [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    return [{"ports": ports, "to": peers}] if peers else []  # a rule with no peers would allow every destination


def _network_policy(
    name: str,
    owner: Owner,
    *,
    component: str,
    own_label: dict[str, str],
    selector: dict[str, str],
    ingress: list[dict[str, Any]],
    egress: list[dict[str, Any]],
) -> Manifest:
    spec: dict[str, Any] = {
        "podSelector": {"matchLabels": selector},
        "policyTypes": ["Ingress", "Egress"],
    }
    if ingress:
        spec["ingress"] = ingress
    if egress:
        spec["egress"] = egress
    return child(
        API_VERSION,
        "NetworkPolicy",
        name,
        owner,
        component=component,
        extra_labels=own_label,
        spec=spec,
    )
