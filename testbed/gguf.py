"""Writing a GGUF file of 32-bit weights (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md)."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MAGIC: Final = b"GGUF"
_VERSION: Final = 3
_ALIGNMENT: Final = 32
_UINT32, _INT32, _FLOAT32, _STRING, _ARRAY = 4, 5, 6, 8, 9

Value = int | float | str | Sequence[int] | Sequence[float] | Sequence[str]


@dataclass(frozen=True)
class Tensor:
    """Weights; the dimension that changes fastest comes first."""

    shape: tuple[int, ...]
    weights: Sequence[float]


def write(path: Path, metadata: Mapping[str, Value], tensors: Mapping[str, Tensor]) -> None:
    """Write a model."""
    head = _MAGIC + struct.pack("<IQQ", _VERSION, len(tensors), len(metadata))
    head += b"".join(_string(key) + _typed(value) for key, value in metadata.items())
    offset = 0
    for name, tensor in tensors.items():
        dimensions = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
        head += _string(name) + dimensions + struct.pack("<IQ", 0, offset)  # 0: 32-bit
        offset += _aligned(len(tensor.weights) * 4)
    with path.open("wb") as file:
        file.write(head.ljust(_aligned(len(head)), b"\0"))
        for tensor in tensors.values():
            data = struct.pack(f"<{len(tensor.weights)}f", *tensor.weights)
            file.write(data.ljust(_aligned(len(data)), b"\0"))


def _typed(value: Value) -> bytes:
    if isinstance(value, str | int | float):
        return struct.pack("<I", _kind(value)) + _plain(value)
    items = b"".join(_plain(item, signed=True) for item in value)
    return struct.pack("<IIQ", _ARRAY, _kind(value[0], signed=True), len(value)) + items


def _kind(value: float | str, *, signed: bool = False) -> int:
    if isinstance(value, str):
        return _STRING
    if isinstance(value, int):
        return _INT32 if signed else _UINT32
    return _FLOAT32


def _plain(value: float | str, *, signed: bool = False) -> bytes:
    if isinstance(value, str):
        return _string(value)
    return struct.pack("<f" if isinstance(value, float) else "<i" if signed else "<I", value)


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
