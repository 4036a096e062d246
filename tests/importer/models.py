"""Small models, written by hand so that the tests do not trust the code they test."""

import hashlib
import json
import random
import struct
from pathlib import Path
from typing import Any

CONFIG = {
    "architectures": ["MistralForCausalLM"],
    "hidden_size": 64,
    "max_position_embeddings": 4096,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "torch_dtype": "bfloat16",
    "vocab_size": 320,
}


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not repeat, the same for the same seed."""
    return random.Random(seed).randbytes(size)


def safetensors(size: int, seed: int = 0, *, header: dict[str, Any] | None = None) -> bytes:
    """A file with two BF16 tensors, `size` bytes together (a multiple of 4)."""
    half = size // 2
    tensors = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "BF16", "shape": [half // 2], "data_offsets": [0, half]},
        "b": {"dtype": "BF16", "shape": [half // 4, 2], "data_offsets": [half, size]},
    }
    data = json.dumps(tensors if header is None else header).encode()
    return struct.pack("<Q", len(data)) + data + noise(size, seed)


def model(size: int = 300_000) -> dict[str, bytes]:
    """A sharded safetensors model: its files by path."""
    first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    return {
        "config.json": json.dumps(CONFIG).encode(),
        "tokenizer.json": b'{"model": {"vocab": {"auto_map": 1}}}',
        "LICENSE": b"Apache-2.0",
        "model.safetensors.index.json": json.dumps({"weight_map": {"a": first, "b": second}}).encode(),
        first: safetensors(size, 1),
        second: safetensors(4_000, 2),
    }


def gguf(size: int = 2_000, *, magic: bytes = b"GGUF") -> bytes:
    """A GGUF file of version 3 with one tensor of `size` bytes."""
    pairs = [
        _pair("general.architecture", 8, _string("llama")),
        _pair("general.file_type", 4, struct.pack("<I", 15)),
        _pair("llama.block_count", 4, struct.pack("<I", 22)),
        _pair("llama.context_length", 4, struct.pack("<I", 2048)),
        _pair("llama.embedding_length", 4, struct.pack("<I", 2048)),
        _pair("llama.attention.head_count", 4, struct.pack("<I", 32)),
        _pair("llama.attention.head_count_kv", 4, struct.pack("<I", 4)),
        _pair("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 3) + b"".join(map(_string, ("<s>", "</s>", "a")))),
        _pair("tokenizer.ggml.scores", 9, struct.pack("<IQ3f", 6, 3, 0, 0, 0)),
    ]
    tensor = _string("token_embd.weight") + struct.pack("<IQIQ", 1, size, 24, 0)
    head = magic + struct.pack("<IQQ", 3, 1, len(pairs)) + b"".join(pairs) + tensor
    return head + bytes(-len(head) % 32) + noise(size)


def _pair(key: str, kind: int, value: bytes) -> bytes:
    return _string(key) + struct.pack("<I", kind) + value


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def manifest(files: dict[str, bytes]) -> bytes:
    """The canonical manifest, spelled out from its definition."""
    entries = (
        f'{{"path":"{path}","sha256":"{hashlib.sha256(data).hexdigest()}","size":{len(data)}}}'
        for path, data in sorted(files.items())
    )
    return f'{{"files":[{",".join(entries)}],"version":1}}'.encode()


def digest(files: dict[str, bytes]) -> str:
    """The digest of a model."""
    return "sha256:" + hashlib.sha256(manifest(files)).hexdigest()


def write(root: Path, files: dict[str, bytes]) -> Path:
    """Write files below a directory."""
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root
