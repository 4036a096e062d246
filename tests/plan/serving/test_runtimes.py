"""The built-in engines, as data and as they render."""

import re
from collections.abc import Iterable

import pytest

from sovereign import runtimes
from sovereign.api.kinds import RUNTIME
from sovereign.api.meta import API_VERSION
from sovereign.api.runtime import RuntimeSpec
from sovereign.plan.builtin import builtin
from sovereign.plan.engine import SWITCHES, UNSET, refused
from tests.plan.serving import samples

ENGINES = ("llama-cpp", "ollama", "sglang", "tgi", "vllm")
OPENING = re.compile(
    r"--(trust|host|ssl|allow|api-key|enable-lora|lora|tool-server|tools|mcp|agent|chat-template|download|model|served|ngrok|otlp|rpc|"
    r"port|middleware|config|path|log-requests|speculative|revision|tokenizer$|root-path|cors|hostname|admin)"
)
"""What opens an engine, makes it load code or other models, or is a field of the pool."""


def test_there_are_five() -> None:
    assert tuple(builtin()) == ENGINES


@pytest.mark.parametrize("manifest", runtimes.manifests(), ids=ENGINES)
def test_manifest(manifest: dict[str, object]) -> None:
    assert manifest.keys() == {"apiVersion", "kind", "metadata", "spec"}
    assert (manifest["apiVersion"], manifest["kind"]) == (API_VERSION, RUNTIME.kind)
    assert RuntimeSpec.model_validate(manifest["spec"], extra="forbid").image is None


@pytest.mark.parametrize("name", ENGINES)
def test_overrides_open_nothing(name: str) -> None:
    overrides = builtin()[name].spec.overrides
    assert [flag for flag in overrides.args if OPENING.match(flag) or refused(flag)] == []
    assert [variable for variable in overrides.env if variable in SWITCHES or variable in UNSET] == []
    assert overrides.args == sorted(overrides.args)
    assert overrides.env == sorted(overrides.env)


@pytest.mark.parametrize("name", ENGINES)
def test_offline_and_silent(name: str) -> None:
    environment = samples.environment(samples.planned(samples.pool(name)))
    assert environment.items() >= SWITCHES.items()
    assert not environment.keys() & UNSET


def _pairs(args: Iterable[str]) -> set[str]:
    """``--flag=value`` for arguments of either form."""
    found, flag = set(), ""
    for arg in args:
        if arg.startswith("--"):
            found.add(arg)
            flag = arg
        else:
            found.add(f"{flag}={arg}")
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "vllm",
            {
                "--tensor-parallel-size=2",
                "--max-model-len=8192",
                "--max-num-seqs=16",
                "--gpu-memory-utilization=0.9",
            },
        ),
        ("sglang", {"--tp=2", "--context-length=8192", "--max-running-requests=16", "--mem-fraction-static=0.9"}),
        ("tgi", {"--num-shard=2", "--max-total-tokens=8192", "--max-batch-size=16", "--cuda-memory-fraction=0.9"}),
        ("llama-cpp", {"--ctx-size=131072", "--parallel=16", "--n-gpu-layers=999", "--no-slots", "--no-webui"}),
    ],
)
def test_fields_of_the_pool_reach_the_engine(name: str, expected: set[str]) -> None:
    plan = samples.planned(samples.pool(name, accelerator={"count": 2}, maxModelLen=8192, maxNumSeqs=16))
    assert _pairs(samples.container(plan)["args"]) >= expected


def test_ollama_serves_a_prepared_store() -> None:
    plan = samples.planned(samples.pool("ollama", maxModelLen=8192), samples.model("gguf", entrypoint=""))
    environment = samples.environment(plan)
    assert environment["OLLAMA_MODELS"] == "/models/mistral-7b"
    assert environment["OLLAMA_NOPRUNE"] == "1"
    assert environment["OLLAMA_CONTEXT_LENGTH"] == "8192"
    assert "OLLAMA_NUM_PARALLEL" not in environment


def test_sglang_gets_its_key_from_the_secret() -> None:
    plan = samples.planned(samples.pool("sglang", network={"apiKeySecretRef": {"name": "chat-key"}}))
    engine = samples.container(plan)
    assert "--api-key=$(SGLANG_API_KEY)" in engine["args"]
    assert engine["env"][0] == {
        "name": "SGLANG_API_KEY",
        "valueFrom": {"secretKeyRef": {"name": "chat-key", "key": "api-key"}},
    }
