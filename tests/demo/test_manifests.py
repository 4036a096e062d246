"""The demonstration's manifests are of one piece with its weights and with each other."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from sovereign.importer import manifest as manifests
from testbed.demo import weights
from testbed.demo.stage import MANIFESTS, NAMESPACE, TENANT
from testbed.demo.steps.bypasses import BYPASSES


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((MANIFESTS / name).read_text()))


def test_each_model_states_the_digest_of_its_weights_but_the_one_that_was_tampered_with() -> None:
    models = weights.models()
    stated = {model["metadata"]["name"]: model["spec"]["digest"] for model in documents("models.yaml")}
    assert stated.keys() == models.keys()
    assert {name for name, digest in stated.items() if weights.digest(models[name]) != digest} == {"mistral-7b-copy"}
    assert stated["mistral-7b-copy"] == stated["mistral-7b"]


@pytest.mark.parametrize("name", ["mistral-small", "ministral-3b"])
def test_the_digest_is_what_the_importer_computes(name: str, tmp_path: Path) -> None:
    files = weights.models()[name]
    for path, data in files.items():
        (tmp_path / path).write_bytes(data)
    assert manifests.build(tmp_path).digest == weights.digest(files)


def test_the_pools_are_for_one_gpu_for_two_and_for_none() -> None:
    pools = documents("pools.yaml")
    assert [pool["spec"]["accelerator"]["count"] for pool in pools] == [1, 2, 0]
    assert pools[1]["spec"]["parallelism"] == {"tensor": 2}
    assert pools[2]["spec"]["runtime"]["name"] == "llama-cpp"
    assert {pool["spec"]["modelRef"]["name"] for pool in pools} < weights.models().keys()


def test_there_are_five_bypasses_in_the_tenants_namespace() -> None:
    assert len(BYPASSES) == 5
    for bypass in BYPASSES:
        (manifest,) = yaml.safe_load_all(bypass.file.read_text())
        assert manifest["metadata"]["namespace"] == NAMESPACE


def test_the_tenant_edits_and_the_policy_governs_the_namespace() -> None:
    namespace, edit, *_ = documents("tenant.yaml")
    assert edit["roleRef"]["name"] == "edit"
    assert [subject["name"] for subject in edit["subjects"]] == [TENANT]
    (policy,) = documents("policy.yaml")
    assert policy["spec"]["namespaceSelector"]["matchLabels"].items() <= namespace["metadata"]["labels"].items()
