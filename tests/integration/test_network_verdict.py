"""The verdict about a NetworkPolicy that is there, against what the API server says when it is made (rows 17 and 18)."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from sovereign.api.meta import LABEL_MODEL
from sovereign.plan.governance import NAMESPACE_NAME
from sovereign.plan.network_verdict import opened
from tests.integration.api import Api
from tests.integration.conftest import TEST_LABEL, Kubectl, make_namespace, make_tenant
from tests.integration.enforcement import Enforcement, enforce, make_policy, network_policy, settings

pytestmark = pytest.mark.integration

GRANTS = [
    {"cidr": "10.2.0.0/17", "ports": [443, 5432]},
    {"cidr": "10.2.128.0/17", "ports": [443]},
    {"cidr": "160.0.0.0/4", "ports": [443]},
    {"cidr": "fd00::/8", "ports": [443]},
]
POLICIES: dict[str, dict[str, Any]] = {
    "grants": {"egress": GRANTS},
    "resolvers": {"egress": GRANTS, "dns": {"resolvers": ["10.2.0.53/32", "fd00:1::53/128"]}},
    "nothing": {},
}
CIDRS = (
    "10.2.0.0/16",
    "10.2.0.0/17",
    "10.2.3.0/24",
    "10.2.3.1/24",
    "10.2.0.53/32",
    "10.0.0.0/8",
    "0.0.0.0/0",
    "0.0.0.0/1",
    "160.0.0.0/4",
    "169.254.0.0/16",
    "169.254.169.254/32",
    "168.0.0.0/6",
    "fd00::/8",
    "fd00:1::/64",
    "fd00:1::53/128",
    "fd00:ec2::/112",
    "fd00:ec2::254/128",
    "fc00::/7",
    "::/0",
    "::ffff:10.2.3.0/120",
    "64:ff9b::10.2.3.0/120",
    "64:ff9b::a9fe:0/112",
    "FD00:1:0::/64",
)

_port = st.fixed_dictionaries(
    {},
    optional={
        "port": st.sampled_from([53, 443, 5432, "http", "53"]),
        "endPort": st.sampled_from([53, 443, 9000]),
        "protocol": st.sampled_from(["TCP", "UDP", "SCTP"]),
    },
)
_selector = st.sampled_from(
    [
        {},
        {"matchLabels": {"app": "x"}},
        {"matchLabels": {NAMESPACE_NAME: "kube-system"}},
        {"matchLabels": {"k8s-app": "kube-dns"}},
        {"matchLabels": {"k8s-app": "kube-dns", "a": "b"}},
        {"matchExpressions": [{"key": "k8s-app", "operator": "In", "values": ["kube-dns"]}]},
    ]
)
_block = st.sampled_from(CIDRS).flatmap(
    lambda cidr: st.fixed_dictionaries(
        {"cidr": st.just(cidr)},
        optional={
            "except": st.lists(
                st.sampled_from(["169.254.0.0/16", "169.254.169.254/32", "fd00:ec2::/112", "10.2.3.128/25"]), max_size=2
            )
        },
    )
)
_dns = st.just(
    {
        "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
)
_peer = st.one_of(
    st.fixed_dictionaries({"ipBlock": _block}),
    st.fixed_dictionaries({"podSelector": _selector}),
    st.fixed_dictionaries({"namespaceSelector": _selector}, optional={"podSelector": _selector}),
    _dns,
)
_rule = st.fixed_dictionaries(
    {},
    optional={"to": st.lists(_peer, max_size=2), "ports": st.lists(_port, max_size=2)},
)
_spec = st.fixed_dictionaries(
    {
        "podSelector": st.sampled_from(
            [
                {},
                {"matchLabels": {"app": "x"}},
                {"matchExpressions": [{"key": LABEL_MODEL, "operator": "DoesNotExist"}]},
                {"matchExpressions": [{"key": LABEL_MODEL, "operator": "Exists"}]},
            ]
        )
    },
    optional={
        "egress": st.lists(_rule, max_size=2),
        "ingress": st.sampled_from([[], [{}], [{"from": [{"podSelector": {}}]}]]),
        "policyTypes": st.sampled_from([["Egress"], ["Ingress"], ["Ingress", "Egress"]]),
    },
)


@pytest.fixture(scope="module", params=POLICIES)
def governed(api: Api, kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[tuple[Enforcement, Api]]:
    """A policy in force, and a tenant under it."""
    worker = getattr(request.config, "workerinput", {}).get("workerid", "one")
    namespace = make_namespace(api, kubectl, name := f"verdict-{request.param}-{worker}", {TEST_LABEL: name})
    policy = make_policy(api, namespace, network=POLICIES[request.param])
    enforcement = enforce(api, policy, namespace, settings(api))
    yield enforcement, make_tenant(api, namespace)
    kubectl("delete", "namespace", namespace, "--wait=false")
    enforcement.remove()


@examples(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spec=_spec)
def test_a_verdict_is_what_the_api_server_says(governed: tuple[Enforcement, Api], spec: dict[str, Any]) -> None:
    enforcement, tenant = governed
    answer = tenant.create(network_policy(enforcement.namespace, **spec), dry_run=True)
    if answer.code == 422:
        return  # no NetworkPolicy at all, so none that can be there
    found = opened(enforcement.policy, spec)
    assert answer.code == (403 if found else 201), (found, answer.message)
