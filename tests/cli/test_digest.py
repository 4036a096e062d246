"""``digest``: the same as an import computes."""

import json
import os
from pathlib import Path

import pytest

from sovereign.importer import manifest as manifests
from tests.cli.conftest import Run


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A folder like a model's."""
    root = tmp_path / "weights"
    (root / "shards").mkdir(parents=True)
    (root / "config.json").write_text("{}")
    (root / "shards" / "a.safetensors").write_bytes(os.urandom(5 << 20))
    (root / "shards" / "b.safetensors").write_bytes(b"")
    (root / "picture.png").write_bytes(b"x")
    return root


def test_it_is_the_importer_s_own(run: Run, weights: Path) -> None:
    expected = manifests.build(weights)
    assert run("digest", str(weights)).stdout == expected.digest + "\n"
    answer = json.loads(run("digest", str(weights), "-o", "json").stdout)
    assert (answer["digest"], answer["bytes"]) == (expected.digest, expected.size)
    assert [file["path"] for file in answer["files"]] == ["config.json", "shards/a.safetensors", "shards/b.safetensors"]


def test_filters_are_those_of_the_source(run: Run, weights: Path) -> None:
    expected = manifests.build(weights, exclude=["shards/b.safetensors"]).digest
    assert run("digest", str(weights), "--exclude", "shards/b.safetensors").stdout.strip() == expected


def test_the_written_manifest_is_the_canonical_one_and_changes_nothing(run: Run, weights: Path) -> None:
    digest = run("digest", str(weights), "--write").stdout.strip()
    stored = (weights / manifests.FILE_NAME).read_bytes()
    assert manifests.parse(stored).encode() == stored
    assert run("digest", str(weights)).stdout.strip() == digest


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("pytorch_model.bin", (), "pickles and their like run code"),
        ("a.txt", ("--format", "gguf"), "holds no *.gguf file"),
        ("a.txt", ("--format", "onnx"), "write safetensors or gguf"),
    ],
)
def test_what_an_import_would_refuse_is_refused(
    run: Run, weights: Path, name: str, args: tuple[str, ...], message: str
) -> None:
    (weights / name).write_text("x")
    result = run("digest", str(weights), *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_a_file_is_no_folder(run: Run, weights: Path) -> None:
    result = run("digest", str(weights / "config.json"))
    assert (result.exit_code, "not a folder" in result.stderr) == (2, True)
