"""NetworkPolicies that would open a governed namespace, tried by its tenant and its administrator on a real API server."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from sovereign.api.meta import LABEL_MODEL, LABEL_POOL
from sovereign.api.model import ModelSpec
from sovereign.api.pool import PoolSpec
from sovereign.api.runtime import RuntimeSpec
from sovereign.plan.governance import NAMESPACE_NAME, Governance
from sovereign.plan.inventory import InferencePool, Manifest, Owner, Runtime, Settings, SovereignModel
from sovereign.plan.network import import_policy, serving_policy
from tests.integration.actors import admin, operator
from tests.integration.api import Answer, Api, address
from tests.integration.conftest import TEST_LABEL, Kubectl, make_namespace, make_tenant
from tests.integration.enforcement import (
    InForce,
    assert_no_type_warnings,
    enforce,
    eventually,
    make_policy,
    network_policy,
    settings,
)

pytestmark = pytest.mark.integration

NETWORK = {
    "egress": [
        {"cidr": "10.2.0.0/17", "ports": [443, 5432]},
        {"cidr": "10.2.128.0/17", "ports": [443]},
        {"cidr": "160.0.0.0/4", "ports": [443]},
        {"cidr": "fd00:1::/64", "ports": [443]},
    ],
}
HTTPS = [{"port": 443, "protocol": "TCP"}]
NO_MODELS = {"matchExpressions": [{"key": LABEL_MODEL, "operator": "DoesNotExist"}]}
CLUSTER_DNS = {
    "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: "kube-system"}},
    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
}
DNS_PORTS = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]


@dataclass(frozen=True)
class Closed(InForce):
    """A governed namespace that the operator has shut, and who is in it."""

    operator: Api
    tenant: Api
    admin: Api
    namespace: str
    deny: Manifest

    def try_(self, name: str = "example", **spec: Any) -> Answer:
        """What the tenant is told of a NetworkPolicy."""
        return self.tenant.create(network_policy(self.namespace, name, **spec), dry_run=True)


def _close(api: Api, kubectl: Kubectl, name: str, **spec: Any) -> Closed:
    namespace = make_namespace(api, kubectl, name, {TEST_LABEL: name})
    enforcement = enforce(api, make_policy(api, namespace, **spec), namespace, settings(api))
    (deny,) = enforcement.plan.network
    answer = operator(api).apply(deny)
    assert answer.ok, answer.message
    return Closed(enforcement, operator(api), make_tenant(api, namespace), admin(api, namespace), namespace, deny)


@pytest.fixture(scope="module")
def closed(api: Api, kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[Closed]:
    """One namespace for all tests of this module that leave nothing behind."""
    worker = getattr(request.config, "workerinput", {}).get("workerid", "one")
    made = _close(api, kubectl, f"network-{worker}", network=NETWORK)
    yield made
    kubectl("delete", "namespace", made.namespace, "--wait")  # what shuts it does not stand in the way
    made.enforcement.remove()


def _to(cidr: str, *ports: Any, **block: Any) -> dict[str, Any]:
    """An egress rule to a network, by default on 443."""
    return {"to": [{"ipBlock": {"cidr": cidr, **block}}], "ports": list(ports) or HTTPS}


# --- what applications need -----------------------------------------------------------------------------

_LAWFUL: dict[str, dict[str, Any]] = {
    "nothing": {},
    "no egress": {"policyTypes": ["Egress"]},
    "neither": {"policyTypes": ["Ingress", "Egress"]},
    "own namespace": {"egress": [{"to": [{"podSelector": {}}]}]},
    "own pods": {"egress": [{"to": [{"podSelector": {"matchLabels": {"app": "x"}}}], "ports": [{"port": "http"}]}]},
    "DNS": {"egress": [{"to": [CLUSTER_DNS], "ports": DNS_PORTS}]},
    "DNS of one name": {
        "egress": [
            {
                "to": [CLUSTER_DNS | {"podSelector": {"matchLabels": {"k8s-app": "kube-dns", "version": "1"}}}],
                "ports": [{"port": 53, "endPort": 53, "protocol": "UDP"}],
            }
        ]
    },
    "a grant": {"egress": [_to("10.2.0.0/17")]},
    "two grants that are one": {"egress": [_to("10.2.0.0/16")]},
    "a part of a grant": {"egress": [_to("10.2.3.0/24", {"port": 443}, {"port": 5432, "endPort": 5432})]},
    "a part less a part": {"egress": [_to("10.2.3.0/24", **{"except": ["10.2.3.128/25"]})]},
    "IPv6": {"egress": [_to("fd00:1::/96")]},
    "a wide grant less metadata": {"egress": [_to("160.0.0.0/4", **{"except": ["169.254.0.0/16"]})]},
    "a part of a wide grant": {"egress": [_to("161.0.0.0/8")]},
    "all of it": {
        "podSelector": NO_MODELS,
        "ingress": [{}],
        "egress": [{"to": [CLUSTER_DNS], "ports": DNS_PORTS}, _to("10.2.3.0/24"), {"to": [{"podSelector": {}}]}],
    },
    "ingress to all but models": {"podSelector": NO_MODELS, "ingress": [{}]},
    "ingress to an application": {
        "podSelector": {"matchLabels": {"app": "front"}, **NO_MODELS},
        "ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": HTTPS}],
    },
}


@pytest.mark.parametrize("name", _LAWFUL)
def test_what_an_application_needs_is_accepted(closed: Closed, name: str) -> None:
    for who in (closed.tenant, closed.admin):
        answer = who.create(network_policy(closed.namespace, **_LAWFUL[name]), dry_run=True)
        assert answer.ok, answer.message


# --- what would open the namespace ----------------------------------------------------------------------

_GRANTED = "the policy grants 10.2.0.0/16 port 443; 10.2.0.0/17 port 5432; 160.0.0.0/4 port 443 and 1 more"
_EVERYWHERE = "NetworkPolicy example has an egress rule without 'to', which reaches every address"
_EXCLUDE = f"add {{key: {LABEL_MODEL}, operator: DoesNotExist}} to spec.podSelector.matchExpressions"
_OTHERS = {"namespaceSelector": {"matchLabels": {"team": "web"}}}
_OPEN: dict[str, tuple[dict[str, Any], str]] = {
    "egress": ({"egress": [{}]}, _EVERYWHERE),
    "egress that is inert": ({"egress": [{}], "policyTypes": ["Ingress"]}, _EVERYWHERE),
    "both": ({"egress": [{}], "ingress": [{}]}, _EVERYWHERE),
    "egress on a port": ({"egress": [{"ports": HTTPS}]}, _EVERYWHERE),
    "egress to an empty list": ({"egress": [{"to": [], "ports": HTTPS}]}, _EVERYWHERE),
    "a second rule": ({"egress": [{"to": [{"podSelector": {}}]}, {}]}, _EVERYWHERE),
    "ingress": ({"ingress": [{}]}, "NetworkPolicy example has ingress rules and could select pods with weights"),
    "ingress and what to add": ({"ingress": [{}]}, _EXCLUDE),
    "ingress that is inert": ({"ingress": [{}], "policyTypes": ["Egress"]}, _EXCLUDE),
    "ingress to a pool": ({"podSelector": {"matchLabels": {LABEL_POOL: "chat"}}, "ingress": [{}]}, _EXCLUDE),
    "ingress to what need not be a model": ({"podSelector": {"matchLabels": {"a": "b"}}, "ingress": [{}]}, _EXCLUDE),
    "ingress to one that is no such model": (
        {
            "podSelector": {"matchExpressions": [{"key": LABEL_MODEL, "operator": "NotIn", "values": ["x"]}]},
            "ingress": [{}],
        },
        _EXCLUDE,
    ),
    "ingress to models": (
        {"podSelector": {"matchExpressions": [{"key": LABEL_MODEL, "operator": "Exists"}]}, "ingress": [{}]},
        _EXCLUDE,
    ),
    "ingress without another label": (
        {"podSelector": {"matchExpressions": [{"key": LABEL_POOL, "operator": "DoesNotExist"}]}, "ingress": [{}]},
        _EXCLUDE,
    ),
    "every namespace": (
        {"egress": [{"to": [{"namespaceSelector": {}}]}]},
        "has egress to pods by namespaceSelector {}, which may be anywhere; select pods of this namespace by podSelector",
    ),
    "every namespace's pods": ({"egress": [{"to": [{"namespaceSelector": {}, "podSelector": {}}]}]}, "{}"),
    "another namespace": ({"egress": [{"to": [_OTHERS]}]}, "by namespaceSelector {team: web}"),
    "one peer of several": ({"egress": [{"to": [{"podSelector": {}}, _OTHERS]}]}, "{team: web}"),
    "namespaces by expression": (
        {
            "egress": [
                {"to": [{"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}}]},
            ]
        },
        "{team Exists}",
    ),
    "all of kube-system": (
        {"egress": [{"to": [{"namespaceSelector": CLUSTER_DNS["namespaceSelector"]}], "ports": DNS_PORTS}]},
        f"{{{NAMESPACE_NAME}: kube-system}}",
    ),
    "DNS pods anywhere": (
        {"egress": [{"to": [CLUSTER_DNS | {"namespaceSelector": {}}], "ports": DNS_PORTS}]},
        "by namespaceSelector {}",
    ),
    "DNS on every port": ({"egress": [{"to": [CLUSTER_DNS]}]}, "on other ports than 53: every port; give DNS"),
    "DNS on another port": (
        {"egress": [{"to": [CLUSTER_DNS], "ports": [*DNS_PORTS, {"port": 9153}]}]},
        "on other ports than 53: UDP 53, TCP 53, TCP 9153; give DNS an egress rule of its own",
    ),
    "DNS on a range": (
        {"egress": [{"to": [CLUSTER_DNS], "ports": [{"port": 53, "endPort": 65535}]}]},
        "TCP 53-65535",
    ),
    "DNS by SCTP": ({"egress": [{"to": [CLUSTER_DNS], "ports": [{"port": 53, "protocol": "SCTP"}]}]}, "SCTP 53"),
    "IPv4": (
        {"egress": [_to("0.0.0.0/0")]},
        f"egress to ipBlock 0.0.0.0/0, which is not inside a network that is granted; {_GRANTED}",
    ),
    "IPv6": ({"egress": [_to("::/0")]}, "egress to ipBlock ::/0, which is not inside"),
    "halves": (
        {"egress": [{"to": [{"ipBlock": {"cidr": c}} for c in ("0.0.0.0/1", "128.0.0.0/1")], "ports": HTTPS}]},
        "egress to ipBlock 0.0.0.0/1, 128.0.0.0/1, which is not inside",
    ),
    "halves in two rules": ({"egress": [_to("0.0.0.0/1"), _to("128.0.0.0/1")]}, "0.0.0.0/1, 128.0.0.0/1"),
    "everything but": (
        {"egress": [_to("0.0.0.0/0", **{"except": ["0.0.0.0/5", "11.0.0.0/8", "12.0.0.0/6", "16.0.0.0/4"]})]},
        "0.0.0.0/0",
    ),
    "a network around the grant": ({"egress": [_to("10.2.0.0/15")]}, "10.2.0.0/15"),
    "a network beside the grant": ({"egress": [_to("10.3.0.0/16")]}, "10.3.0.0/16"),
    "another IPv6 network": ({"egress": [_to("fd00:1::/63")]}, "fd00:1::/63"),
    "IPv4 as IPv6": ({"egress": [_to("::a02:300/120")]}, "::a02:300/120"),
    "one network of several": (
        {"egress": [{"to": [{"ipBlock": {"cidr": c}} for c in ("10.2.3.0/24", "192.0.2.0/24")], "ports": HTTPS}]},
        "egress to ipBlock 192.0.2.0/24, which",
    ),
    "another port": (
        {"egress": [_to("10.2.3.0/24", {"port": 22})]},
        f"egress to ipBlock 10.2.3.0/24 on TCP 22, which is not granted; name each port by its number, without endPort; {_GRANTED}",
    ),
    "a port that half of it has": ({"egress": [_to("10.2.0.0/16", {"port": 5432})]}, "10.2.0.0/16 on TCP 5432"),
    "one port of several": ({"egress": [_to("10.2.3.0/24", *HTTPS, {"port": 22})]}, "on TCP 443, TCP 22"),
    "every port": ({"egress": [{"to": [{"ipBlock": {"cidr": "10.2.3.0/24"}}]}]}, "10.2.3.0/24 on every port"),
    "every TCP port": ({"egress": [_to("10.2.3.0/24", {"protocol": "TCP"})]}, "10.2.3.0/24 on TCP any"),
    "a range of ports": ({"egress": [_to("10.2.3.0/24", {"port": 443, "endPort": 444})]}, "on TCP 443-444"),
    "a port by name": ({"egress": [_to("10.2.3.0/24", {"port": "https"})]}, "on TCP https"),
    "UDP": ({"egress": [_to("10.2.3.0/24", {"port": 443, "protocol": "UDP"})]}, "on UDP 443"),
    "metadata": ({"egress": [_to("169.254.169.254/32")]}, "which meets the link-local addresses of metadata services"),
    "metadata within": ({"egress": [_to("160.0.0.0/4")]}, "put into its except what it meets of 169.254.0.0/16"),
    "metadata left out in part": (
        {"egress": [_to("160.0.0.0/4", **{"except": ["169.254.0.0/17"]})]},
        "ipBlock 160.0.0.0/4, which meets",
    ),
}


@pytest.mark.parametrize("name", _OPEN)
def test_what_would_open_the_namespace_is_refused_with_what_to_do(closed: Closed, name: str) -> None:
    spec, words = _OPEN[name]
    for who in (closed.tenant, closed.admin):
        closed.refused(who.create(network_policy(closed.namespace, **spec), dry_run=True), words)


@pytest.mark.parametrize(
    "cidr",
    [
        "::ffff:0:0/96",
        "::ffff:10.2.3.0/120",
        "::ffff:a02:300/120",
        "10.02.3.0/24",
        "010.2.3.0/24",
        "10.2.3.4/24",
        "10.2.3.0/024",
        "fd00:1::1/96",
        "10.2.3.0",
        "10.2.3/24",
        "0x0a.2.3.0/24",
        "fd00:1::%eth0/96",
        " 10.2.3.0/24",
        "",
    ],
)
def test_another_spelling_gets_nowhere(closed: Closed, cidr: str) -> None:
    """Refused by the policy, or by the API server's own validation, which comes first and differs between versions."""
    answer = closed.try_(egress=[_to(cidr)])
    if answer.code != 422:
        closed.refused(
            answer, f"egress to ipBlock {cidr}, which can be read in several ways; write a network in CIDR form"
        )


# --- everything there is, against a slow oracle ---------------------------------------------------------

_CIDRS = [
    *("0.0.0.0/0", "10.0.0.0/8", "10.2.0.0/15", "10.2.0.0/16", "10.2.0.0/17", "10.2.128.0/17", "10.2.200.0/24"),
    *("10.2.3.4/32", "10.3.0.0/16", "128.0.0.0/1", "160.0.0.0/4", "169.0.0.0/8", "169.254.1.0/24", "170.0.0.0/8"),
    *("::/0", "fd00:1::/64", "fd00:1::/60", "fd00:1:0:1::/64", "fd00:1::5/128"),
]
_GRANTED_CIDRS = ["10.2.0.0/16", "10.2.0.0/17", "10.2.200.0/24", "10.2.3.4/32", "170.0.0.0/8", "fd00:1::5/128"]
_cidrs = st.sampled_from(_CIDRS) | st.sampled_from(_GRANTED_CIDRS)  # so that about one in four passes
_port = st.fixed_dictionaries({"port": st.sampled_from([443, 443, 443, 5432, 22, "https"])}) | st.sampled_from(
    [{"port": 443, "protocol": "TCP"}, {"port": 443, "protocol": "UDP"}, {"port": 443}]
)
_to_cidrs = st.lists(_cidrs.map(lambda cidr: {"ipBlock": {"cidr": cidr}}), min_size=1, max_size=2)
_ports = st.lists(_port, min_size=1, max_size=2)
_rules = st.builds(
    lambda to, ports, named: {"to": to} | ({"ports": ports} if named else {}),
    _to_cidrs,
    _ports,
    st.sampled_from([True, True, True, True, False]),
)


def _subnets(network: IPv4Network | IPv6Network, by: list[IPv4Network | IPv6Network]) -> bool:
    """Whether ``by`` cover ``network``: cut in halves until each part lies in one of them, or meets none."""
    same = [one for one in by if one.version == network.version]
    if any(network.subnet_of(one) for one in same):  # type: ignore[arg-type]
        return True
    if not any(one.subnet_of(network) for one in same):  # type: ignore[arg-type]
        return False
    return all(_subnets(half, by) for half in network.subnets())


def _lawful(rule: dict[str, Any]) -> bool:
    """By the policy above, address by address: what is reached is granted, and no metadata service is."""
    for peer in rule["to"]:
        network = ip_network(peer["ipBlock"]["cidr"])
        if network.version == 4 and network.overlaps(ip_network("169.254.0.0/16")):
            return False
        for port in rule.get("ports", [{"port": None}]):
            by = [ip_network(one["cidr"]) for one in NETWORK["egress"] if port["port"] in one["ports"]]  # type: ignore[operator]
            if port.get("protocol", "TCP") != "TCP" or not _subnets(network, by):
                return False
    return True


@examples(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_rules, min_size=1, max_size=2))
def test_what_passes_reaches_what_is_granted_and_nothing_else(closed: Closed, rules: list[dict[str, Any]]) -> None:
    answer = closed.try_(egress=rules)
    assert answer.ok is all(map(_lawful, rules)), answer.message
    assert answer.code in (201, 403)


# --- changes ------------------------------------------------------------------------------------------


def test_a_harmless_policy_cannot_be_changed_into_an_open_one(closed: Closed) -> None:
    harmless = network_policy(closed.namespace, "changing", policyTypes=["Ingress", "Egress"])
    assert closed.tenant.create(harmless).ok
    for change in ({"egress": [{}]}, {"ingress": [{}]}, {"egress": [_to("0.0.0.0/0")]}):
        closed.refused(
            closed.tenant.request("PATCH", address(harmless), {"spec": change}), "NetworkPolicy changing has"
        )
    assert closed.tenant.request("PATCH", address(harmless), {"spec": {"egress": [_to("10.2.3.0/24")]}}).ok
    widened = {"spec": {"egress": [_to("10.0.0.0/8")]}}
    closed.refused(closed.tenant.request("PATCH", address(harmless), widened), "10.0.0.0/8")
    assert closed.tenant.request("DELETE", address(harmless)).ok


def test_an_open_policy_of_before_can_be_labelled_and_closed_but_not_changed(
    api: Api, kubectl: Kubectl, namespace: str
) -> None:
    tenant = make_tenant(api, namespace)
    before = network_policy(namespace, "before", egress=[{}], ingress=[{}])
    assert tenant.create(before).ok
    enforcement = enforce(api, make_policy(api, namespace), namespace, settings(api))
    assert tenant.request("PATCH", address(before), {"metadata": {"labels": {"a": "b"}}}).ok
    assert tenant.request("PATCH", address(before), {"spec": {"podSelector": {"matchLabels": {"a": "b"}}}}).code == 403
    assert tenant.request("PATCH", address(before), {"spec": {"egress": None, "ingress": None}}).ok
    enforcement.remove()


def test_the_operator_writes_its_own_and_nobody_else_widens_them(closed: Closed) -> None:
    governance = Governance((closed.enforcement.policy,), closed.namespace)
    peer = {"namespaceSelector": {"matchLabels": {"team": "web"}}}
    spec = {
        "modelRef": {"name": "m"},
        "runtime": {"name": "vllm"},
        "replicas": 1,
        "network": {"ingressFrom": [peer]},
    }
    pool = InferencePool(Owner("InferencePool", "chat", "u1", closed.namespace), PoolSpec.model_validate(spec))
    model = SovereignModel(
        Owner("SovereignModel", "m", "u2", closed.namespace), ModelSpec.model_validate({"source": {"uri": "s3://b/m"}})
    )
    manifests = [
        serving_policy(pool, Runtime("vllm", RuntimeSpec()), governance, Settings()),
        import_policy(model, governance, Settings()),
    ]
    for manifest in manifests:
        del manifest["metadata"]["ownerReferences"]  # their owners are not there, and they would be collected
    serving, _ = manifests
    by_hand = closed.tenant.create(serving, dry_run=True)
    closed.refused(by_hand, "NetworkPolicy chat-serving has ingress rules and could select pods with weights")
    for manifest in manifests:
        answer = closed.operator.apply(manifest)
        assert answer.ok, answer.message
        assert closed.tenant.request("PATCH", address(manifest), {"metadata": {"labels": {"a": "b"}}}).ok
        opened = {"spec": {"egress": [{}]}}
        # Two rules refuse it, and the API server names either.
        closed.refused(closed.tenant.request("PATCH", address(manifest), opened))
        assert closed.operator.request("PATCH", address(manifest), opened).ok
        assert closed.operator.request("DELETE", address(manifest)).ok


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"podSelector": {"matchLabels": {"no": "pod"}}}},
        {"spec": {"policyTypes": ["Ingress"]}},
        {"spec": {"egress": [{}]}},
        {
            "metadata": {
                "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "no-such-uid"}]
            }
        },
        {"metadata": {"ownerReferences": None}},
    ],
    ids=["nothing selected", "egress left out", "opened", "an owner that is gone", "no owner"],
)
def test_what_shuts_the_namespace_cannot_be_changed(closed: Closed, change: dict[str, Any]) -> None:
    for who in (closed.tenant, closed.admin):
        answer = who.request("PATCH", address(closed.deny), change, dryRun="All")
        closed.refused(answer)


def test_what_shuts_the_namespace_cannot_be_deleted(closed: Closed, api: Api) -> None:
    name = closed.deny["metadata"]["name"]
    words = f"NetworkPolicy {name} shuts this namespace, and is the operator's alone"
    collection = address(closed.deny).removesuffix(f"/{name}")
    for who in (closed.tenant, closed.admin, api):
        closed.refused(who.request("DELETE", address(closed.deny), dryRun="All"), words)
        closed.refused(who.request("DELETE", collection, dryRun="All"), words)
    assert closed.operator.request("DELETE", address(closed.deny), dryRun="All").ok


def test_what_shuts_the_namespace_can_be_labelled(closed: Closed) -> None:
    answer = closed.tenant.request("PATCH", address(closed.deny), {"metadata": {"labels": {"a": "b"}}}, dryRun="All")
    assert answer.ok, answer.message


def test_its_name_cannot_be_taken_before_it_is_there(api: Api, namespace: str, tenant: Api) -> None:
    enforcement = enforce(api, make_policy(api, namespace), namespace, settings(api))
    (deny,) = enforcement.plan.network
    squatter = network_policy(namespace, deny["metadata"]["name"], podSelector={"matchLabels": {"no": "pod"}})
    assert tenant.create(squatter).code == 403
    assert operator(api).apply(deny).ok
    enforcement.remove()


def test_what_shuts_the_namespace_goes_with_the_policy(api: Api, kubectl: Kubectl, namespace: str) -> None:
    enforcement = enforce(api, make_policy(api, namespace), namespace, settings(api))
    (deny,) = enforcement.plan.network
    assert operator(api).apply(deny).ok
    assert api.request("DELETE", f"/apis/sovereignai.io/v1alpha1/sovereigntypolicies/{enforcement.policy.name}").ok
    eventually(lambda: api.request("GET", address(deny)), lambda answer: answer.code == 404)
    enforcement.remove()


# --- other policies -----------------------------------------------------------------------------------


def test_named_resolvers_take_the_place_of_the_clusters_dns(api: Api, namespace: str, tenant: Api) -> None:
    network = {"dns": {"resolvers": ["10.0.0.53/32", "10.0.0.54/32"]}}
    enforcement = enforce(api, make_policy(api, namespace, network=network), namespace, settings(api))

    def ask(**rule: Any) -> Answer:
        return tenant.create(network_policy(namespace, egress=[rule]), dry_run=True)

    resolver = [{"ipBlock": {"cidr": "10.0.0.53/32"}}]
    assert ask(to=resolver, ports=DNS_PORTS).ok
    assert "TCP 443" in ask(to=resolver, ports=HTTPS).message
    assert "every port" in ask(to=resolver).message
    assert "the policy's resolvers by ipBlock with port 53" in ask(to=[CLUSTER_DNS], ports=DNS_PORTS).message
    assert "10.0.0.52/30" in ask(to=[{"ipBlock": {"cidr": "10.0.0.52/30"}}], ports=DNS_PORTS).message
    enforcement.remove()


def test_without_grants_no_network_is_reached(api: Api, namespace: str, tenant: Api) -> None:
    enforcement = enforce(api, make_policy(api, namespace), namespace, settings(api))
    answer = tenant.create(network_policy(namespace, egress=[_to("10.2.3.0/24")]), dry_run=True)
    assert "the policy's network.egress grants none; leave it out, or have it granted there" in answer.message
    enforcement.remove()


def test_audit_warns_and_refuses_nothing(api: Api, namespace: str, tenant: Api) -> None:
    enforcement = enforce(api, make_policy(api, namespace, enforcement="Audit"), namespace, settings(api))
    answer = tenant.create(network_policy(namespace, egress=[{}], ingress=[{}]), dry_run=True)
    assert answer.ok, answer.message
    warnings = "\n".join(answer.warnings)
    assert "without 'to'" in warnings
    assert LABEL_MODEL in warnings
    enforcement.remove()


def test_as_many_grants_as_there_can_be_are_within_the_limits_of_cel(api: Api, namespace: str, tenant: Api) -> None:
    """32 networks with 32 ports each, none of which merge, and a policy that names 32 networks with 20 ports."""
    granted = [
        {"cidr": f"fd00:1:2:3:4:5:{2 * index:x}:0/112", "ports": list(range(1000 + 40 * index, 1032 + 40 * index))}
        for index in range(31)
    ]
    last = {"cidr": "fd00:1:2:3:4:6::/96", "ports": list(range(8000, 8032))}
    resolvers = [f"fd00:1:2:3:4:7:{2 * index:x}:0/112" for index in range(8)]
    network = {"egress": [*granted, last], "dns": {"resolvers": resolvers}}
    enforcement = enforce(api, make_policy(api, namespace, network=network), namespace, settings(api))
    assert_no_type_warnings(enforcement)
    peers = [{"ipBlock": {"cidr": f"fd00:1:2:3:4:6:{index:x}:0/112"}} for index in range(32)]
    rule = {"to": peers, "ports": [{"port": port} for port in range(8000, 8020)]}
    answer = tenant.create(network_policy(namespace, egress=[rule]), dry_run=True)
    assert answer.ok, answer.message
    rule["ports"].append({"port": 8032})  # type: ignore[attr-defined]
    answer = tenant.create(network_policy(namespace, egress=[rule]), dry_run=True)
    assert answer.code == 403
    assert "TCP 8032" in answer.message
    enforcement.remove()


def test_a_policy_too_long_to_be_judged_is_refused(api: Api, namespace: str, tenant: Api) -> None:
    granted = [{"cidr": f"10.{2 * index}.0.0/16", "ports": [1000 + index]} for index in range(32)]
    enforcement = enforce(api, make_policy(api, namespace, network={"egress": granted}), namespace, settings(api))
    rule = {
        "to": [{"ipBlock": {"cidr": f"10.62.{index // 200}.{index % 200}/32"}} for index in range(1000)],
        "ports": [{"port": 1031, "protocol": "TCP"}] * 40,
    }
    answer = tenant.create(network_policy(namespace, egress=[rule]), dry_run=True)
    assert answer.code in (403, 422), answer.message
    enforcement.remove()
