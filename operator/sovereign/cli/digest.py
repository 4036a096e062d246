"""The digest of a folder of weights, as an import of it would compute it."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from sovereign.cli.answers import Answer
from sovereign.cli.failure import CommandFailed
from sovereign.importer import catalogue
from sovereign.importer import manifest as manifests
from sovereign.importer.failure import ImportFailure
from sovereign.importer.manifest import FileEntry, Manifest

_BLOCK: Final = 4 << 20
_SHOWN_FROM: Final = 256 << 20
"""Bytes from which on it takes long enough for a progress bar."""


class File(Answer, frozen=True):
    """A file of the manifest."""

    path: str
    size: int
    sha256: str


class DigestAnswer(Answer, frozen=True):
    """The digest, and what it is of."""

    digest: str
    bytes: int
    files: tuple[File, ...]


def digest(
    directory: Path, weights: str, include: tuple[str, ...], exclude: tuple[str, ...], *, write: bool
) -> DigestAnswer:
    """Hash what an import of ``directory`` would take; with ``write``, also leave the manifest there.

    Raises:
        CommandFailed: it is no folder, holds what would be refused, or cannot be read or written.
    """
    if not directory.is_dir():
        raise CommandFailed(f"{directory}: not a folder; name the folder that holds the model's files")
    if weights and weights not in [item.value for item in catalogue.Format]:
        raise CommandFailed(f"--format {weights}: write safetensors or gguf")
    try:
        manifest = _build(directory, weights, include, exclude)
        if write:
            (directory / manifests.FILE_NAME).write_bytes(manifest.encode())
    except ImportFailure as failure:
        raise CommandFailed(f"{directory}: {failure.message}") from failure
    except OSError as error:
        raise CommandFailed(f"{error.filename or directory}: {error.strerror or error}") from error
    files = tuple(File(entry.path, entry.size, entry.sha256) for entry in manifest.files)
    return DigestAnswer(manifest.digest, manifest.size, files)


def _build(directory: Path, weights: str, include: tuple[str, ...], exclude: tuple[str, ...]) -> Manifest:
    """As `sovereign.importer.manifest.build`, with several files at once and a progress bar."""
    found = catalogue.walk(directory, exclude=exclude)
    chosen = catalogue.select(
        found,
        catalogue.Format(weights) if weights else catalogue.guess_format(found),
        include=include,
        exclude=exclude,
    )
    sizes = {path: (directory / path).stat().st_size for path in chosen}
    with _Bar(sum(sizes.values())) as bar, ThreadPoolExecutor() as threads:
        hashes = threads.map(lambda path: _sha256(directory / path, bar.advance), chosen)
        entries = [FileEntry(path, sizes[path], sha256) for path, sha256 in zip(chosen, hashes, strict=True)]
    return manifests.of(entries)


def _sha256(path: Path, advance: Callable[[int], None]) -> str:
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            sha256.update(block)
            advance(len(block))
    return sha256.hexdigest()


class _Bar:
    """A progress bar on standard error, where people look and the work is long."""

    def __init__(self, total: int) -> None:
        self._total = total

    def __enter__(self) -> "_Bar":
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

        console = Console(stderr=True)
        self._progress = Progress(
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal or self._total < _SHOWN_FROM,
        )
        self._task = self._progress.add_task("", total=self._total)
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def advance(self, count: int) -> None:
        """Say that ``count`` more bytes are hashed."""
        self._progress.advance(self._task, count)
