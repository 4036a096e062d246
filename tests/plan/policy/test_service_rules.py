"""What the rules about Services hold to be true of pods with weights."""

from collections.abc import Callable
from typing import Any

import pytest

from sovereign.api.meta import COPIED_LABELS
from sovereign.api.model import ModelSpec
from sovereign.api.pool import PoolSpec
from sovereign.plan.deployment import pod_labels
from sovereign.plan.governance import Governance
from sovereign.plan.inventory import InferencePool, Owner, Settings, SovereignModel
from sovereign.plan.model import plan_model
from sovereign.plan.service_rules import OF_ANY_VALUE, SAME_ON_ALL, service_rules
from tests.plan.policy.build import DIGEST, policy

COPIED = dict.fromkeys((*COPIED_LABELS, "app.kubernetes.io/name", "not-copied"), "theirs")


def _pool_pod() -> dict[str, str]:
    spec = {"modelRef": {"name": "m"}, "runtime": {"name": "vllm"}, "replicas": 1}
    owner = Owner("InferencePool", "chat", "u", "team", labels=COPIED)
    return pod_labels(InferencePool(owner, PoolSpec.model_validate(spec)))


def _import_pod() -> dict[str, str]:
    spec = ModelSpec.model_validate(
        {"source": {"uri": "s3://b/m", "endpoint": "https://s3.example.eu"}, "digest": "sha256:" + "a" * 64}
    )
    model = SovereignModel(Owner("SovereignModel", "m", "u", "team", labels=COPIED), spec)
    settings = Settings(importer_image=f"registry.example.eu/ai/importer{DIGEST}")
    plan = plan_model(model, Governance((policy(),), "team"), settings)
    (job,) = (child for child in plan.children if child["kind"] == "Job")
    labels: dict[str, str] = job["spec"]["template"]["metadata"]["labels"]
    return labels


@pytest.mark.parametrize("labels_of", [_pool_pod, _import_pod])
def test_every_label_of_a_pod_with_weights_is_known_to_the_rules(labels_of: Callable[[], dict[str, str]]) -> None:
    labels = labels_of()
    assert labels.keys() <= {*OF_ANY_VALUE, *SAME_ON_ALL}
    for key in labels.keys() & SAME_ON_ALL.keys():
        assert labels[key] in SAME_ON_ALL[key]


def test_no_value_is_thought_possible_that_no_pod_has() -> None:
    found = [_pool_pod(), _import_pod()]
    assert {key: {pod[key] for pod in found if key in pod} for key in SAME_ON_ALL} == {
        key: set(values) for key, values in SAME_ON_ALL.items()
    }


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ({}, "use type ClusterIP, or"),
        ({"serviceTypes": ["NodePort", "LoadBalancer"]}, "use type ClusterIP or LoadBalancer or NodePort, or"),
    ],
)
def test_the_message_says_what_the_policy_grants(network: dict[str, Any], words: str) -> None:
    services, *_ = service_rules(policy(network=network), Settings())
    assert any(words in validation.message for validation in services.validations)
