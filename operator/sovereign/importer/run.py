"""One import, from the source to the published directory."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sovereign.importer import architecture, catalogue, inspection
from sovereign.importer import manifest as manifests
from sovereign.importer.catalogue import Format, Kind, kind_of
from sovereign.importer.credentials import Credentials
from sovereign.importer.download import Engine
from sovereign.importer.failure import ImportFailure
from sovereign.importer.manifest import FileEntry, Manifest
from sovereign.importer.progress import Progress
from sovereign.importer.report import Imported
from sovereign.importer.retry import Backoff, retrying
from sovereign.importer.settings import Settings
from sovereign.importer.source import RemoteFile, Source
from sovereign.importer.sources import open_source
from sovereign.importer.threads import in_thread
from sovereign.importer.volume import Staging, Volume, storage_errors

LOG = logging.getLogger(__name__)


async def import_weights(settings: Settings, credentials: Credentials, progress: Progress) -> Imported:
    """Import a model, unless it is published already.

    Raises:
        ImportFailure: for every reason that a user, a source or a volume can cause.
    """
    volume = Volume(settings.dest)
    async with volume.locked():
        with storage_errors("the volume failed"):
            published = await _already(volume, settings.digest, settings)
            if published is None:
                published = await _import(volume, settings, credentials, progress)
            return await _result(volume, published, settings, progress)


async def _already(volume: Volume, digest: str | None, settings: Settings) -> Manifest | None:
    if digest is None:
        return None
    found = await in_thread(None, volume.published, digest, rehash=settings.verify)
    if found is not None:
        LOG.info("%s is published already", digest)
    return found


async def _import(volume: Volume, settings: Settings, credentials: Credentials, progress: Progress) -> Manifest:
    backoff = Backoff(settings.max_attempts, settings.retry_delay)
    async with await in_thread(None, open_source, settings, credentials) as source:
        files = await retrying(lambda: _resolve(source, settings), backoff, "reading the source")
        known = _known_manifest(files)
        if known and (published := await _already(volume, known.digest, settings)):
            return published
        staging = volume.staging(settings.identity)
        if settings.clean:
            await in_thread(None, volume.clean, staging)
        staging.open(file.path for file in files)
        progress.total = sum(file.size for file in files)
        LOG.info("importing %d files, %d bytes", len(files), progress.total)
        volume.check_space(progress.total, staging)
        engine = Engine(source, staging, progress, backoff, settings.concurrency, settings.part_size, settings.timeout)
        try:
            manifest = manifests.of(await _fetch_and_inspect(engine, files, settings))
        finally:
            engine.close()
        manifest.check(settings.digest)
        with _refusing(staging):
            # Files that are sound one by one may still not make a model: an index that names a missing shard.
            await in_thread(None, architecture.read, staging.files, _names(manifest), settings.format)
        await in_thread(None, volume.publish, staging, manifest)
        return manifest


async def _resolve(source: Source, settings: Settings) -> list[RemoteFile]:
    """The files to fetch: those of the source's manifest, else those of its listing that belong to a model."""
    data = await source.manifest()
    if data is not None:
        manifest = manifests.parse(data)
        manifest.check(settings.digest)
        catalogue.check_listed(_names(manifest), settings.format)
        return await source.locate(manifest)
    found = {file.path: file for file in await source.files()}
    chosen = catalogue.select(found, settings.format, include=settings.include, exclude=settings.exclude)
    return [found[path] for path in chosen]


def _known_manifest(files: Iterable[RemoteFile]) -> Manifest | None:
    """The manifest of files whose digests are all stated, else None."""
    entries = [FileEntry(file.path, file.size, file.sha256) for file in files if file.sha256 is not None]
    return manifests.of(entries) if len(entries) == len(list(files)) else None


async def _fetch_and_inspect(engine: Engine, files: Iterable[RemoteFile], settings: Settings) -> list[FileEntry]:
    """Fetch the small files first: a configuration that is refused should not cost a night's download."""
    weights = [file for file in files if kind_of(file.path, settings.format) is Kind.WEIGHTS]
    side = [file for file in files if file not in weights]
    entries = []
    for group in (side, weights):
        entries += await engine.fetch(group)
        await _inspect(engine.staging, group)
    return entries


async def _inspect(staging: Staging, files: Iterable[RemoteFile]) -> None:
    with _refusing(staging):
        for file in files:
            await in_thread(None, inspection.inspect, staging.file(file.path), file.path)


@contextmanager
def _refusing(staging: Staging) -> Iterator[None]:
    """What is refused does not stay on the volume."""
    try:
        yield
    except ImportFailure:
        staging.remove()
        raise


def _names(manifest: Manifest) -> list[str]:
    return [entry.path for entry in manifest.files]


async def _result(volume: Volume, manifest: Manifest, settings: Settings, progress: Progress) -> Imported:
    root: Path = volume.directory(manifest.digest)
    names = _names(manifest)
    progress.total = progress.done = manifest.size
    return Imported(
        digest=manifest.digest,
        size=manifest.size,
        files=len(names),
        seconds=progress.seconds,
        fetched=progress.fetched,
        architecture=await in_thread(None, architecture.read, root, names, settings.format),
        entrypoint=architecture.entrypoint(names) if settings.format is Format.GGUF else "",
    )
