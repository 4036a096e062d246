"""Writing answers for programs: JSON, YAML, manifests."""

import sys
from collections.abc import Iterable
from typing import Any

import msgspec
import orjson
import yaml

from sovereign.cli.commands.options import Output
from sovereign.plan.inventory import Manifest


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """YAML without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write each value out."""
        return True


def data(answer: Any, output: Output) -> None:
    """Print an answer as JSON or YAML."""
    plain = msgspec.to_builtins(answer)
    if output is Output.JSON:
        sys.stdout.write(orjson.dumps(plain, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        sys.stdout.write(_yaml(plain))


def manifests(items: Iterable[Manifest]) -> None:
    """Print manifests as one YAML stream, without references to owners that have no UID."""
    for item in items:
        sys.stdout.write("---\n" + _yaml(_orphaned(item)))


def _orphaned(item: Manifest) -> Manifest:
    owners = [owner for owner in item["metadata"].get("ownerReferences", ()) if owner["uid"]]
    metadata = {key: value for key, value in item["metadata"].items() if key != "ownerReferences"}
    if owners:
        metadata["ownerReferences"] = owners
    return item | {"metadata": metadata}


def _yaml(plain: Any) -> str:
    return str(yaml.dump(plain, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True))


def note(text: str) -> None:
    """Say something beside the answer, on standard error."""
    sys.stderr.write(f"note: {text}\n")
