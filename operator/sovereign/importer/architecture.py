"""What a model's files say of its architecture: the figures that placement and sizing need."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sovereign.importer import gguf, jsonfile, safetensors
from sovereign.importer.catalogue import Format
from sovereign.importer.failure import ImportFailure, Reason
from sovereign.importer.inspection import MAX_CONFIG_BYTES

_INDEX_SUFFIX = ".safetensors.index.json"
_CONSOLIDATED = "consolidated"

_FILE_TYPES = (
    *("F32", "F16", "Q4_0", "Q4_1", "-", "-", "-", "Q8_0", "Q5_0", "Q5_1", "Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L"),
    *("Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K", "IQ2_XXS", "IQ2_XS", "Q2_K_S", "IQ3_XS", "IQ3_XXS", "IQ1_S"),
    *("IQ4_NL", "IQ3_S", "IQ3_M", "IQ2_S", "IQ2_M", "IQ4_XS", "IQ1_M", "BF16", "-", "-", "-", "TQ1_0", "TQ2_0"),
    "MXFP4_MOE",
)
"""``general.file_type`` of GGUF by number, as llama.cpp has it (enum llama_ftype); "-" was withdrawn."""

_SPLIT = re.compile(r"(?P<stem>.*)-(?P<part>\d{5})-of-\d{5}\.gguf", re.IGNORECASE)
"""How llama.cpp names the parts of a model (``gguf-split``)."""

_FULL_PRECISION = frozenset({"F32", "F16", "BF16"})


@dataclass(frozen=True, slots=True)
class Architecture:
    """Figures of a model; None where its files do not say.

    Attributes:
        weights_bytes: exact bytes of all tensors that engines load.
        architecture: the class or family (``MistralForCausalLM``, ``llama``).
        layers: transformer blocks.
        hidden_size: width of the residual stream.
        attention_heads: query heads per layer.
        kv_heads: key-value heads per layer.
        head_dim: elements per head.
        dtype: of the weights, as the files spell it.
        vocab_size: tokens.
        max_position_embeddings: longest context in tokens.
        quantization: method (``fp8``, ``awq``, ``Q4_K_M``), None for full precision.
    """

    weights_bytes: int
    architecture: str | None = None
    layers: int | None = None
    hidden_size: int | None = None
    attention_heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    dtype: str | None = None
    vocab_size: int | None = None
    max_position_embeddings: int | None = None
    quantization: str | None = None

    def document(self) -> dict[str, int | str]:
        """JSON in camelCase, without what is unknown."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {_camel(name): value for name, value in found.items() if value is not None}


def read(root: Path, files: Sequence[str], weights: Format) -> Architecture:
    """Read the architecture of a model in a directory.

    Args:
        root: the directory.
        files: the paths of the model's files in it.
        weights: the model's format.

    Raises:
        ImportFailure: InvalidWeights when headers or configuration are broken, or an index names a missing
            file.
    """
    return _of_safetensors(root, files) if weights is Format.SAFETENSORS else _of_gguf(root, files)


def _of_safetensors(root: Path, files: Sequence[str]) -> Architecture:
    by_dtype: Counter[str] = Counter()
    for name in loaded_shards(root, files):
        by_dtype.update(safetensors.read(root / name, name).bytes_by_dtype)
    config = (
        jsonfile.read_object(root / "config.json", "config.json", MAX_CONFIG_BYTES) if "config.json" in files else {}
    )
    text = _text_model(config)
    dtype = _text(text, "dtype", "torch_dtype") or _text(config, "dtype", "torch_dtype")
    heads, width = (
        _number(text, "num_attention_heads", "n_head"),
        _number(text, "hidden_size", "n_embd", "dim"),
    )
    return Architecture(
        weights_bytes=by_dtype.total(),
        architecture=_first_text(config.get("architectures")),
        layers=_number(text, "num_hidden_layers", "n_layer"),
        hidden_size=width,
        attention_heads=heads,
        kv_heads=_number(text, "num_key_value_heads") or heads,
        head_dim=_number(text, "head_dim") or (width // heads if width and heads else None),
        dtype=dtype or (by_dtype.most_common(1)[0][0].lower() if by_dtype else None),
        vocab_size=_number(text, "vocab_size") or _number(config, "vocab_size"),
        max_position_embeddings=_number(text, "max_position_embeddings", "n_positions"),
        quantization=_quantization(config) or _quantization(text),
    )


def loaded_shards(root: Path, files: Sequence[str]) -> list[str]:
    """The safetensors files that engines load: those an index names, else all but a consolidated copy.

    Raises:
        ImportFailure: InvalidWeights when an index is broken or names a file that is not there.
    """
    found = sorted(name for name in files if name.lower().endswith(Format.SAFETENSORS.suffix))
    indexes = [name for name in files if name.endswith(_INDEX_SUFFIX) and not name.startswith(_CONSOLIDATED)]
    named = {shard for index in indexes for shard in _shards_of(root, index)}
    if missing := sorted(named - set(found)):
        raise ImportFailure(Reason.INVALID_WEIGHTS, f"the index names {missing[0]}, which the source does not hold")
    if named:
        return sorted(named)
    return [name for name in found if not name.startswith(_CONSOLIDATED)] or found


def _shards_of(root: Path, index: str) -> set[str]:
    weight_map = jsonfile.read_object(root / index, index, 4 * MAX_CONFIG_BYTES).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(shard, str) for shard in weight_map.values()):
        raise ImportFailure(Reason.INVALID_WEIGHTS, f"{index} has no weight_map")
    folder = index.rpartition("/")[0]
    return {f"{folder}/{shard}" if folder else shard for shard in weight_map.values()}


def _text_model(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a configuration that describes the language model: multimodal ones nest it."""
    for key in ("text_config", "llm_config", "language_config"):
        if isinstance(nested := config.get(key), dict):
            return {**config, **nested}
    return config


def _quantization(config: Mapping[str, Any]) -> str | None:
    quantization = config.get("quantization_config")
    return _text(quantization, "quant_method", "quant_algo") if isinstance(quantization, dict) else None


def _of_gguf(root: Path, files: Sequence[str]) -> Architecture:
    names = sorted(name for name in files if name.lower().endswith(Format.GGUF.suffix))
    parts = [gguf.read(root / name, name) for name in names]
    first = parts[0]
    family = _text(first.values, "general.architecture")
    own = {key.removeprefix(f"{family}."): value for key, value in first.values.items()}
    heads, width = _number(own, "attention.head_count"), _number(own, "embedding_length")
    kind = _file_type(first.values.get("general.file_type"))
    return Architecture(
        weights_bytes=sum(part.weights_bytes for part in parts),
        architecture=family,
        layers=_number(own, "block_count"),
        hidden_size=width,
        attention_heads=heads,
        kv_heads=_number(own, "attention.head_count_kv") or heads,
        head_dim=_number(own, "attention.key_length") or (width // heads if width and heads else None),
        dtype=kind,
        vocab_size=_number(own, "vocab_size") or first.lengths.get("tokenizer.ggml.tokens"),
        max_position_embeddings=_number(own, "context_length"),
        quantization=kind if kind not in _FULL_PRECISION else None,
    )


def entrypoint(files: Sequence[str]) -> str:
    """The one gguf file that an engine opens: the only model, or the first part of a split one; else nothing.

    Vision projectors (``mmproj``) are opened beside a model, never as one.
    """
    models = [name for name in files if name.lower().endswith(Format.GGUF.suffix)]
    models = [name for name in models if not name.rpartition("/")[2].lower().startswith("mmproj")]
    split = [_SPLIT.fullmatch(name) for name in models]
    first = [match[0] for match in split if match and int(match["part"]) == 1]
    if models and all(split) and len(first) == 1:
        return first[0]
    return models[0] if len(models) == 1 else ""


def _file_type(number: object) -> str | None:
    return _FILE_TYPES[number] if isinstance(number, int) and 0 <= number < len(_FILE_TYPES) else None


def _number(source: Mapping[str, Any], *keys: str) -> int | None:
    return next((source[key] for key in keys if type(source.get(key)) is int and 0 < source[key] < 1 << 53), None)


def _text(source: Mapping[str, Any], *keys: str) -> str | None:
    return next((source[key][:64] for key in keys if isinstance(source.get(key), str)), None)


def _first_text(value: object) -> str | None:
    return value[0][:64] if isinstance(value, list) and value and isinstance(value[0], str) else None


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)
