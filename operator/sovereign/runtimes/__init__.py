"""The built-in engines, as data: one InferenceRuntime manifest each.

None names an image, because every installation has its own registry; a pool states it, or an InferenceRuntime of the same name in the
cluster, which replaces the built-in one.
"""

from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from sovereign.api.runtime import RuntimeSpec


@cache
def manifests() -> tuple[dict[str, Any], ...]:
    """The built-in InferenceRuntimes as manifests, sorted by name."""
    folder = files(__package__)
    texts = [entry.read_text("utf-8") for entry in folder.iterdir() if entry.name.endswith(".yaml")]
    return tuple(sorted(map(yaml.safe_load, texts), key=lambda manifest: str(manifest["metadata"]["name"])))


@cache
def specs() -> dict[str, RuntimeSpec]:
    """The specs of the built-in InferenceRuntimes by name."""
    return {manifest["metadata"]["name"]: RuntimeSpec.model_validate(manifest["spec"]) for manifest in manifests()}
