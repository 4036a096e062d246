"""Pools, models, policies and nodes to plan with."""

from collections.abc import Sequence
from typing import Any

from sovereign.api.kinds import MODEL, POLICY, POOL, RUNTIME
from sovereign.api.meta import FACT_JURISDICTION, FACT_REGION
from sovereign.api.model import LARGEST, Artifact, Parameters
from sovereign.plan.builtin import builtin
from sovereign.plan.governance import Governance
from sovereign.plan.inventory import (
    InferencePool,
    Manifest,
    Node,
    Owner,
    Policy,
    Runtime,
    Settings,
    SovereignModel,
)
from sovereign.plan.pool import PoolPlan, plan_pool

NAMESPACE = "team-a"
IMAGE = f"registry.example.eu/ai/engine@sha256:{'e' * 64}"
PARAMETERS = Parameters(
    architecture="MistralForCausalLM",
    layers=32,
    hidden_size=4096,
    attention_heads=32,
    kv_heads=8,
    head_dim=128,
    vocab_size=32768,
    max_position_embeddings=32768,
    dtype="bfloat16",
    weights_bytes=14_496_047_104,
)
"""Mistral 7B Instruct v0.3."""
ABSURD = Parameters(
    layers=LARGEST,
    hidden_size=LARGEST,
    attention_heads=LARGEST,
    kv_heads=LARGEST,
    head_dim=LARGEST,
    vocab_size=LARGEST,
    max_position_embeddings=LARGEST,
    weights_bytes=LARGEST,
)
"""What a model may claim, and no machine can hold."""
SETTINGS = Settings()


def policy(name: str = "eu", **placement: Any) -> Policy:
    spec = {
        "namespaceSelector": {"matchLabels": {"sovereignai.io/tier": "restricted"}},
        "placement": {"jurisdictions": ["EU"]} | placement,
    }
    return Policy(Owner("SovereigntyPolicy", name), POLICY.parse({"spec": spec}))


def governance(*policies: Policy) -> Governance:
    return Governance(tuple(sorted(policies or (policy(),), key=lambda one: one.name)), NAMESPACE)


def model(
    format_: str = "safetensors",
    *,
    imported: bool = True,
    parameters: Parameters | None = PARAMETERS,
    path: str = f"sha256-{'d' * 64}",
    entrypoint: str | None = None,
) -> SovereignModel:
    if entrypoint is None:
        entrypoint = "mistral-7b-instruct-v0.3.Q8_0.gguf" if format_ == "gguf" else ""
    artifact = Artifact(
        digest=f"sha256:{'d' * 64}",
        claim="mistral-7b-weights",
        path=path,
        entrypoint=entrypoint,
        bytes=14_497_000_000,
        files=12,
    )
    return SovereignModel(
        Owner("SovereignModel", "mistral-7b", uid="model-uid", namespace=NAMESPACE),
        MODEL.parse({"spec": {"source": {"uri": "s3://weights-fr/mistral-7b"}, "format": format_}}),
        artifact if imported else None,
        parameters,
    )


def pool(engine: str = "vllm", /, **spec: Any) -> InferencePool:
    base: dict[str, Any] = {"modelRef": {"name": "mistral-7b"}, "replicas": 2, **spec}
    if "autoscaling" in base:
        del base["replicas"]
    base["runtime"] = {"name": engine, "image": IMAGE} | base.get("runtime", {})
    return InferencePool(
        Owner("InferencePool", "chat", uid="pool-uid", namespace=NAMESPACE), POOL.parse({"spec": base})
    )


def runtime(**spec: Any) -> Runtime:
    return Runtime("own", RUNTIME.parse({"spec": spec}))


def node(name: str, gpus: int = 8, memory: int | None = 81559, labels: dict[str, str] | None = None) -> Node:
    known = {FACT_JURISDICTION: "FR", FACT_REGION: "fr-par"} | (labels or {})
    if memory is not None:
        known["nvidia.com/gpu.memory"] = str(memory)
    return Node(name, labels=known, allocatable={"cpu": "64", "nvidia.com/gpu": str(gpus)})


NODES = (node("gpu-fr-1"), node("gpu-fr-2"))


def planned(
    one: InferencePool,
    weights: SovereignModel | None = None,
    engine: Runtime | None = None,
    policies: Governance | None = None,
    nodes: Sequence[Node] = NODES,
    previous: int | None = None,
    settings: Settings = SETTINGS,
) -> PoolPlan:
    """The plan of ``one`` with a model, runtime and policy that suit it."""
    engine = engine or builtin()[one.spec.runtime.name]
    weights = weights or model(engine.spec.formats[0])
    return plan_pool(one, weights, engine, policies or governance(), nodes, settings, previous)


def child(plan: PoolPlan, kind: str) -> Manifest:
    (found,) = [manifest for manifest in plan.children if manifest["kind"] == kind]
    return found


def template(plan: PoolPlan) -> Manifest:
    found: Manifest = child(plan, "Deployment")["spec"]["template"]
    return found


def container(plan: PoolPlan) -> Manifest:
    (found,) = template(plan)["spec"]["containers"]
    return dict(found)


def environment(plan: PoolPlan) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in container(plan)["env"]}
