"""Reading JSON that somebody else wrote: no duplicate keys, no surprises."""

import json
from pathlib import Path
from typing import Any

from sovereign.importer.failure import ImportFailure, Reason


def parse_object(data: bytes, name: str) -> dict[str, Any]:
    """Parse a JSON object.

    Args:
        data: UTF-8 JSON.
        name: the file, for the message.

    Raises:
        ImportFailure: InvalidWeights when it is no JSON object, is nested absurdly deep, or has a key twice
            (two readers would disagree on what it says).
    """
    try:
        document = json.loads(data, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise ImportFailure(Reason.INVALID_WEIGHTS, f"{name} is not valid JSON: {_short(error)}") from error
    if not isinstance(document, dict):
        raise ImportFailure(Reason.INVALID_WEIGHTS, f"{name} does not hold a JSON object")
    return document


def read_object(path: Path, name: str, limit: int) -> dict[str, Any]:
    """Read and parse a file of at most `limit` bytes; raises as `parse_object`."""
    if path.stat().st_size > limit:
        raise ImportFailure(Reason.INVALID_WEIGHTS, f"{name} is larger than {limit} bytes")
    return parse_object(path.read_bytes(), name)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice")
    return found


def _short(error: Exception) -> str:
    return "nested too deep" if isinstance(error, RecursionError) else str(error)[:200]
