"""GPU memory and GPU counts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.api.conditions import Reason
from sovereign.api.model import LARGEST, Parameters
from sovereign.plan import sizing
from sovereign.plan.builtin import builtin
from sovereign.plan.gpus import GpuPlan, candidates, plan_gpus
from sovereign.plan.inventory import Node
from sovereign.plan.quantity import GIB
from sovereign.plan.sizing import Layout, Shape
from tests.plan.serving import samples

MISTRAL = Shape(
    weights=14_496_047_104,
    layers=32,
    kv_heads=8,
    head_dim=128,
    context=32768,
    cached=32768,
    attention_heads=32,
    hidden=4096,
    vocabulary=32768,
)
LARGE = Parameters(
    layers=88,
    hidden_size=12288,
    attention_heads=96,
    kv_heads=8,
    head_dim=128,
    vocab_size=32768,
    max_position_embeddings=32768,
    weights_bytes=245_000_000_000,
)


def plan(
    nodes: tuple[Node, ...] = samples.NODES,
    *,
    parameters: Parameters | None = samples.PARAMETERS,
    previous: int | None = None,
    engine: str = "vllm",
    imported: bool = True,
    **spec: Any,
) -> GpuPlan:
    one = samples.pool(engine, **spec)
    runtime = builtin()[engine]
    model = samples.model(runtime.spec.formats[0], parameters=parameters, imported=imported)
    return plan_gpus(one, model, runtime, candidates(nodes, one), previous)


def test_kv_cache_of_mistral_7b() -> None:
    # 32 layers x 2 x 8 heads x 128 x 2 bytes = 128 KiB a token, 4 GiB for 32768 tokens.
    assert sizing.kv_cache_bytes(MISTRAL, Layout(1)) == 4 * GIB
    assert sizing.kv_cache_bytes(MISTRAL, Layout(2, tensor=2)) == 2 * GIB


def test_a_rank_holds_at_least_one_kv_head() -> None:
    assert sizing.kv_cache_bytes(MISTRAL, Layout(16, tensor=16)) == sizing.kv_cache_bytes(MISTRAL, Layout(8, tensor=8))


def test_mistral_7b_needs_one_gpu_of_80_gib_and_two_of_20() -> None:
    assert plan().layout == Layout(1)
    assert plan((samples.node("small", memory=20475),)).layout == Layout(2, tensor=2)
    assert plan((samples.node("small", memory=20475),), maxModelLen=4096).layout == Layout(1)


def test_a_large_model_needs_four() -> None:
    found = plan(parameters=LARGE)
    assert found.layout.tensor == 4
    assert found.sized.reason == Reason.SIZED
    assert found.sizing is not None
    assert found.sizing.weights_bytes == 245_000_000_000


@given(
    st.integers(1, 10**12),
    st.integers(0, 10**11),
    st.integers(128, 10**6),
    st.integers(0, 10**6),
    st.sampled_from([1, 2, 4, 8]),
)
def test_need_grows_with_weights_and_context(
    weights: int, more_weights: int, context: int, more_context: int, ranks: int
) -> None:
    layout = Layout(ranks, tensor=ranks)

    def need(weights: int, context: int) -> int:
        shape = Shape(weights, 32, 8, 128, context, context, hidden=4096, vocabulary=32768)
        return sizing.per_gpu_bytes(shape, layout)

    base = need(weights, context)
    assert need(weights + more_weights, context) >= base
    assert need(weights, context + more_context) >= base
    shape = Shape(weights, 32, 8, 128, context, context, hidden=4096, vocabulary=32768)
    assert sizing.per_gpu_bytes(shape, Layout(2 * ranks, tensor=2 * ranks)) <= base


@given(st.integers(1, 4), st.integers(1, 4), st.integers(16, 640))
def test_a_planned_count_fits_and_half_of_it_would_not(pipeline: int, data: int, gib: int) -> None:
    found = plan(accelerator={"memory": f"{gib}Gi"}, parallelism={"pipeline": pipeline, "data": data}, parameters=LARGE)
    if found.blocking is not None:
        assert found.blocking.reason == Reason.COUNT_REQUIRED
        return
    layout = found.layout
    assert found.sized.ok
    assert layout.gpus == layout.tensor * pipeline * data
    if layout.tensor > 1:
        half = plan(
            accelerator={"memory": f"{gib}Gi"},
            parallelism={"tensor": layout.tensor // 2, "pipeline": pipeline, "data": data},
            parameters=LARGE,
        )
        assert half.sized.reason == Reason.DOES_NOT_FIT


@pytest.mark.parametrize("count", [1, 3, 64])
def test_a_stated_count_wins(count: int) -> None:
    found = plan((samples.node("tiny", memory=8192),), accelerator={"count": count})
    assert found.layout.gpus == count
    assert found.blocking is None
    assert not found.sized.ok
    assert found.sized.reason == Reason.DOES_NOT_FIT


def test_parallelism_gives_the_count() -> None:
    found = plan(parallelism={"tensor": 2, "pipeline": 2, "data": 2})
    assert found.layout == Layout(8, tensor=2, pipeline=2, data=2)


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({"accelerator": {"count": 3}, "parallelism": {"pipeline": 2}}, "multiple"),
        ({"accelerator": {"count": 3}, "parallelism": {"tensor": 2}}, "leave one of them out"),
        ({"accelerator": {"count": 0}}, "needs a GPU"),
    ],
)
def test_counts_that_contradict(spec: dict[str, Any], word: str) -> None:
    found = plan(**spec)
    assert found.blocking is not None
    assert found.blocking.reason == Reason.INVALID_SPEC
    assert word in found.blocking.message


def test_tensor_ranks_divide_the_attention_heads() -> None:
    odd = samples.PARAMETERS.model_copy(update={"attention_heads": 12, "kv_heads": 12})
    # Eight ranks would fit, but 12 heads cannot be shared by 8.
    found = plan((samples.node("small", memory=5120),), parameters=odd, maxModelLen=2048)
    assert found.blocking is not None
    assert plan((samples.node("small", memory=16384),), parameters=odd, maxModelLen=2048).layout.tensor == 2
    stated = plan(accelerator={"count": 8}, parameters=odd)
    assert stated.sized.reason == Reason.DOES_NOT_FIT
    assert "divisor" in stated.sized.message


@pytest.mark.parametrize(
    ("nodes", "parameters", "word"),
    [
        ((), samples.PARAMETERS, "accelerator.memory"),
        ((samples.node("silent", memory=None),), samples.PARAMETERS, "nvidia.com/gpu.memory"),
        (samples.NODES, None, "spec.parameters.layers"),
        ((samples.node("tiny", memory=2048),), samples.PARAMETERS, "fits no number"),
    ],
)
def test_a_count_that_cannot_be_planned_says_what_to_set(
    nodes: tuple[Node, ...], parameters: Parameters | None, word: str
) -> None:
    found = plan(nodes, parameters=parameters)
    assert found.blocking is not None
    assert found.blocking.reason == Reason.COUNT_REQUIRED
    assert word in found.blocking.message
    assert "accelerator.count" in found.blocking.message


@pytest.mark.parametrize("count", [0, 1, 8])
def test_absurd_sizes_do_not_fit(count: int) -> None:
    for parameters in (samples.ABSURD, samples.PARAMETERS):
        found = plan(
            engine="llama-cpp",
            parameters=parameters,
            accelerator={"count": count},
            maxModelLen=10_000_000,
            maxNumSeqs=65536,
        )
        assert found.sized.reason == Reason.DOES_NOT_FIT
        assert found.sizing is not None
        assert found.sizing.kv_cache_bytes == LARGEST


def test_an_unknown_is_never_shown_as_a_pass() -> None:
    for found in (
        plan(accelerator={"count": 1}, parameters=None),
        plan((), accelerator={"count": 1}),
        plan(engine="llama-cpp", accelerator={"count": 0}, parameters=None),
    ):
        assert found.blocking is None
        assert not found.sized.ok
        assert found.sized.reason == Reason.SIZE_UNKNOWN


def test_the_size_of_the_files_stands_in_for_the_weights() -> None:
    found = plan(parameters=samples.PARAMETERS.model_copy(update={"weights_bytes": None}))
    assert found.sizing is not None
    assert found.sizing.weights_bytes == 14_497_000_000


def test_on_cpu_memory_is_what_counts() -> None:
    small = plan(engine="llama-cpp", accelerator={"count": 0}, maxModelLen=4096)
    assert (small.layout.gpus, small.sized.ok, small.sized.rule) == (0, True, "resources.memory")
    long = plan(engine="llama-cpp", accelerator={"count": 0}, maxModelLen=4096, maxNumSeqs=16)
    assert long.sized.reason == Reason.DOES_NOT_FIT


def test_a_count_is_remembered_while_the_model_is_unknown() -> None:
    found = plan(parameters=None, previous=2)
    assert found.blocking is None
    assert found.sizing is not None
    assert found.sizing.gpus == found.layout.gpus == 2
    assert found.sized.reason == Reason.SIZE_UNKNOWN


# --- a planned count is kept ----------------------------------------------------------------------------

SMALL, BIG = samples.node("small", memory=20475), samples.node("big", memory=81559)


@pytest.mark.parametrize(
    ("nodes", "previous", "expected"),
    [
        ((SMALL,), None, 2),
        ((BIG,), None, 1),
        ((BIG, SMALL), None, 2),
        ((BIG, SMALL), 1, 1),  # a smaller GPU joined
        ((BIG, SMALL), 2, 2),  # a larger GPU joined
        ((BIG,), 2, 2),  # the smaller one left: twice what is needed is kept
        ((BIG,), 4, 1),  # four times is not
        ((SMALL,), 1, 2),  # what was planned fits nowhere any more
        ((), 2, 2),  # all nodes are away
    ],
)
def test_a_planned_count_is_kept_while_it_will_do(nodes: tuple[Node, ...], previous: int | None, expected: int) -> None:
    found = plan(nodes, previous=previous)
    assert found.blocking is None
    assert found.layout.gpus == expected


@given(st.lists(st.sampled_from([12288, 20475, 40960, 81559, 143771]), min_size=1, max_size=4), st.data())
def test_a_node_that_joins_changes_no_count(sizes: list[int], data: st.DataObject) -> None:
    nodes = tuple(samples.node(f"node-{index}", memory=memory) for index, memory in enumerate(sizes))
    before = plan(nodes)
    if before.blocking is not None:
        return
    joined = samples.node("new", memory=data.draw(st.sampled_from([6144, 12288, 20475, 81559, 143771])))
    after = plan((*nodes, joined), previous=before.layout.gpus)
    assert after.layout == before.layout


def test_the_least_memory_counts_and_the_warning_names_it() -> None:
    found = plan((BIG, SMALL), previous=1)
    assert found.sized.reason == Reason.DOES_NOT_FIT
    assert "nodeSelector" in found.sized.message


def test_node_selector_narrows_what_is_planned_for() -> None:
    labelled = samples.node("big", memory=81559, labels={"nvidia.com/gpu.product": "H100"})
    found = plan((SMALL, labelled), accelerator={"nodeSelector": {"nvidia.com/gpu.product": "H100"}})
    assert found.layout.gpus == 1
