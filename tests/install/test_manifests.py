"""Every manifest of the tree is applied to a real API server, strictly: no unknown field, no rule broken."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts import sync
from sovereign.api.kinds import BY_KIND
from sovereign.api.model import ModelSpec
from sovereign.api.pool import PoolSpec
from sovereign.importer.manifest import FileEntry, of
from sovereign.plan import sizing
from sovereign.plan.inventory import InferencePool, Owner, SovereignModel
from testbed import Cluster

SAMPLES = sync.ROOT / "manifests" / "samples"
SAMPLE_FILES = sorted(path for path in SAMPLES.glob("*.yaml") if path.name != "kustomization.yaml")
CPU_SAMPLE = SAMPLES / "ministral-3-3b-cpu.yaml"
INSTALL = sync.ROOT / "manifests" / "install.yaml"
RUNTIMES = sync.ROOT / "manifests" / "runtimes.yaml"
STRICTLY = ("apply", "--server-side", "--validate=strict", "-f")
ESTABLISHED = (
    "--for=condition=Established",
    *("crd", "-l", "app.kubernetes.io/part-of=sovereign-operator"),
    "--timeout=30s",
)


def documents(*files: Path) -> list[dict[str, Any]]:
    return [document for file in files for document in yaml.safe_load_all(file.read_text()) if document]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [document for document in documents(*SAMPLE_FILES) if document["kind"] == kind]


@pytest.fixture(scope="module")
def kinds(bare: Cluster) -> Cluster:
    """The cluster with the kinds and the samples' namespace in it."""
    bare.kubectl(*STRICTLY, str(sync.ROOT / "crds"))
    bare.kubectl("wait", *ESTABLISHED)
    bare.kubectl(*STRICTLY, str(SAMPLES / "namespace.yaml"))
    return bare


@pytest.mark.integration
@pytest.mark.xdist_group("install")
class TestOnAnApiServer:
    @pytest.mark.parametrize("file", SAMPLE_FILES, ids=lambda path: path.stem)
    def test_each_sample(self, kinds: Cluster, file: Path) -> None:
        said = kinds.kubectl(*STRICTLY, str(file))
        assert said.count("serverside-applied") == len(documents(file))

    def test_all_samples_at_once(self, kinds: Cluster) -> None:
        said = kinds.kubectl("apply", "--server-side", "--validate=strict", "-k", str(SAMPLES))
        assert said.count("serverside-applied") == len(documents(*SAMPLE_FILES))

    def test_operator_without_helm_in_two_steps(self, bare: Cluster) -> None:
        bare.kubectl(*STRICTLY, str(INSTALL))
        bare.kubectl("wait", *ESTABLISHED)
        bare.kubectl(*STRICTLY, str(RUNTIMES))
        deployment = (f"deployment/{sync.RELEASE}", "-n", sync.NAMESPACE)
        assert "successfully rolled out" in bare.kubectl("rollout", "status", *deployment, "--timeout=60s")
        # What was stored is what was meant.
        difference = bare.kubectl_as(bare.kubeconfig).run(
            "diff", "--server-side", "-f", str(INSTALL), "-f", str(RUNTIMES)
        )
        assert (difference.returncode, difference.stdout) == (0, ""), difference.stderr


def test_kustomization_names_every_sample() -> None:
    (kustomization,) = documents(SAMPLES / "kustomization.yaml")
    assert sorted(kustomization["resources"]) == [path.name for path in SAMPLE_FILES]


@pytest.mark.parametrize("document", [each for each in documents(*SAMPLE_FILES) if each["kind"] in BY_KIND],
                         ids=lambda each: f"{each['kind']}/{each['metadata']['name']}")  # fmt: skip
def test_samples_are_valid_offline_with_no_unknown_field(document: dict[str, Any]) -> None:
    kind = BY_KIND[document["kind"]]
    spec = kind.spec.model_validate(document["spec"], extra="forbid")
    assert spec.model_dump(by_alias=True, exclude_unset=True) == document["spec"]


def test_models_meet_the_policy_that_governs_them() -> None:
    (namespace,) = of_kind("Namespace")
    governing = [
        policy["spec"]
        for policy in of_kind("SovereigntyPolicy")
        if policy["spec"]["namespaceSelector"]["matchLabels"].items() <= namespace["metadata"]["labels"].items()
    ]
    assert len(governing) == 1
    for model in (each["spec"] for each in of_kind("SovereignModel")):
        assert model["source"]["uri"].startswith(tuple(governing[0]["models"]["sources"]))
        assert model["license"] in governing[0]["licenses"]["allow"]
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", model["digest"])


def test_each_pool_serves_a_model_of_its_file() -> None:
    for file in SAMPLE_FILES:
        models = {each["metadata"]["name"] for each in documents(file) if each["kind"] == "SovereignModel"}
        pools = [each for each in documents(file) if each["kind"] == "InferencePool"]
        assert {pool["spec"]["modelRef"]["name"] for pool in pools} == models


def test_a_digest_that_is_no_model_s_says_so() -> None:
    for file in SAMPLE_FILES:
        text = file.read_text()
        assert (f"digest: sha256:{'0' * 64}" in text) == ("# REPLACE: this digest is no model's" in text)


def test_the_digest_of_the_one_file_model_is_what_its_comment_says() -> None:
    text = CPU_SAMPLE.read_text()
    stated = re.search(r"(\d+) bytes, sha256 ([0-9a-f]{64})", text)
    assert stated
    (model,) = [each["spec"] for each in documents(CPU_SAMPLE) if each["kind"] == "SovereignModel"]
    (path,) = model["source"]["include"]
    assert of([FileEntry(path, int(stated[1]), stated[2])]).digest == model["digest"]
    assert model["parameters"]["weightsBytes"] == int(stated[1])


@pytest.mark.parametrize(
    ("name", "intermediate", "experts", "bytes_per_weight"),
    [("mistral-7b", 14336, 1, 2), ("mixtral-8x7b", 14336, 8, 2)],
)
def test_stated_sizes_follow_from_stated_shapes(
    name: str, intermediate: int, experts: int, bytes_per_weight: int
) -> None:
    (shape,) = [each["spec"]["parameters"] for each in of_kind("SovereignModel") if each["metadata"]["name"] == name]
    width = shape["hiddenSize"]
    heads = shape["attentionHeads"] + shape["kvHeads"]
    attention = 2 * width * heads * shape["headDim"]
    feed_forward = experts * 3 * width * intermediate + (experts * width if experts > 1 else 0)
    layers = shape["layers"] * (attention + feed_forward + 2 * width)
    weights = layers + width + 2 * shape["vocabSize"] * width
    assert shape["weightsBytes"] == weights * bytes_per_weight


@pytest.mark.parametrize(
    ("file", "gpus", "memory_mib", "fits"),
    [
        ("mistral-7b", 1, 23034, True),
        ("ministral-3-8b", 1, 23034, True),
        ("mistral-small-3.2", 2, 46068, True),
        ("mixtral-8x7b", 1, 81920, False),
        ("mixtral-8x7b", 2, 81920, True),
        ("mixtral-8x7b", 2, 46068, False),
        ("mixtral-8x7b", 4, 46068, True),
    ],
)
def test_samples_fit_the_gpus_that_their_comments_name(file: str, gpus: int, memory_mib: int, fits: bool) -> None:
    written = {each["kind"]: each["spec"] for each in documents(SAMPLES / f"{file}.yaml")}
    model = ModelSpec.model_validate(written["SovereignModel"])
    pool = PoolSpec.model_validate(written["InferencePool"])
    shape = sizing.shape(
        InferencePool(Owner("InferencePool", file), pool),
        SovereignModel(Owner("SovereignModel", file), model, parameters=model.parameters),
    )
    assert shape
    needed = sizing.per_gpu_bytes(shape, sizing.Layout(gpus=gpus, tensor=gpus))
    assert (needed <= sizing.usable_bytes(memory_mib << 20, pool.gpu_memory_utilization)) is fits
