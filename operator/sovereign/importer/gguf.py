"""The metadata of a GGUF file.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md - magic, version, counts, typed key-value
pairs, tensor descriptions, tensors. Little-endian files of versions 2 and 3.
"""

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sovereign.importer.failure import ImportFailure, Reason

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MAX_STRING = 1 << 20
_MAX_NESTING = 4
_STRING, _ARRAY = 8, 9
_SCALARS: Mapping[int, struct.Struct] = {
    kind: struct.Struct("<" + code)
    for kind, code in zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True)
}
_DEFAULT_ALIGNMENT = 32

Value = str | int | float | bool
"""A metadata value; of an array only its length is kept."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a file says of itself.

    Attributes:
        values: scalars and strings by key.
        lengths: the number of elements of each array, by key.
        tensors: how many tensors the file holds.
        weights_bytes: bytes of the tensor section.
    """

    values: Mapping[str, Value]
    lengths: Mapping[str, int]
    tensors: int
    weights_bytes: int


def read(path: Path, name: str) -> Metadata:
    """Read the metadata and check it against the file's size.

    Raises:
        ImportFailure: InvalidWeights.
    """
    with path.open("rb") as file:
        return _Reader(file, path.stat().st_size, name).metadata()


class _Reader:
    def __init__(self, file: BinaryIO, size: int, name: str) -> None:
        self._file = file
        self._size = size
        self._name = name

    def metadata(self) -> Metadata:
        if self._take(4) != MAGIC:
            raise self._invalid("it does not begin with GGUF")
        version = self._integer("<I")
        if version not in _VERSIONS:
            raise self._invalid(f"its version {version} is not one of {_VERSIONS} (big-endian files are not supported)")
        tensors, pairs = self._count(24), self._count(12)
        values: dict[str, Value] = {}
        lengths: dict[str, int] = {}
        for _ in range(pairs):
            key, value = self._string(), self._value(self._integer("<I"))
            if isinstance(value, _Length):
                lengths[key] = value.count
            else:
                values[key] = value
        furthest = max((self._tensor_offset() for _ in range(tensors)), default=0)
        alignment = values.get("general.alignment", _DEFAULT_ALIGNMENT)
        if type(alignment) is not int or not 1 <= alignment <= 1 << 20:
            raise self._invalid("its alignment is impossible")
        start = -(-self._file.tell() // alignment) * alignment
        if start + furthest > self._size:
            raise self._invalid("its tensors end after the file")
        return Metadata(values, lengths, tensors, self._size - start)

    def _value(self, kind: int, nesting: int = 0) -> "Value | _Length":
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY and nesting < _MAX_NESTING:
            return self._array(nesting)
        if kind not in _SCALARS:
            raise self._invalid(f"a value has the unknown type {kind}")
        scalar = _SCALARS[kind]
        value: Value = scalar.unpack(self._take(scalar.size))[0]
        return value

    def _array(self, nesting: int) -> "_Length":
        kind, count = self._integer("<I"), self._count(1)
        if kind in _SCALARS:
            self._skip(count * _SCALARS[kind].size)
        elif kind == _STRING:
            for _ in range(count):
                self._skip(self._count(1))
        else:
            for _ in range(count):
                self._value(kind, nesting + 1)
        return _Length(count)

    def _tensor_offset(self) -> int:
        self._string()
        dimensions = self._integer("<I")
        if dimensions > 8:
            raise self._invalid("a tensor has too many dimensions")
        self._skip(8 * dimensions + 4)
        return self._integer("<Q")

    def _string(self) -> str:
        length = self._count(1)
        if length > _MAX_STRING:
            raise self._invalid("a string is too long")
        return self._take(length).decode(errors="replace")

    def _count(self, least: int) -> int:
        """A number of things of at least `least` bytes each: it cannot exceed what the file has room for."""
        count = self._integer("<Q")
        if count * least > self._size:
            raise self._invalid("a length exceeds the file")
        return count

    def _integer(self, code: str) -> int:
        number: int = struct.unpack(code, self._take(struct.calcsize(code)))[0]
        return number

    def _take(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise self._invalid("it ends in the middle of its metadata")
        return data

    def _skip(self, count: int) -> None:
        if self._file.seek(count, os.SEEK_CUR) > self._size:
            raise self._invalid("a value ends after the file")

    def _invalid(self, what: str) -> ImportFailure:
        return ImportFailure(Reason.INVALID_WEIGHTS, f"{self._name} is not a valid GGUF file: {what}")


@dataclass(frozen=True, slots=True)
class _Length:
    count: int
