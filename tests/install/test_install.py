"""Install, upgrade and uninstall on a real API server."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from charts import sync
from testbed import Cluster

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("install")]

RUNTIMES = {"llama-cpp", "ollama", "sglang", "tgi", "vllm"}
POLICY = sync.ROOT / "manifests" / "samples" / "policy-eu.yaml"
Release = Callable[..., str]


def uid(cluster: Cluster, *what: str) -> str:
    return cluster.kubectl("get", *what, "-o", "jsonpath={.metadata.uid}")


def names(cluster: Cluster, resource: str) -> set[str]:
    items = json.loads(cluster.kubectl("get", resource, "-o", "json"))["items"]
    return {item["metadata"]["name"] for item in items}


def test_one_install_brings_kinds_runtimes_and_pods(bare: Cluster, release: Release) -> None:
    said = release()
    assert "kubectl label node NODE" in said
    deployment = ("deployment", sync.RELEASE, "-n", sync.NAMESPACE)
    assert bare.kubectl("get", *deployment, "-o", "jsonpath={.status.availableReplicas}") == "2"
    assert names(bare, "inferenceruntimes.sovereignai.io") == RUNTIMES


def test_upgrade_changes_crds_and_takes_the_runtimes_over(bare: Cluster, release: Release, tmp_path: Path) -> None:
    release()
    before = uid(bare, "inferenceruntimes.sovereignai.io", "vllm")
    chart = tmp_path / "chart"
    shutil.copytree(sync.CHART, chart)
    file = chart / "files" / "crds" / "sovereignai.io_sovereignmodels.yaml"
    crd = yaml.safe_load(file.read_text())
    crd["spec"]["names"]["shortNames"].append("weights")
    file.write_text(yaml.safe_dump(crd))
    image = "registry.example.eu/ai/vllm@sha256:" + "1" * 64

    release(f"--set=runtimes.images.vllm={image}", chart=chart)

    columns = ("-o", "jsonpath={.spec.names.shortNames}")
    assert "weights" in bare.kubectl("get", "crd", "sovereignmodels.sovereignai.io", *columns)
    runtime = ("inferenceruntimes.sovereignai.io", "vllm")
    assert bare.kubectl("get", *runtime, "-o", "jsonpath={.spec.image}") == image
    assert uid(bare, *runtime) == before


def test_uninstall_keeps_kinds_and_objects_and_a_new_install_finds_them(
    bare: Cluster, release: Release, uninstall: Callable[[], str]
) -> None:
    release()
    bare.kubectl("apply", "--server-side", "-f", str(POLICY))
    kept = [("sovereigntypolicies.sovereignai.io", "eu"), ("inferenceruntimes.sovereignai.io", "vllm")]
    before = [uid(bare, *each) for each in kept]

    said = uninstall()

    assert "[CustomResourceDefinition] sovereigntypolicies.sovereignai.io" in said
    assert "deployment" not in bare.kubectl("get", "deployment,role,rolebinding", "-n", sync.NAMESPACE)
    assert [uid(bare, *each) for each in kept] == before
    release()
    assert [uid(bare, *each) for each in kept] == before


def test_no_pods_when_scaled_to_none(bare: Cluster, release: Release) -> None:
    release("--set=replicas=0")
    deployment = ("deployment", sync.RELEASE, "-n", sync.NAMESPACE)
    assert bare.kubectl("get", *deployment, "-o", "jsonpath={.spec.replicas}") == "0"
