"""How much memory a model needs on each GPU: an estimate that decides nothing when the user states a count.

For each GPU, in bytes::

    weights / (tensor x pipeline)                              exact, as read from the files
  + KV cache of one sequence of the longest context (of maxNumSeqs sequences with gguf, because llama.cpp reserves them all at start):
      ceil(layers / pipeline) x 2 x ceil(kv_heads / tensor) x head_dim x 2 bytes x tokens
  + activations of one prefill step: the largest of MLP, attention and logits
  + 2 GiB for the CUDA context, graphs and communication buffers (1.5 to 2.4 GiB were seen)

and it fits when 1.05 times that is within ``gpuMemoryUtilization`` of the GPU's memory. The KV cache is counted as 16 bits wide and every
layer as full attention, so sliding windows, MLA and 8-bit caches need less than this says.

Source: KAITO's estimator, vLLM's ``FullAttentionSpec``; a tensor-parallel rank holds at least one KV head.
"""

from functools import lru_cache
from typing import Final

import msgspec

from sovereign.api.model import LARGEST, Parameters
from sovereign.api.pool import Sizing
from sovereign.plan.inventory import InferencePool, SovereignModel
from sovereign.plan.quantity import GIB

CONSTANT_BYTES: Final = 2 * GIB
"""What each GPU holds besides weights, KV cache and activations."""
KV_BYTES: Final = 2
ACTIVATION_BYTES: Final = 2
PREFILL_TOKENS: Final = 8192
"""Tokens of one prefill step; longer prompts are cut into chunks."""
DEFAULT_SEQUENCES: Final = 256
MLP_WIDTH: Final = 4
"""Width of an MLP in hidden sizes; config.json's intermediate size is not among the parameters."""
HEADROOM_PERCENT: Final = 5
READ_BYTES_PER_SECOND: Final = 200 * 10**6
"""Assumed rate at which weights are read into memory."""
MINIMUM_STARTUP_SECONDS: Final = 600


class Layout(msgspec.Struct, frozen=True):
    """How one replica is spread over its GPUs. GPUs = tensor x pipeline x data; none of them on CPU."""

    gpus: int
    tensor: int = 1
    pipeline: int = 1
    data: int = 1


class Shape(msgspec.Struct, frozen=True):
    """What of a model and its use decides how much memory it needs."""

    weights: int
    """Bytes of all weights."""
    layers: int
    kv_heads: int
    head_dim: int
    context: int
    """Tokens of the longest sequence."""
    cached: int
    """Tokens whose KV cache has to fit."""
    attention_heads: int | None = None
    hidden: int = 0
    vocabulary: int = 0
    sequences: int = DEFAULT_SEQUENCES
    """Sequences that run at once."""
    splits_heads: bool = True
    """Whether several GPUs split the heads of each layer. llama.cpp gives each GPU whole layers instead."""


def weights_bytes(model: SovereignModel) -> int | None:
    """Bytes of the model's weights: exact where they were read, else the size of all its files."""
    parameters = model.parameters
    if parameters is not None and parameters.weights_bytes:
        return parameters.weights_bytes
    if model.artifact is not None and model.artifact.bytes:
        return model.artifact.bytes
    return None


def unknowns(pool: InferencePool, model: SovereignModel) -> list[str]:
    """The fields that would have to be known for an estimate, as paths of the SovereignModel or InferencePool."""
    parameters = model.parameters or Parameters()
    missing = {
        "spec.parameters.weightsBytes": weights_bytes(model),
        "spec.parameters.layers": parameters.layers,
        "spec.parameters.kvHeads": parameters.kv_heads or parameters.attention_heads,
        "spec.parameters.headDim": _head_dim(parameters),
        "maxModelLen": pool.spec.max_model_len or parameters.max_position_embeddings,
    }
    return [path for path, value in missing.items() if not value]


def shape(pool: InferencePool, model: SovereignModel) -> Shape | None:
    """The shape of ``model`` as ``pool`` serves it, or None when something of it is unknown (see ``unknowns``)."""
    parameters = model.parameters
    weights = weights_bytes(model)
    if parameters is None or weights is None:
        return None
    kv_heads = parameters.kv_heads or parameters.attention_heads
    head_dim = _head_dim(parameters)
    context = pool.spec.max_model_len or parameters.max_position_embeddings
    if not (parameters.layers and kv_heads and head_dim and context):
        return None
    splits_heads = model.spec.format != "gguf"
    return Shape(
        weights=weights,
        layers=parameters.layers,
        kv_heads=kv_heads,
        head_dim=head_dim,
        context=context,
        cached=context if splits_heads else context * (pool.spec.max_num_seqs or 1),
        attention_heads=parameters.attention_heads,
        hidden=parameters.hidden_size or (parameters.attention_heads or kv_heads) * head_dim,
        vocabulary=parameters.vocab_size or 0,
        sequences=pool.spec.max_num_seqs or DEFAULT_SEQUENCES,
        splits_heads=splits_heads,
    )


def _head_dim(parameters: Parameters) -> int | None:
    if parameters.head_dim:
        return parameters.head_dim
    if parameters.hidden_size and parameters.attention_heads:
        return parameters.hidden_size // parameters.attention_heads
    return None


def divides(shape: Shape, layout: Layout) -> bool:
    """Whether the attention heads can be shared by the tensor-parallel ranks; engines refuse to start otherwise."""
    return not shape.splits_heads or not shape.attention_heads or shape.attention_heads % layout.tensor == 0


def kv_cache_bytes(shape: Shape, layout: Layout) -> int:
    """Bytes of the KV cache on one GPU."""
    layers = _ceil(shape.layers, layout.pipeline)
    return layers * 2 * _ceil(shape.kv_heads, layout.tensor) * shape.head_dim * KV_BYTES * shape.cached


def activation_bytes(shape: Shape, layout: Layout) -> int:
    """Bytes of the activations on one GPU: the largest of MLP (gate and up), attention (q, k, v and output) and logits (32 bits)."""
    tokens = min(shape.context, PREFILL_TOKENS)
    mlp = _ceil(tokens * 2 * MLP_WIDTH * shape.hidden, layout.tensor) * ACTIVATION_BYTES
    attention = _ceil(tokens * 4 * shape.hidden, layout.tensor) * ACTIVATION_BYTES
    logits = shape.sequences * shape.vocabulary * 4
    return max(mlp, attention, logits)


def per_gpu_bytes(shape: Shape, layout: Layout) -> int:
    """Bytes that one GPU has to hold."""
    weights = _ceil(shape.weights, layout.tensor * layout.pipeline)
    return weights + kv_cache_bytes(shape, layout) + activation_bytes(shape, layout) + CONSTANT_BYTES


def usable_bytes(memory: int, utilization: float) -> int:
    """Bytes of a GPU with ``memory`` bytes that an estimate may fill: its share, less the headroom."""
    return int(memory * utilization * 100 / (100 + HEADROOM_PERCENT))


@lru_cache(maxsize=4096)
def estimate(shape: Shape, layout: Layout) -> Sizing:
    """The estimate as it stands in status. Without GPUs, ``per_gpu_bytes`` is 0. What is more than a status can hold is the
    largest that it can: 8 PiB, and nothing holds that.
    """
    on_gpu = layout.gpus > 0
    ranks = layout.tensor * layout.pipeline
    return Sizing(
        gpus=layout.gpus,
        weights_bytes=min(shape.weights * layout.data, LARGEST),
        kv_cache_bytes=min(kv_cache_bytes(shape, layout) * ranks * layout.data, LARGEST),
        per_gpu_bytes=min(per_gpu_bytes(shape, layout), LARGEST) if on_gpu else 0,
    )


def startup_seconds(weights: int) -> int:
    """Seconds that an engine has to load ``weights`` bytes, at least ten minutes."""
    return max(MINIMUM_STARTUP_SECONDS, _ceil(weights, READ_BYTES_PER_SECOND))


def _ceil(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)
