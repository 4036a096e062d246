"""Golden pod templates: what a version of the operator must not change by accident.

To accept a change on purpose: ``pytest tests/plan/serving --update-golden``, and say in CHANGELOG.md that model pods restart.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.plan.serving import restricted, samples

GOLDEN = Path(__file__).parents[2] / "golden" / "pod-templates"
EVERYTHING: dict[str, Any] = {
    "runtime": {
        "args": ["--kv-cache-dtype=fp8", "--enable-prefix-caching"],
        "env": [{"name": "VLLM_LOGGING_LEVEL", "value": "WARNING"}],
    },
    "accelerator": {"count": 8, "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}},
    "parallelism": {"tensor": 2, "pipeline": 2, "data": 2},
    "maxModelLen": 16384,
    "maxNumSeqs": 64,
    "gpuMemoryUtilization": 0.85,
    "resources": {"cpu": "7500m", "memory": "65536Mi", "sharedMemory": "16Gi"},
    "placement": {
        "jurisdictions": ["DE", "FR"],
        "regions": ["fr-par", "de-fra"],
        "spread": {"by": "region", "minDomains": 2},
    },
    "rollout": {"strategy": "Surge"},
    "network": {"apiKeySecretRef": {"name": "chat-key"}},
}
ONE: dict[str, Any] = {"accelerator": {"count": 1}, "maxModelLen": 8192, "maxNumSeqs": 32}
TWO: dict[str, Any] = {"accelerator": {"count": 2}}
CPU: dict[str, Any] = {
    "accelerator": {"count": 0},
    "maxModelLen": 4096,
    "maxNumSeqs": 2,
    "resources": {"memory": "24Gi"},
}
CASES = {
    "vllm-one-gpu": ("vllm", ONE),
    "vllm-two-gpus": ("vllm", TWO),
    "vllm-everything": ("vllm", EVERYTHING),
    "sglang-one-gpu": ("sglang", ONE),
    "sglang-two-gpus": ("sglang", TWO),
    "sglang-api-key": ("sglang", ONE | {"network": {"apiKeySecretRef": {"name": "chat-key"}}}),
    "tgi-one-gpu": ("tgi", ONE),
    "tgi-two-gpus": ("tgi", TWO),
    "llama-cpp-one-gpu": ("llama-cpp", ONE),
    "llama-cpp-two-gpus": ("llama-cpp", TWO),
    "llama-cpp-cpu": ("llama-cpp", CPU),
    "ollama-one-gpu": ("ollama", ONE),
    "ollama-two-gpus": ("ollama", TWO),
    "ollama-cpu": ("ollama", CPU),
}


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(template: dict[str, Any]) -> str:
    return yaml.dump(template, Dumper=_Dumper, sort_keys=True, width=110)


@pytest.mark.parametrize("case", CASES)
def test_pod_template(case: str, update_golden: bool) -> None:
    runtime, spec = CASES[case]
    plan = samples.planned(samples.pool(runtime, **spec))
    assert plan.blocking is None
    actual, path = _text(samples.template(plan)), GOLDEN / f"{case}.yaml"
    if update_golden:
        path.write_text(actual)
    assert path.exists(), f"there is no {path.name} yet: run pytest tests/plan/serving --update-golden"
    assert actual == path.read_text(), (
        f"the pod template of {case} changed: with this version of the operator every such model pod of every user restarts.\n"
        "If that is meant, run pytest tests/plan/serving --update-golden and say so in CHANGELOG.md."
    )


@pytest.mark.parametrize("case", CASES)
def test_pod_security_restricted(case: str) -> None:
    runtime, spec = CASES[case]
    assert restricted.violations(samples.template(samples.planned(samples.pool(runtime, **spec)))["spec"]) == []


def test_no_golden_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == {*CASES}


def test_template_depends_on_names_of_policies_only() -> None:
    one = samples.pool(**ONE)
    before = samples.planned(one, policies=samples.governance(samples.policy("eu", jurisdictions=["EU"])))
    after = samples.planned(
        one,
        policies=samples.governance(samples.policy("eu", jurisdictions=["FR"], regions=["fr-par"])),
        nodes=samples.NODES[:1],
    )
    assert samples.template(before) == samples.template(after)


def test_template_ignores_the_version_label_of_the_pool() -> None:
    one = samples.pool(**ONE)
    labels = {"app.kubernetes.io/version": "2", "sovereignai.io/tenant": "legal"}
    labelled = type(one)(type(one.owner)("InferencePool", "chat", "pool-uid", samples.NAMESPACE, 7, labels), one.spec)
    found = samples.template(samples.planned(labelled))["metadata"]["labels"]
    assert "app.kubernetes.io/version" not in found
    assert found["sovereignai.io/tenant"] == "legal"
