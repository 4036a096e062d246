"""Every pod that the operator makes passes Pod Security `restricted`, as the API server's own admission plugin says."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from sovereign.api.model import ModelSpec
from sovereign.api.policy import PolicySpec
from sovereign.api.pool import PoolSpec
from sovereign.plan.governance import Governance
from sovereign.plan.inventory import InferencePool, NetworkProbes, Owner, Policy, Settings, SovereignModel
from sovereign.plan.model import plan_model
from sovereign.plan.probe import control_job, probe_job
from tests.integration.api import Api

pytestmark = pytest.mark.integration

TEMPLATES = sorted((Path(__file__).parents[1] / "golden" / "pod-templates").glob("*.yaml"))
IMAGE = "registry.example.eu/ai/sovereign-operator@sha256:" + "0" * 64


@pytest.fixture
def restricted(api: Api, free_namespace: str) -> str:
    """A namespace in which Pod Security refuses what is not restricted."""
    labels = {
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "latest",
    }
    answer = api.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": free_namespace, "labels": labels}}
    )
    assert answer.ok, answer.message
    for name in ("chat-serving", "mistral-import"):
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": free_namespace},
        }
        assert api.create(account).ok
    return free_namespace


def pod(template: dict[str, Any], namespace: str) -> dict[str, Any]:
    """A pod as a controller makes it from a template."""
    metadata = {"name": "pod", "namespace": namespace, "labels": template["metadata"]["labels"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_serving_pods(api: Api, restricted: str, path: Path) -> None:
    answer = api.create(pod(yaml.safe_load(path.read_text()), restricted), dry_run=True)
    assert answer.ok, answer.message


def test_import_pods(api: Api, restricted: str) -> None:
    selector = {"matchLabels": {"tier": "x"}}
    policy = PolicySpec.model_validate({"namespaceSelector": selector, "placement": {"jurisdictions": ["FR"]}})
    source = {"uri": "s3://weights/mistral", "endpoint": "https://s3.example.eu", "secretRef": {"name": "s3"}}
    spec = ModelSpec.model_validate({"source": source, "digest": "sha256:" + "a" * 64})
    model = SovereignModel(Owner("SovereignModel", "mistral", "uid", restricted), spec)
    governance = Governance((Policy(Owner("SovereigntyPolicy", "p"), policy),), restricted)
    plan = plan_model(model, governance, Settings(importer_image=IMAGE))
    (job,) = [child for child in plan.children if child["kind"] == "Job"]
    answer = api.create(pod(job["spec"]["template"], restricted), dry_run=True)
    assert answer.ok, answer.message


def test_the_check_can_fail(api: Api, restricted: str) -> None:
    template = yaml.safe_load(TEMPLATES[0].read_text())
    template["spec"]["securityContext"]["runAsNonRoot"] = False
    answer = api.create(pod(template, restricted), dry_run=True)
    assert not answer.ok
    assert "restricted" in answer.message


def test_probe_pods(api: Api, restricted: str) -> None:
    probes = NetworkProbes(targets=("10.1.2.3:8081", "[fd00::3]:8081"))
    settings = Settings(importer_image=IMAGE, operator_namespace=restricted, probes=probes)
    selector = {"matchLabels": {"tier": "x"}}
    policy = PolicySpec.model_validate({"namespaceSelector": selector, "placement": {"jurisdictions": ["FR"]}})
    governance = Governance((Policy(Owner("SovereigntyPolicy", "eu"), policy),), restricted)
    spec = PoolSpec.model_validate({"modelRef": {"name": "m"}, "runtime": {"name": "vllm"}, "replicas": 1})
    pool = InferencePool(Owner("InferencePool", "chat", "uid", restricted), spec)
    control = control_job(pool, "gpu-fr-1", settings, probes)
    control["spec"]["template"]["spec"]["serviceAccountName"] = "chat-serving"  # the default one may not be there yet
    for job in (probe_job(pool, "gpu-fr-1", governance, settings, probes), control):
        answer = api.create(pod(job["spec"]["template"], restricted), dry_run=True)
        assert answer.ok, answer.message
        answer = api.create(job, dry_run=True)
        assert answer.ok, answer.message
