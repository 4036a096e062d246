"""What holds for every pool."""

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sovereign.api.meta import approved_label
from sovereign.api.model import Parameters
from sovereign.plan.builtin import builtin
from sovereign.plan.inventory import Node
from sovereign.plan.pool import PoolPlan
from tests.plan.serving import restricted, samples
from tests.plan.serving.test_templates import expand

TEXT = st.text(max_size=30)
NASTY = st.text(alphabet="$()KEY{}%'\" =-\\abc", max_size=30)
LABEL = st.sampled_from(["disk", "nvidia.com/gpu.product", approved_label("eu"), approved_label("fr"), "zone"])


@st.composite
def pools(draw: st.DrawFn) -> dict[str, Any]:
    """The spec of a pool, with its engine under ``engine``."""
    engine = draw(st.sampled_from(sorted(builtin())))
    on_cpu = builtin()[engine].spec.accelerator == "Optional"
    return {
        "engine": engine,
        "accelerator": {
            "count": draw(st.sampled_from([0, 1, 2, 4] if on_cpu else [1, 2, 4])),
            "nodeSelector": draw(st.dictionaries(LABEL, st.sampled_from(["true", "false", "x"]), max_size=3)),
        },
        "maxModelLen": draw(st.none() | st.integers(128, 10**6)),
        "maxNumSeqs": draw(st.none() | st.integers(1, 1000)),
        "gpuMemoryUtilization": draw(st.floats(0.1, 0.99)),
        "placement": {
            "jurisdictions": draw(st.lists(st.sampled_from(["FR", "DE", "EU"]), unique=True)),
            "regions": draw(st.lists(st.sampled_from(["fr-par", "de-fra"]), unique=True)),
            "spread": {
                "by": draw(st.sampled_from(["node", "region", "jurisdiction"])),
                "minDomains": draw(st.none() | st.integers(1, 3)),
            },
        },
        "rollout": {"strategy": draw(st.sampled_from(["Auto", "Surge", "NoSurge"]))},
        "suspend": draw(st.booleans()),
    }


def plan_of(spec: dict[str, Any], **other: Any) -> PoolPlan:
    fields = {name: value for name, value in spec.items() if name != "engine"}
    return samples.planned(samples.pool(spec["engine"], **fields), **other)


GOVERNANCE = samples.governance(samples.policy("eu"), samples.policy("fr", jurisdictions=["EEA"]))


@given(pools())
def test_every_pod_is_restricted_and_goes_to_approved_nodes_only(spec: dict[str, Any]) -> None:
    plan = plan_of(spec, policies=GOVERNANCE)
    assert plan.blocking is None
    pod = samples.template(plan)["spec"]
    assert restricted.violations(pod) == []
    assert pod["nodeSelector"].items() >= {approved_label("eu"): "true", approved_label("fr"): "true"}.items()
    wanted = spec["accelerator"]["nodeSelector"]
    assert all(pod["nodeSelector"][key] == value for key, value in wanted.items() if not key.endswith("/approved"))


@given(pools(), st.permutations([samples.node(f"n-{index}", memory=20_000 * (index + 1)) for index in range(4)]))
def test_planning_is_deterministic_and_blind_to_the_order_of_nodes(spec: dict[str, Any], nodes: list[Node]) -> None:
    planned_count = spec | {"accelerator": {}}
    first = plan_of(planned_count, nodes=sorted(nodes, key=lambda node: node.name))
    assert plan_of(planned_count, nodes=nodes) == first
    if first.sizing is not None:
        again = plan_of(planned_count, nodes=nodes, previous=first.sizing.gpus)
        assert again == first, "planning on top of what was planned changes nothing"


@given(pools())
def test_manifests_share_nothing(spec: dict[str, Any]) -> None:
    first = plan_of(spec)
    kept = copy.deepcopy(first.children)
    for manifest in first.children:
        manifest["spec"] = manifest["metadata"] = None
    for manifest in plan_of(spec).children:
        for value in manifest.values():
            if isinstance(value, dict):
                value.clear()
    assert plan_of(spec).children == kept


@given(NASTY | TEXT, NASTY | TEXT)
def test_a_pools_strings_stay_one_argument_and_one_variable_each(argument: str, value: str) -> None:
    plain = samples.planned(samples.pool())
    # Straight into the typed model: an API server would refuse some of these strings before the core sees them.
    one = samples.pool(
        runtime={"args": [f"--seed={argument}"], "env": [{"name": "NCCL_DEBUG", "value": value}]},
        network={"apiKeySecretRef": {"name": "key"}},
    )
    plan = samples.planned(one)
    if plan.blocking is not None:
        assert not argument.isprintable() or "\x00" in value
        return
    args, secrets = samples.container(plan)["args"], {"KEY": "secret", "VLLM_API_KEY": "secret"}
    assert len(args) == len(samples.container(plain)["args"]) + 1
    assert expand(args[-1], secrets) == f"--seed={argument}"
    assert expand(samples.environment(plan)["NCCL_DEBUG"], secrets) == value


@given(NASTY | TEXT, NASTY | TEXT)
def test_what_the_weights_say_of_themselves_stays_text(entrypoint: str, quantization: str) -> None:
    parameters = Parameters.model_construct(**samples.PARAMETERS.model_dump() | {"quantization": quantization})
    weights = samples.model("gguf", parameters=parameters, entrypoint=entrypoint)
    one = samples.pool("llama-cpp", accelerator={"count": 0})
    plan, plain = samples.planned(one, weights), samples.planned(one)
    if plan.blocking is not None:
        assert plan.children == ()
        return
    args = samples.container(plan)["args"]
    assert len(args) == len(samples.container(plain)["args"])
    assert expand(args[1], {"KEY": "secret", "HOME": "x"}) == f"/models/mistral-7b/{entrypoint}"
