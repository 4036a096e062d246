"""Headers of weights, and what configuration may say."""

import contextlib
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.importer import architecture, gguf, inspection, safetensors
from sovereign.importer.catalogue import Format
from sovereign.importer.failure import ImportFailure, Reason
from tests.importer import models


def tensor(**changes: Any) -> dict[str, Any]:
    return {"dtype": "F16", "shape": [2, 2], "data_offsets": [0, 8]} | changes


def invalid(path: Path) -> str:
    with pytest.raises(ImportFailure) as failure:
        inspection.inspect(path, path.name)
    assert failure.value.reason is Reason.INVALID_WEIGHTS
    return failure.value.message


@pytest.mark.parametrize(
    ("header", "size"),
    [
        ({"a": tensor()}, 9),
        ({"a": tensor()}, 7),
        ({"a": tensor(), "b": tensor()}, 8),
        ({"a": tensor(), "b": tensor(data_offsets=[10, 18])}, 18),
        ({"a": tensor(dtype="F17")}, 8),
        ({"a": tensor(shape=[3])}, 8),
        ({"a": tensor(shape=[-2, -2])}, 8),
        ({"a": tensor(shape=[True, 4])}, 8),
        ({"a": tensor(data_offsets=[8, 0])}, 8),
        ({"a": tensor(data_offsets=[0])}, 8),
        ({"a": "tensor"}, 8),
        ({"__metadata__": {"format": 1}, "a": tensor()}, 8),
    ],
)
def test_headers_that_do_not_fit(header: dict[str, Any], size: int, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(models.safetensors(size, header=header))
    assert "x.safetensors" in invalid(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 7,
        struct.pack("<Q", 1 << 62) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 4) + b"{\xff}}",
        struct.pack("<Q", 13) + b'{"a":1,"a":2}',
        struct.pack("<Q", 80_000) + b'{"a":' * 16_000,
    ],
    ids=["empty", "short", "huge header", "no object", "no text", "a key twice", "deep"],
)
def test_files_that_are_no_safetensors(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    invalid(path)


def test_what_a_safetensors_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    header = {"q": tensor(dtype="F4", shape=[16]), "s": tensor(dtype="F32", shape=[], data_offsets=[8, 12])}
    path.write_bytes(models.safetensors(12, header=header))
    assert safetensors.read(path, "x") == safetensors.TensorSummary(12, {"F4": 8, "F32": 4})
    path.write_bytes(models.safetensors(0, header={}))
    assert safetensors.read(path, "x").size == 0


@given(cut=st.integers(0, 500), position=st.integers(0, 300), value=st.integers(0, 255))
def test_damaged_gguf_is_read_or_refused(
    cut: int, position: int, value: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = bytearray(models.gguf(64))
    data[position] = value
    path = tmp_path_factory.getbasetemp() / "damaged.gguf"
    path.write_bytes(data[: len(data) - cut])
    found = None
    # Anything but an ImportFailure is a fault of the reader and fails the test.
    with contextlib.suppress(ImportFailure):
        found = gguf.read(path, "x")
    assert found is None or 0 <= found.weights_bytes <= len(data)


def test_files_that_are_no_gguf(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(models.gguf(magic=b"GGML"))
    assert "GGUF" in invalid(path)
    path.write_bytes(b"GGUF" + struct.pack(">I", 3) + models.gguf()[8:])
    assert "version" in invalid(path)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "sub/preprocessor_config.json"])
@pytest.mark.parametrize("document", [{"auto_map": {}}, {"a": [{"b": {"auto_map": "x"}}]}, {"trust_remote_code": True}])
def test_configuration_that_asks_for_code(name: str, document: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ImportFailure, match="is refused") as failure:
        inspection.inspect(path, name)
    assert failure.value.reason is Reason.UNSAFE_FILE


def test_configuration_that_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(models.CONFIG | {"trust_remote_code": False, "note": "auto_map"}))
    inspection.inspect(path, "config.json")
    path.write_text('{"auto_map": 5}')
    inspection.inspect(path, "vocab.json")


def read(root: Path, files: dict[str, bytes]) -> architecture.Architecture:
    return architecture.read(models.write(root, files), list(files), Format.SAFETENSORS)


def test_a_consolidated_copy_does_not_count_twice(tmp_path: Path) -> None:
    copy = {"consolidated.safetensors": models.safetensors(304_000)}
    assert read(tmp_path / "index", models.model() | copy).weights_bytes == 304_000
    files = {"model.safetensors": models.safetensors(400), "consolidated.safetensors": models.safetensors(400)}
    assert read(tmp_path / "plain", files).weights_bytes == 400
    assert read(tmp_path / "only", copy).weights_bytes == 304_000


def test_nested_and_quantised_configuration(tmp_path: Path) -> None:
    config = {
        "architectures": ["Mistral3ForConditionalGeneration"],
        "dtype": "bfloat16",
        "text_config": {"hidden_size": 5120, "num_attention_heads": 32, "head_dim": 128, "num_hidden_layers": 40},
        "quantization_config": {"quant_method": "fp8"},
    }
    files = {"config.json": json.dumps(config).encode(), "model.safetensors": models.safetensors(400)}
    assert read(tmp_path, files).document() == {
        "weightsBytes": 400,
        "architecture": "Mistral3ForConditionalGeneration",
        "layers": 40,
        "hiddenSize": 5120,
        "attentionHeads": 32,
        "kvHeads": 32,
        "headDim": 128,
        "dtype": "bfloat16",
        "quantization": "fp8",
    }


def test_weights_without_configuration(tmp_path: Path) -> None:
    found = read(tmp_path, {"model.safetensors": models.safetensors(400)})
    assert found.document() == {"weightsBytes": 400, "dtype": "bf16"}
