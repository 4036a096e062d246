"""The result of an import, as JSON that fits a termination message."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from sovereign.importer.architecture import Architecture
from sovereign.importer.failure import ImportFailure

LIMIT = 4096
"""Bytes that Kubernetes keeps of a container's termination message."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A model that is published on the volume.

    Attributes:
        digest: of the canonical manifest, ``sha256:...``.
        size: bytes of all files.
        files: how many.
        seconds: of this run.
        fetched: bytes that came from the source in this run (less than `size` after a resumption).
        architecture: what the weights say of themselves.
        entrypoint: the one file that an engine opens (gguf), relative to the model; else nothing.
    """

    digest: str
    size: int
    files: int
    seconds: float
    fetched: int
    architecture: Architecture
    entrypoint: str = ""

    def document(self) -> dict[str, Any]:
        """The termination message."""
        entrypoint = {"entrypoint": self.entrypoint} if self.entrypoint else {}
        return {
            "result": "Imported",
            "digest": self.digest,
            "bytes": self.size,
            "files": self.files,
            "seconds": round(self.seconds, 3),
            "bytesPerSecond": round(self.fetched / self.seconds) if self.seconds else 0,
            "architecture": self.architecture.document(),
            **entrypoint,
        }


def failed(failure: ImportFailure, done: int) -> dict[str, Any]:
    """The termination message of a failure; `done` is how many bytes are on the volume."""
    return {
        "result": "Failed",
        "reason": failure.reason.value,
        "message": failure.message,
        "retryable": failure.retryable,
        "bytesDone": done,
    }


def encode(document: Mapping[str, Any]) -> bytes:
    """JSON of at most `LIMIT` bytes; a long message is shortened."""
    document = dict(document)
    while len(data := orjson.dumps(document)) > LIMIT:
        message = str(document["message"])
        document["message"] = message[: len(message) * 3 // 4] + "…"
    return data


def write(path: Path | None, document: Mapping[str, Any]) -> None:
    """Replace the content of the termination log, if there is one."""
    if path is not None:
        path.write_bytes(encode(document))
