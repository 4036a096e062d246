"""The pure parts of the demonstration on real nodes, and its manifests."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from sovereign.importer.journal import PartJournal
from sovereign.importer.source import RemoteFile
from testbed import models
from testbed.demo import weights
from testbed.demo.claims import StepFailed
from testbed.demo.nodes.answer import speakers
from testbed.demo.nodes.stage import FRENCH, GERMAN, MANIFESTS, asking, heard, pinned
from testbed.demo.stage import NAMESPACE
from testbed.nodes import outside, storage
from testbed.nodes.fleet import Fleet
from testbed.nodes.layout import Layout, parse
from testbed.nodes.node import REGISTRY
from testbed.story import chart, chat, reach
from testbed.story.pods import is_ready
from testbed.story.weights import arrived, folder, published, resumable

FLEET = Fleet(Path("/nowhere"), Layout(0, parse("fr:2,de:1,us:1"), "calico"), {}, {"registry": 5001, "apiserver": 6443})
SERVER = "https://10.160.0.1:6443"


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((MANIFESTS / name).read_text()))


# --- what can be reached ---------------------------------------------------------------------------------


def test_everything_that_is_tried_is_something_in_words() -> None:
    pod = {"status": {"podIP": "10.160.11.7"}}
    for target in reach.beyond(FLEET) | reach.within(FLEET, SERVER, [pod], chat.PORT):
        assert reach.describe(target, FLEET)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("tcp 203.0.113.10 80", "a host outside"),
        ("tcp 2001:db8::10 80", "a host outside"),
        ("tcp 169.254.169.254 80", "a cloud's metadata service"),
        (reach.SOURCE, "the S3 server with the weights"),
        ("tcp 203.0.113.20 80", "a host outside"),
        ("dns 203.0.113.53 www.outside.test", "a name server outside"),
        ("dns 10.96.0.10 kubernetes.default.svc.cluster.local", "the cluster's name server"),
        ("tcp 10.160.0.1 6443", "the API server"),
        ("tcp 10.160.0.1 5001", "the registry of the cluster"),
        ("tcp 10.96.0.1 443", "the API server, by its Service"),
        ("tcp 10.160.0.12 10250", "the kubelet of de-1"),
        ("tcp 10.160.11.7 8080", "a pod of another namespace"),
    ],
)
def test_words_for_what_is_tried(target: str, words: str) -> None:
    assert reach.describe(target, FLEET) == words


def test_all_nodes_and_both_families_are_tried() -> None:
    inner = reach.within(FLEET, SERVER, [], chat.PORT)
    assert {f"tcp 10.160.0.{10 + number} 10250" for number in range(4)} <= inner
    assert {target.partition(" ")[2].count(":") > 0 for target in reach.beyond(FLEET)} == {True, False}


# --- weights, questions ----------------------------------------------------------------------------------


def test_a_model_is_published_when_its_folder_has_its_digest_for_a_name(tmp_path: Path) -> None:
    (tmp_path / ".incoming").mkdir()
    (tmp_path / ".incoming" / "part").write_bytes(b"x" * 8192)
    assert arrived(tmp_path) >= 8192
    assert published(tmp_path) == []
    (tmp_path / ".incoming").rename(tmp_path / "sha256-abc")
    assert published(tmp_path) == [tmp_path / "sha256-abc"]


def test_what_need_not_be_fetched_again_is_what_the_importer_has_written_down(tmp_path: Path) -> None:
    assert resumable(tmp_path) == 0
    journal = PartJournal(tmp_path / ".import-0" / "parts" / "w.parts", RemoteFile("w", 70, "w", sha256="ab"), 32)
    journal.start()
    assert resumable(tmp_path) == 0
    journal.record([0, 2, 2])
    with (tmp_path / ".import-0" / "parts" / "w.parts").open("a") as torn:
        torn.write("[1, ")
    assert resumable(tmp_path) == 32 + 6


def test_a_volume_lies_in_the_folder_of_its_region() -> None:
    assert folder(Path("/c"), "fr-par-shared-0a1b") == Path("/c/volumes/fr-par/fr-par-shared-0a1b")


def test_what_was_asked_and_said() -> None:
    command = asking("Why?", chat.url(FRENCH, NAMESPACE))
    assert command[-1] == "http://smollm2-fr.assistants.svc.cluster.local:8080/v1/chat/completions"
    assert any('"content": "Why?"' in word for word in command)
    answer = '{"choices": [{"message": {"content": "Because."}}]}'
    assert heard(subprocess.CompletedProcess(command, 0, answer, "")) == "Because."
    with pytest.raises(StepFailed, match="does not answer: timed out"):
        heard(subprocess.CompletedProcess(command, 1, "", "timed out\n"))


def test_who_has_spoken_is_whose_counter_has_grown() -> None:
    assert speakers({"a": 3, "b": 4}, {"a": 3, "b": 9}) == ["b"]
    assert speakers({"a": 3}, {"a": 3, "new": 2}) == ["new"]


def test_ready_is_what_the_kubelet_says() -> None:
    assert not is_ready({})
    assert not is_ready({"status": {"conditions": [{"type": "Ready", "status": "False"}]}})
    assert is_ready({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})


def test_the_chart_lets_the_operator_reach_the_api_server_alone() -> None:
    api = {"endpoints": [{"addresses": ["10.160.0.1"]}], "ports": [{"name": "https", "port": 6443}]}
    image, egress, _ = chart.values("registry/ai/operator@sha256:abc", api)
    assert image == "--set=image.repository=registry/ai/operator,image.digest=sha256:abc"
    assert '"cidr": "10.160.0.1/32"' in egress
    assert '"port": 6443' in egress


# --- manifests -------------------------------------------------------------------------------------------


def test_images_are_pinned_by_name_wherever_they_are() -> None:
    images = {"llama-cpp": "r/ai/llama-cpp@sha256:1"}
    document = {
        "spec": {"runtime": {"image": "r/ai/llama-cpp"}, "containers": [{"image": "r/ai/other"}, {"name": "x"}]}
    }
    found = pinned(document, images)
    assert found["spec"]["runtime"]["image"] == "r/ai/llama-cpp@sha256:1"
    assert found["spec"]["containers"] == [{"image": "r/ai/other"}, {"name": "x"}]
    assert "sha256" not in str(document), "the manifest itself is left as it was"


def test_the_policy_fits_the_nodes() -> None:
    (policy,) = documents("policy.yaml")
    spec = policy["spec"]
    assert spec["images"]["registries"] == [f"{REGISTRY}/ai"]
    assert spec["models"]["s3Endpoint"] == f"https://{outside.S3_ADDRESS}:{outside.S3_PORT}"
    assert spec["network"]["importEgress"] == [{"cidr": f"{outside.S3_ADDRESS}/32", "ports": [outside.S3_PORT]}]
    assert spec["storage"]["storageClasses"] == [storage.class_name(region) for region in ("fr-par", "de-fra")]
    namespace, *_ = documents("tenant.yaml")
    assert namespace["metadata"]["name"] == NAMESPACE
    assert spec["namespaceSelector"]["matchLabels"].items() <= namespace["metadata"]["labels"].items()
    callers, strangers, *_ = documents("callers.yaml")
    assert spec["network"]["ingressNamespaces"]["matchLabels"] == callers["metadata"]["labels"]
    assert "labels" not in strangers["metadata"]


@pytest.mark.integration
def test_both_models_state_the_digest_of_the_weights() -> None:
    path = models.smollm2()
    wanted = weights.digest({path.name: path.read_bytes()})
    found = {model["metadata"]["name"]: model for name in ("fr", "de") for model in documents(f"model-{name}.yaml")}
    assert found.keys() == {FRENCH, GERMAN}
    assert {model["spec"]["digest"] for model in found.values()} == {wanted}


def test_a_pool_serves_the_model_of_its_name() -> None:
    assert {pool["metadata"]["name"]: pool["spec"]["modelRef"]["name"] for pool in documents("pools.yaml")} == {
        FRENCH: FRENCH,
        GERMAN: GERMAN,
    }
