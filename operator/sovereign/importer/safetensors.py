"""The header of a safetensors file, read and checked without loading a tensor.

Format: https://github.com/huggingface/safetensors#format - 8 bytes little-endian length N, N bytes of JSON,
the tensors' bytes without holes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sovereign.importer import jsonfile
from sovereign.importer.failure import ImportFailure, Reason

MAX_HEADER_BYTES = 100_000_000
"""The limit of the reference implementation."""

DTYPE_BITS: Mapping[str, int] = {
    "F4": 4,
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}


@dataclass(frozen=True, slots=True)
class TensorSummary:
    """What a file holds.

    Attributes:
        size: bytes of all tensors.
        bytes_by_dtype: the same, by dtype as the file spells it.
    """

    size: int
    bytes_by_dtype: Mapping[str, int]


def read(path: Path, name: str) -> TensorSummary:
    """Check a file's header against the specification and against the file's size.

    Raises:
        ImportFailure: InvalidWeights.
    """
    total = path.stat().st_size
    with path.open("rb") as file:
        prefix = file.read(8)
        length = int.from_bytes(prefix, "little")
        if len(prefix) < 8 or not 2 <= length <= min(MAX_HEADER_BYTES, total - 8):
            raise _invalid(name, "the length of its header is impossible")
        data = file.read(length)
    if not data.startswith(b"{"):
        raise _invalid(name, "its header does not begin with '{'")
    header = jsonfile.parse_object(data, f"the header of {name}")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _invalid(name, "its __metadata__ is not a map of strings")
    return _summary(header, total - 8 - length, name)


def _summary(header: Mapping[str, Any], size: int, name: str) -> TensorSummary:
    spans = sorted(_span(tensor, entry, name) for tensor, entry in header.items())
    position = 0
    by_dtype: dict[str, int] = {}
    for begin, end, dtype in spans:
        if begin != position:
            raise _invalid(name, f"its tensors overlap or leave a hole at byte {position}")
        position = end
        by_dtype[dtype] = by_dtype.get(dtype, 0) + end - begin
    if position != size:
        raise _invalid(name, f"its header describes {position} bytes of tensors, the file holds {size}")
    return TensorSummary(size, by_dtype)


def _span(tensor: str, entry: object, name: str) -> tuple[int, int, str]:
    match entry:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(begin), int(end)]}:
            dimensions = [item for item in shape if type(item) is int and item >= 0]
            bits = DTYPE_BITS.get(dtype)
            if bits is None:
                raise _invalid(name, f"tensor {tensor[:100]!r} has the unknown dtype {dtype[:20]!r}")
            if len(dimensions) == len(shape) and (end - begin) * 8 == math.prod(dimensions) * bits:
                return begin, end, dtype
    raise _invalid(name, f"the dtype, shape and offsets of tensor {tensor[:100]!r} do not agree")


def _invalid(name: str, what: str) -> ImportFailure:
    return ImportFailure(Reason.INVALID_WEIGHTS, f"{name} is not a valid safetensors file: {what}")
