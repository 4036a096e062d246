"""Imports from a mounted directory, and the manifest of one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sovereign.importer import catalogue
from sovereign.importer import manifest as manifests
from sovereign.importer.failure import ImportFailure
from tests.importer import models
from tests.importer.harness import Importer

MODEL = models.model()


def make_manifest(root: Path, *flags: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "sovereign.importer", "manifest", str(root), *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_manifest_command_and_the_import_agree(importer: Importer) -> None:
    root = models.write(importer.root / "mirror", MODEL | {"picture.png": b"x"})
    listed = importer.run("--source", root.as_uri())
    made = make_manifest(root)
    assert made.stdout.strip() == listed.message["digest"] == models.digest(MODEL)
    assert (root / "sovereign.manifest.json").read_bytes() == models.manifest(MODEL)
    assert importer.run("--source", root.as_uri(), "--digest", made.stdout.strip()).code == 0
    assert importer.published() == MODEL


def test_the_manifest_command_says_what_is_wrong(tmp_path: Path) -> None:
    root = models.write(tmp_path / "mirror", MODEL | {"train.py": b""})
    refused = make_manifest(root)
    assert refused.returncode == 3
    assert refused.stderr.startswith("UnsafeFile: train.py")
    assert not (root / "sovereign.manifest.json").exists()
    assert make_manifest(root, "--exclude", "*.py").stdout.strip() == models.digest(MODEL)
    assert make_manifest(tmp_path / "nowhere").stderr.startswith("SourceNotFound")


def test_build_is_what_the_command_uses(tmp_path: Path) -> None:
    root = models.write(tmp_path, {"a.gguf": models.gguf(), "b.gguf": models.gguf(64)})
    assert manifests.build(root, include=["a.*"]).digest == models.digest({"a.gguf": models.gguf()})
    with pytest.raises(ImportFailure, match=r"no \*\.safetensors"):
        manifests.build(root, weights=catalogue.Format.SAFETENSORS)


@pytest.mark.parametrize("kind", ["link", "linked directory", "pipe"])
def test_only_regular_files(kind: str, importer: Importer) -> None:
    root = models.write(importer.root / "mirror", MODEL)
    path = root / "extra.json"
    match kind:
        case "link":
            path.symlink_to("/etc/hostname")
        case "linked directory":
            path.symlink_to("/etc")
        case "pipe":
            os.mkfifo(path)
    outcome = importer.run("--source", root.as_uri())
    assert outcome.reason == "UnsafeFile"
    assert "extra.json" in outcome.message["message"]
    assert importer.run("--source", root.as_uri(), "--exclude", "extra.json").code == 0
