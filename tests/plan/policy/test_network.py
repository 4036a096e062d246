"""NetworkPolicies of pools, imports and governed namespaces."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sovereign.api.model import ModelSpec
from sovereign.api.pool import PoolSpec
from sovereign.api.runtime import RuntimeSpec
from sovereign.api.schema import LabelSelector
from sovereign.plan.governance import NAMESPACE_NAME, Governance
from sovereign.plan.inventory import InferencePool, Owner, Runtime, Settings, SovereignModel
from sovereign.plan.network import default_deny, import_policy, merged, serving_policy
from tests.plan.policy.build import policy

_SETTINGS = Settings()
_RUNTIME = Runtime("vllm", RuntimeSpec(port=8000))
_APPS = {"matchLabels": {"role": "app"}}
_CLUSTER_DNS = {
    "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: "kube-system"}},
    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
}


def _pool(*ingress_from: dict[str, Any]) -> InferencePool:
    spec = {
        "modelRef": {"name": "m"},
        "runtime": {"name": "vllm"},
        "replicas": 1,
        "network": {"ingressFrom": list(ingress_from)},
    }
    return InferencePool(Owner("InferencePool", "chat", "u", "team"), PoolSpec.model_validate(spec))


def _governance(*networks: dict[str, Any]) -> Governance:
    return Governance(tuple(policy(f"p{index}", network=one) for index, one in enumerate(networks)), "team")


def _callers(pool: InferencePool, *networks: dict[str, Any]) -> list[dict[str, Any]]:
    (rule,) = serving_policy(pool, _RUNTIME, _governance(*networks), _SETTINGS)["spec"]["ingress"]
    assert rule["ports"] == [{"port": 8000, "protocol": "TCP"}]
    return rule["from"]


def test_a_pool_answers_its_own_namespace_and_reaches_nobody() -> None:
    manifest = serving_policy(_pool(), _RUNTIME, _governance({}), _SETTINGS)
    assert manifest["metadata"]["name"] == "chat-serving"
    assert manifest["spec"] == {
        "podSelector": {"matchLabels": {"sovereignai.io/pool": "chat"}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 8000, "protocol": "TCP"}]}],
    }


def test_what_the_policy_says_of_callers_holds_for_a_pool_that_names_none() -> None:
    assert _callers(_pool(), {"ingressNamespaces": _APPS}) == [{"namespaceSelector": _APPS}]


def test_a_pools_callers_are_narrowed_by_the_policy() -> None:
    gateway = {"matchLabels": {"app": "gateway"}}
    peer = {"namespaceSelector": {"matchLabels": {"team": "web"}}, "podSelector": gateway}
    assert _callers(_pool(peer), {"ingressNamespaces": _APPS}) == [
        {"namespaceSelector": {"matchLabels": {"role": "app", "team": "web"}}, "podSelector": gateway}
    ]
    assert _callers(_pool(peer), {}) == [
        {"namespaceSelector": {"matchLabels": {NAMESPACE_NAME: "team", "team": "web"}}, "podSelector": gateway}
    ]
    assert _callers(_pool({"podSelector": gateway}), {}) == [{"podSelector": gateway}]
    assert _callers(_pool({"podSelector": gateway}), {"ingressNamespaces": _APPS}) == [
        {"namespaceSelector": {"matchLabels": {"role": "app", NAMESPACE_NAME: "team"}}, "podSelector": gateway}
    ]


def test_a_policy_that_names_no_callers_narrows_one_that_does() -> None:
    assert _callers(_pool(), {"ingressNamespaces": _APPS}, {}) == [
        {"namespaceSelector": {"matchLabels": {"role": "app", NAMESPACE_NAME: "team"}}}
    ]


def test_granted_egress_comes_with_name_resolution() -> None:
    grant = {"egress": [{"cidr": "10.2.0.0/16", "ports": [443, 80]}]}
    ports = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
    assert serving_policy(_pool(), _RUNTIME, _governance(grant), _SETTINGS)["spec"]["egress"] == [
        {
            "ports": [{"port": 80, "protocol": "TCP"}, {"port": 443, "protocol": "TCP"}],
            "to": [{"ipBlock": {"cidr": "10.2.0.0/16"}}],
        },
        {"ports": ports, "to": [_CLUSTER_DNS]},
    ]


def test_an_import_reaches_its_sources_and_is_reached_by_nobody() -> None:
    model = SovereignModel(
        Owner("SovereignModel", "m", "u", "team"), ModelSpec.model_validate({"source": {"uri": "s3://b/m"}})
    )
    network = {
        "importEgress": [{"cidr": "10.1.0.0/16", "ports": [443]}, {"cidr": "169.254.0.0/16", "ports": [80]}],
        "dns": {"resolvers": ["10.0.0.53/32"]},
    }
    manifest = import_policy(model, _governance(network), _SETTINGS)
    spec = manifest["spec"]
    assert manifest["metadata"]["name"] == "m-import"
    assert spec["podSelector"] == {
        "matchLabels": {"app.kubernetes.io/component": "import", "sovereignai.io/model": "m"}
    }
    assert "ingress" not in spec
    assert [rule["to"] for rule in spec["egress"]] == [
        [{"ipBlock": {"cidr": "10.1.0.0/16"}}],
        [{"ipBlock": {"cidr": "10.0.0.53/32"}}],
    ]
    assert "egress" not in import_policy(model, _governance({}), _SETTINGS)["spec"]


def test_resolvers_that_no_two_policies_share_leave_no_rule_that_would_open_everything() -> None:
    grant = [{"cidr": "10.2.0.0/16", "ports": [443]}]
    first = {"egress": grant, "dns": {"resolvers": ["10.0.0.53/32"]}}
    second = {"egress": grant, "dns": {"resolvers": ["10.9.0.53/32"]}}
    egress = serving_policy(_pool(), _RUNTIME, _governance(first, second), _SETTINGS)["spec"]["egress"]
    assert [rule["to"] for rule in egress] == [[{"ipBlock": {"cidr": "10.2.0.0/16"}}]]


def test_a_governed_namespace_is_shut_in_both_directions() -> None:
    manifest = default_deny("team", policy("eu"))
    assert manifest["metadata"]["name"] == "sovereign-eu-default-deny"
    assert manifest["metadata"]["namespace"] == "team"
    assert manifest["metadata"]["ownerReferences"][0]["kind"] == "SovereigntyPolicy"
    assert manifest["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


_KEYS, _VALUES = ["a", "b"], ["x", "y"]
_labels = st.dictionaries(st.sampled_from(_KEYS), st.sampled_from(_VALUES))
_requirements = st.one_of(
    st.builds(
        lambda key, operator, values: {"key": key, "operator": operator, "values": values},
        st.sampled_from(_KEYS),
        st.sampled_from(["In", "NotIn"]),
        st.lists(st.sampled_from(_VALUES), min_size=1, unique=True),
    ),
    st.builds(
        lambda key, operator: {"key": key, "operator": operator},
        st.sampled_from(_KEYS),
        st.sampled_from(["Exists", "DoesNotExist"]),
    ),
)
_selectors = st.builds(
    lambda labels, expressions: LabelSelector.model_validate({"matchLabels": labels, "matchExpressions": expressions}),
    _labels,
    st.lists(_requirements, max_size=2),
)


@given(st.lists(_selectors, max_size=3), _labels, st.randoms())
def test_a_merged_selector_holds_where_all_hold(selectors, labels, random) -> None:
    result = merged(selectors)
    selects = LabelSelector.model_validate(result).matches(labels)
    assert selects == all(selector.matches(labels) for selector in selectors)
    random.shuffle(selectors)
    assert merged(selectors) == result
