"""Models of a few megabytes with the shape of real ones, the same bytes each time.

The digests in ``manifests/models.yaml`` are of these; `digest` is what they have to be.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path

MIB = 1 << 20

Files = Mapping[str, bytes]
"""The files of a model: content by path."""


def models() -> dict[str, Files]:
    """All models by the name of their folder in the bucket."""
    mistral = _safetensors_model(32 * MIB, layers=32, hidden=4096, vocabulary=32_768)
    return {
        "mistral-7b": mistral,
        "mistral-small": _safetensors_model(16 * MIB, layers=40, hidden=5120, vocabulary=131_072),
        "ministral-3b": {"ministral-3b-Q4_K_M.gguf": _gguf(8 * MIB)},
        "mistral-7b-copy": _tampered(mistral),
    }


def digest(files: Files) -> str:
    """The digest of a model, as ``kubectl sovereign digest`` prints it for a folder with these files."""
    entries = [
        {"path": path, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        for path, data in sorted(files.items())
    ]
    manifest = json.dumps({"files": entries, "version": 1}, separators=(",", ":"), sort_keys=True)
    return "sha256:" + hashlib.sha256(manifest.encode()).hexdigest()


def write(bucket: Path) -> None:
    """Put all models into a bucket, behind its server's back: what it serves is what lies in its folder."""
    for name, files in models().items():
        for path, data in files.items():
            target = bucket / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)


def _safetensors_model(size: int, *, layers: int, hidden: int, vocabulary: int) -> dict[str, bytes]:
    config = {
        "architectures": ["MistralForCausalLM"],
        "hidden_size": hidden,
        "head_dim": 128,
        "max_position_embeddings": 32_768,
        "num_attention_heads": 32,
        "num_hidden_layers": layers,
        "num_key_value_heads": 8,
        "torch_dtype": "bfloat16",
        "vocab_size": vocabulary,
    }
    shards = [f"model-{number:05}-of-00002.safetensors" for number in (1, 2)]
    index = {"weight_map": dict(zip(("layers.0", "layers.1"), shards, strict=True))}
    return {
        "LICENSE": b"Apache-2.0\n",
        "config.json": json.dumps(config).encode(),
        "model.safetensors.index.json": json.dumps(index).encode(),
        "tokenizer.json": b'{"model": {"vocab": {}}}',
        shards[0]: _safetensors("layers.0", size // 2),
        shards[1]: _safetensors("layers.1", size // 2),
    }


def _safetensors(tensor: str, size: int) -> bytes:
    """A file with one BF16 tensor of ``size`` bytes. Format: https://huggingface.co/docs/safetensors."""
    header = json.dumps({tensor: {"dtype": "BF16", "shape": [size // 2], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + _noise(f"{tensor} {size}", size)


def _gguf(size: int) -> bytes:
    """A file with one tensor of ``size`` bytes. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md."""
    numbers = {
        "general.file_type": 15,  # Q4_K_M
        "mistral3.block_count": 26,
        "mistral3.context_length": 32_768,
        "mistral3.embedding_length": 3072,
        "mistral3.attention.head_count": 32,
        "mistral3.attention.head_count_kv": 8,
    }
    pairs = [_gguf_text("general.architecture") + struct.pack("<I", 8) + _gguf_text("mistral3")]
    pairs += [_gguf_text(key) + struct.pack("<II", 4, value) for key, value in numbers.items()]
    tensor = _gguf_text("token_embd.weight") + struct.pack("<IQIQ", 1, size, 24, 0)  # one dimension, I8, offset 0
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(pairs)) + b"".join(pairs) + tensor
    return head + bytes(-len(head) % 32) + _noise(f"gguf {size}", size)


def _gguf_text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def _noise(seed: str, size: int) -> bytes:
    """Bytes that do not repeat, the same on every machine and version of Python."""
    return hashlib.shake_128(seed.encode()).digest(size)


def _tampered(files: Files) -> Files:
    """The same model with the last byte of its last file changed."""
    last = max(files)
    data = files[last]
    return {**files, last: data[:-1] + bytes([data[-1] ^ 1])}
