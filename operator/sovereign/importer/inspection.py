"""What a file really holds, checked after it was written and before anybody can see it."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from sovereign.importer import gguf, jsonfile, safetensors
from sovereign.importer.catalogue import Format
from sovereign.importer.failure import ImportFailure, Reason

MAX_CONFIG_BYTES = 16 << 20

REMOTE_CODE_KEYS = frozenset({"auto_map", "custom_pipelines", "trust_remote_code"})
"""Keys with which a configuration asks an engine to load code that came with the weights.

``trust_remote_code`` is refused only when it is true.
"""


_READERS: Mapping[str, Callable[[Path, str], object]] = {
    Format.SAFETENSORS.suffix: safetensors.read,
    Format.GGUF.suffix: gguf.read,
}


def inspect(path: Path, name: str) -> None:
    """Check the content of a file of a model.

    Weights are checked in whatever format their name claims, also when the model is of the other one.

    Args:
        path: where it lies.
        name: its path in the model.

    Raises:
        ImportFailure: InvalidWeights for weights or configuration that is broken, UnsafeFile for configuration
            that asks for remote code.
    """
    lowered = name.lower()
    for suffix, read in _READERS.items():
        if lowered.endswith(suffix):
            read(path, name)
    if lowered.endswith("config.json"):
        _check_configuration(path, name)


def _check_configuration(path: Path, name: str) -> None:
    for key, value in _pairs(jsonfile.read_object(path, name, MAX_CONFIG_BYTES)):
        if key in REMOTE_CODE_KEYS and value not in (False, None):
            raise ImportFailure(
                Reason.UNSAFE_FILE,
                f"{name} is refused: its {key!r} makes engines run code that comes with the weights; "
                "use a model whose architecture the engine knows, or remove the key at the source",
            )


def _pairs(document: object) -> Iterator[tuple[str, object]]:
    """Every key and value, at any depth (without recursion: the depth is an attacker's choice)."""
    stack = [document]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield from item.items()
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
