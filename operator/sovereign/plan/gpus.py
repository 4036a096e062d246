"""How many GPUs one replica gets.

What the user states always wins: ``accelerator.count``, else the product of ``parallelism``. Only where both are left out is the count
planned: the smallest of 1, 2, 4, 8, ... tensor ranks on which the estimate fits the least GPU memory among the nodes.

A planned count is kept. Another count is another pod template, so every pod would restart; the nodes of a cluster come and go, and that
must not restart anything. So the count of the last plan stays while

- it fits the GPUs of at least one node (a smaller GPU that joins takes nothing away), and
- it is at most twice what would be planned anew (a larger GPU that joins, or a small one that leaves, frees nothing at once).
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from sovereign.api.conditions import Reason
from sovereign.api.pool import Sizing
from sovereign.plan import sizing
from sovereign.plan.inventory import InferencePool, Node, Runtime, SovereignModel
from sovereign.plan.jurisdictions import expand
from sovereign.plan.quantity import gibibytes, whole
from sovereign.plan.sizing import Layout, Shape
from sovereign.plan.verdict import Verdict

MEMORY_LABEL: Final = "nvidia.com/gpu.memory"
"""Set by NVIDIA's GPU feature discovery: MiB of one GPU."""
MAX_GPUS: Final = 64
_RULE: Final = "accelerator.count"
_RANKS: Final = (1, 2, 4, 8, 16, 32, 64)


class GpuPlan(NamedTuple):
    """The GPUs of one replica."""

    layout: Layout
    sizing: Sizing | None
    sized: Verdict
    """Whether the model fits; a warning when it does not."""
    blocking: Verdict | None = None
    """Why no count could be found; ``layout`` is meaningless then."""


class _Memory(NamedTuple):
    """Memory of one GPU in bytes, over the nodes that may be used."""

    least: int
    most: int


def candidates(nodes: Sequence[Node], pool: InferencePool) -> Sequence[Node]:
    """Those of ``nodes`` that the pool's own placement and ``accelerator.nodeSelector`` leave."""
    placement, selector = pool.spec.placement, pool.spec.accelerator.node_selector
    if not (placement.jurisdictions or placement.regions or selector):
        return nodes
    jurisdictions = frozenset(expand(placement.jurisdictions))
    regions = frozenset(placement.regions)
    return [
        node
        for node in nodes
        if (not jurisdictions or node.jurisdiction in jurisdictions)
        and (not regions or node.region in regions)
        and all(node.labels.get(key) == value for key, value in selector.items())
    ]


def availability(pool: InferencePool, nodes: Sequence[Node], gpus: int) -> Verdict:
    """Whether one of ``nodes``, the candidates, could hold a replica of ``gpus`` GPUs. If not, its pods stay Pending."""
    if not nodes:
        return Verdict(
            False,
            "placement",
            Reason.NO_APPROVED_NODE,
            "no node is approved by every policy of the namespace and matches placement and accelerator.nodeSelector; "
            "replicas stay Pending. kubectl sovereign explain shows which rule rejects which node",
        )
    resource = pool.spec.accelerator.resource_name
    if not gpus or any(_allocatable(node, resource) >= gpus for node in nodes):
        return Verdict(True, "placement", Reason.READY)
    most = max(_allocatable(node, resource) for node in nodes)
    return Verdict(
        False,
        _RULE,
        Reason.INSUFFICIENT_ACCELERATORS,
        f"a replica needs {gpus} {resource} on one node, but no approved node has more than {most}; replicas stay Pending. "
        "Add such a node, or lower accelerator.count",
        found=str(most),
    )


def plan_gpus(
    pool: InferencePool,
    model: SovereignModel,
    runtime: Runtime,
    nodes: Sequence[Node],
    previous: int | None = None,
) -> GpuPlan:
    """The GPUs of one replica of ``pool``.

    Args:
        pool: the pool.
        model: the model that it serves.
        runtime: the engine.
        nodes: the candidates for its pods.
        previous: the count of the last plan, which is kept as the module's text says.
    """
    stated = _stated(pool, runtime)
    if isinstance(stated, Verdict):
        return _blocked(stated)
    shape = sizing.shape(pool, model)
    if stated is not None and stated.gpus == 0:
        return _on_cpu(pool, model, shape)
    memory = _memory(pool, nodes)
    if stated is not None:
        return _judged(stated, pool, model, shape, memory)
    layout = _planned(pool, model, shape, memory, previous)
    if isinstance(layout, Verdict):
        return _blocked(layout)
    return _judged(layout, pool, model, shape, memory)


def _blocked(verdict: Verdict) -> GpuPlan:
    return GpuPlan(Layout(gpus=0), None, verdict, blocking=verdict)


def _stated(pool: InferencePool, runtime: Runtime) -> Layout | Verdict | None:
    """The layout that the user states, or why it cannot be, or None when it is to be planned."""
    count, parallelism = pool.spec.accelerator.count, pool.spec.parallelism
    if count == 0:
        if runtime.spec.accelerator == "Optional":
            return Layout(gpus=0)
        return _invalid(f"runtime {runtime.name} needs a GPU; set accelerator.count to 1 or more, or leave it out")
    copies = parallelism.pipeline * parallelism.data
    tensor = parallelism.tensor
    if tensor is None:
        if count is None:
            return None
        if count % copies:
            return _invalid(
                f"accelerator.count is {count}, which is not a multiple of parallelism.pipeline x data = {copies}; change one of them"
            )
        tensor = count // copies
    if count not in (None, tensor * copies):
        return _invalid(
            f"accelerator.count is {count}, but parallelism.tensor x pipeline x data is {tensor * copies}; leave one of them out"
        )
    return _layout(pool, tensor)


def _invalid(message: str) -> Verdict:
    return Verdict(False, _RULE, Reason.INVALID_SPEC, message)


def _layout(pool: InferencePool, tensor: int) -> Layout:
    parallelism = pool.spec.parallelism
    return Layout(
        gpus=tensor * parallelism.pipeline * parallelism.data,
        tensor=tensor,
        pipeline=parallelism.pipeline,
        data=parallelism.data,
    )


def _allocatable(node: Node, resource: str) -> int:
    value = node.allocatable.get(resource, "0")
    return int(value) if value.isdecimal() else whole(value)


def _memory(pool: InferencePool, nodes: Iterable[Node]) -> _Memory | None:
    accelerator = pool.spec.accelerator
    if accelerator.memory is not None:
        stated = whole(accelerator.memory)
        return _Memory(stated, stated)
    if not accelerator.resource_name.startswith("nvidia.com/"):
        return None
    labels = {node.labels[MEMORY_LABEL] for node in nodes if MEMORY_LABEL in node.labels}
    sizes = [int(label) * 2**20 for label in labels if label.isdecimal()]
    return _Memory(min(sizes), max(sizes)) if sizes else None


def _fits(shape: Shape, layout: Layout, memory: int, utilization: float) -> bool:
    usable = sizing.usable_bytes(memory, utilization)
    return sizing.divides(shape, layout) and sizing.per_gpu_bytes(shape, layout) <= usable


@lru_cache(maxsize=4096)
def _smallest(shape: Shape, one: Layout, memory: int, utilization: float) -> Layout | None:
    """The layout with the fewest tensor ranks that fits, made from ``one``, which has one rank."""
    for ranks in _RANKS:
        layout = Layout(gpus=one.gpus * ranks, tensor=ranks, pipeline=one.pipeline, data=one.data)
        if layout.gpus <= MAX_GPUS and _fits(shape, layout, memory, utilization):
            return layout
    return None


def _planned(
    pool: InferencePool,
    model: SovereignModel,
    shape: Shape | None,
    memory: _Memory | None,
    previous: int | None,
) -> Layout | Verdict:
    """The layout to use where the user states none."""
    copies = pool.spec.parallelism.pipeline * pool.spec.parallelism.data
    # The last plan is read from the status, which others than the operator may have written.
    sound = previous is not None and 0 < previous <= MAX_GPUS and previous % copies == 0
    kept = _layout(pool, previous // copies) if previous is not None and sound else None
    if shape is None or memory is None:
        # Nothing says that the last plan was wrong: a node that is away for a while must not stop a pool.
        return kept or _count_required(pool, model, shape)
    fresh = _smallest(shape, _layout(pool, 1), memory.least, pool.spec.gpu_memory_utilization)
    if kept and _is_kept(kept, fresh, shape, memory, pool):
        return kept
    if fresh is None:
        return Verdict(
            False,
            _RULE,
            Reason.COUNT_REQUIRED,
            f"the model fits no number of GPUs with {gibibytes(memory.least)} up to {MAX_GPUS}, by the estimate; set accelerator.count, "
            "lower maxModelLen, or name larger GPUs in accelerator.nodeSelector",
        )
    return fresh


def _is_kept(kept: Layout, fresh: Layout | None, shape: Shape, memory: _Memory, pool: InferencePool) -> bool:
    wasteful = fresh is not None and kept.gpus > 2 * fresh.gpus
    return not wasteful and _fits(shape, kept, memory.most, pool.spec.gpu_memory_utilization)


def _count_required(pool: InferencePool, model: SovereignModel, shape: Shape | None) -> Verdict:
    if shape is None:
        unknown = ", ".join(sizing.unknowns(pool, model))
        message = f"the number of GPUs cannot be planned, because {unknown} of SovereignModel {model.owner.name} is not known yet; "
    else:
        message = f"the number of GPUs cannot be planned, because no approved node says how much memory its GPUs have ({MEMORY_LABEL}); "
    return Verdict(
        False,
        _RULE,
        Reason.COUNT_REQUIRED,
        message + "set accelerator.count" + (" or accelerator.memory" if shape else "") + "; accelerator.count: 0 runs "
        "on CPU where the runtime can",
    )


def _judged(
    layout: Layout, pool: InferencePool, model: SovereignModel, shape: Shape | None, memory: _Memory | None
) -> GpuPlan:
    if shape is None:
        return _unestimated(layout, pool, model)
    if memory is None:
        unknown = _unknown("the memory of a GPU is not known; state accelerator.memory", model)
        return GpuPlan(layout, sizing.estimate(shape, layout), unknown)
    return _estimated(layout, shape, memory, pool.spec.gpu_memory_utilization)


@lru_cache(maxsize=4096)
def _estimated(layout: Layout, shape: Shape, memory: _Memory, utilization: float) -> GpuPlan:
    estimate = sizing.estimate(shape, layout)
    if not sizing.divides(shape, layout):
        message = f"{layout.tensor} tensor ranks do not divide the model's {shape.attention_heads} attention heads; choose a divisor"
        return GpuPlan(layout, estimate, Verdict(False, _RULE, Reason.DOES_NOT_FIT, message))
    usable = sizing.usable_bytes(memory.least, utilization)
    message = (
        f"by the estimate each GPU has to hold {gibibytes(estimate.per_gpu_bytes)}, "
        f"and {gibibytes(usable)} of {gibibytes(memory.least)} can be used"
    )
    if estimate.per_gpu_bytes <= usable:
        return GpuPlan(layout, estimate, Verdict(True, _RULE, Reason.SIZED, message))
    advice = (
        " on the smallest one; name the larger GPUs in accelerator.nodeSelector"
        if memory.most > memory.least
        else "; raise accelerator.count, lower maxModelLen or use larger GPUs"
    )
    return GpuPlan(layout, estimate, Verdict(False, _RULE, Reason.DOES_NOT_FIT, message + advice))


def _on_cpu(pool: InferencePool, model: SovereignModel, shape: Shape | None) -> GpuPlan:
    layout = Layout(gpus=0)
    if shape is None:
        return _unestimated(layout, pool, model)
    estimate = sizing.estimate(shape, layout)
    need, memory = estimate.weights_bytes + estimate.kv_cache_bytes, whole(pool.spec.resources.memory)
    message = f"weights and KV cache take {gibibytes(need)}, resources.memory is {gibibytes(memory)}"
    if need <= memory:
        return GpuPlan(layout, estimate, Verdict(True, "resources.memory", Reason.SIZED, message))
    return GpuPlan(
        layout,
        estimate,
        Verdict(
            False,
            "resources.memory",
            Reason.DOES_NOT_FIT,
            message + "; raise resources.memory or lower maxModelLen",
        ),
    )


def _unestimated(layout: Layout, pool: InferencePool, model: SovereignModel) -> GpuPlan:
    verdict = _unknown("not known: " + ", ".join(sizing.unknowns(pool, model)), model)
    # The count alone, because the next plan keeps it.
    return GpuPlan(layout, Sizing(gpus=layout.gpus), verdict)


def _unknown(what: str, model: SovereignModel) -> Verdict:
    return Verdict(
        False, _RULE, Reason.SIZE_UNKNOWN, f"nothing was computed for SovereignModel {model.owner.name}: {what}"
    )
