"""Manifests as people write them, and the command line as they call it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sovereign.api.meta import API_VERSION, FACT_DOMAIN
from sovereign.cli import app

Manifest = dict[str, Any]
Write = Callable[..., str]
Run = Callable[..., Result]
DIGEST = "sha256:" + "a" * 64
IMAGE = f"registry.example.eu/ai/vllm@{DIGEST}"


def policy(name: str = "eu", **spec: Any) -> Manifest:
    content = {
        "namespaceSelector": {"matchLabels": {"sovereignai.io/tier": "restricted"}},
        "placement": {"jurisdictions": ["FR", "DE"]},
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "SovereigntyPolicy",
        "metadata": {"name": name},
        "spec": content | spec,
    }


def model(name: str = "mistral", **spec: Any) -> Manifest:
    content = {"source": {"uri": "oci://registry.example.eu/models/mistral"}, "digest": DIGEST}
    return {
        "apiVersion": API_VERSION,
        "kind": "SovereignModel",
        "metadata": {"name": name, "namespace": "assistants"},
        "spec": content | spec,
    }


def pool(name: str = "chat", **spec: Any) -> Manifest:
    content = {
        "modelRef": {"name": "mistral"},
        "runtime": {"name": "vllm", "image": IMAGE},
        "accelerator": {"count": 1},
        "replicas": 2,
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "InferencePool",
        "metadata": {"name": name, "namespace": "assistants"},
        "spec": content | spec,
    }


def runtime(name: str = "own", **spec: Any) -> Manifest:
    return {"apiVersion": API_VERSION, "kind": "InferenceRuntime", "metadata": {"name": name}, "spec": spec}


def namespace(name: str = "assistants", tier: str = "restricted") -> Manifest:
    metadata = {"name": name, "labels": {"sovereignai.io/tier": tier}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def node(name: str, jurisdiction: str = "", gpus: int = 8, **labels: str) -> Manifest:
    facts = {f"{FACT_DOMAIN}/jurisdiction": jurisdiction} if jurisdiction else {}
    own = {key.replace("__", "/").replace("_", "."): value for key, value in labels.items()}
    status = {"allocatable": {"cpu": "64", "nvidia.com/gpu": str(gpus)}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": facts | own}, "status": status}


NODES = [node("gpu-fr-1", "FR"), node("gpu-us-1", "US"), node("control-1")]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write(manifest, ..., name="x.json")`` makes a file and returns its path."""

    def file(*manifests: Manifest, name: str = "manifests.json") -> str:
        path = tmp_path / name
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}))
        return str(path)

    return file


@pytest.fixture
def run() -> Run:
    """``run("plan", "-f", ...)`` calls the command line in this process."""
    runner = CliRunner()

    def call(*args: str, input: str | None = None) -> Result:  # noqa: A002 - the name CliRunner uses
        result = runner.invoke(app, list(args), input=input)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return call
