"""NetworkPolicies as the API server stores them: applying an unchanged plan must be no difference."""

import pytest

from sovereign.api.model import ModelSpec
from sovereign.api.pool import PoolSpec
from sovereign.api.runtime import RuntimeSpec
from sovereign.plan.governance import Governance
from sovereign.plan.inventory import InferencePool, Owner, Runtime, Settings, SovereignModel
from sovereign.plan.network import default_deny, import_policy, serving_policy
from tests.integration.api import Api
from tests.integration.enforcement import make_policy

pytestmark = pytest.mark.integration


def test_what_is_stored_is_what_was_written(api: Api, namespace: str) -> None:
    selector = {"matchLabels": {"role": "app"}, "matchExpressions": [{"key": "x", "operator": "Exists"}]}
    grant = [{"cidr": "160.0.0.0/4", "ports": [443, 80]}, {"cidr": "fd00:1::/64", "ports": [443]}]
    network = {"egress": grant, "importEgress": grant, "ingressNamespaces": selector}
    policy = make_policy(api, namespace, network=network)
    governance, settings = Governance((policy,), namespace), Settings()
    spec = {
        "modelRef": {"name": "m"},
        "runtime": {"name": "vllm"},
        "replicas": 1,
        "network": {
            "ingressFrom": [{"namespaceSelector": {"matchLabels": {"role": "web"}}}, {"podSelector": selector}]
        },
    }
    model = ModelSpec.model_validate({"source": {"uri": "s3://b/m"}})
    pool = InferencePool(Owner("InferencePool", "chat", "u1", namespace), PoolSpec.model_validate(spec))
    manifests = [
        default_deny(namespace, policy),
        serving_policy(pool, Runtime("vllm", RuntimeSpec()), governance, settings),
        import_policy(SovereignModel(Owner("SovereignModel", "m", "u2", namespace), model), governance, settings),
    ]
    for manifest in manifests:
        answer = api.apply(manifest, dryRun="All")
        assert answer.ok, answer.message
        assert answer.body["spec"] == manifest["spec"]
        assert answer.warnings == ()
    assert api.request("DELETE", f"/apis/sovereignai.io/v1alpha1/sovereigntypolicies/{policy.name}").ok
