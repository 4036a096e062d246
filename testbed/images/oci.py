"""Images: layers and a configuration, as an OCI image layout in the cache."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from testbed import cache
from testbed.images import layers
from testbed.images.layers import Layer
from testbed.images.packages import debian_architecture

MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
_INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
_CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"


@dataclass(frozen=True)
class Image:
    """An image in the cache: an OCI image layout of its own."""

    name: str
    digest: str  # of the manifest
    path: Path  # the layout
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]

    @property
    def size(self) -> int:
        """Bytes to pull: layers, configuration and manifest."""
        parts = [self.manifest["config"], *self.manifest["layers"]]
        return int(sum(part["size"] for part in parts)) + self.blob(self.digest).stat().st_size

    def blob(self, digest: str) -> Path:
        """The file of a blob."""
        return self.path / "blobs" / digest.replace(":", "/")


def image(name: str, content: Sequence[Layer], settings: Mapping[str, Any]) -> Image:
    """The image of these layers, the lowest first; `settings` is what OCI calls ``config``."""
    config = {
        "architecture": debian_architecture(),
        "os": "linux",
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [each.diff_id for each in content]},
        "created": "2000-01-01T00:00:00Z",
    }
    key = cache.key(config, [each.digest for each in content])
    folder = cache.once("images", name, key, lambda folder: _write(folder, content, config), days=layers.DAYS)
    return load(name, folder)


def load(name: str, folder: Path) -> Image:
    """The image in a layout."""
    index = json.loads((folder / "index.json").read_text())
    digest = index["manifests"][0]["digest"]
    manifest = json.loads(_blob(folder, digest).read_text())
    config = json.loads(_blob(folder, manifest["config"]["digest"]).read_text())
    return Image(name, digest, folder, manifest, config)


def unpack(found: Image, root: Path) -> None:
    """Unpack an image's file system into the folder `root`, which becomes one that anybody may enter."""
    root.chmod(0o755)
    for each in found.manifest["layers"]:
        layers.unpack(Layer(each["digest"], "", each["size"], found.blob(each["digest"])), root)


def _write(folder: Path, content: Sequence[Layer], config: Mapping[str, Any]) -> None:
    (folder / "blobs/sha256").mkdir(parents=True)
    for each in content:
        _link(each.blob, _blob(folder, each.digest))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _descriptor(folder, _CONFIG_TYPE, config),
        "layers": [{"mediaType": layers.MEDIA_TYPE, "digest": each.digest, "size": each.size} for each in content],
    }
    index = {"schemaVersion": 2, "mediaType": _INDEX_TYPE, "manifests": [_descriptor(folder, MANIFEST_TYPE, manifest)]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def _descriptor(folder: Path, media_type: str, document: Mapping[str, Any]) -> dict[str, Any]:
    data = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    _blob(folder, digest).write_bytes(data)
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def _blob(folder: Path, digest: str) -> Path:
    return folder / "blobs" / digest.replace(":", "/")


def _link(source: Path, target: Path) -> None:
    if target.exists():  # the same layer twice
        return
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)
