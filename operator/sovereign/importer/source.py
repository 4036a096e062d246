"""What the importer asks of a source of weights, whatever its protocol."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from sovereign.importer.failure import ImportFailure, Reason
from sovereign.importer.manifest import Manifest


@dataclass(slots=True)
class RemoteFile:
    """A file at a source.

    Attributes:
        path: its name in the model.
        size: bytes.
        locator: where the source keeps it (an object key, a URL, a blob's digest).
        sha256: its digest in hexadecimal, when the source or a manifest states it.
        etag: the version of its content, pinned by the first answer that names one.
    """

    path: str
    size: int
    locator: str
    sha256: str | None = None
    etag: str | None = None

    def pin(self, etag: str | None) -> None:
        """Take note of the version an answer came from.

        Raises:
            ImportFailure: SourceChanged when it is not the version of the answers before.
        """
        if etag is None or etag == self.etag:
            return
        if self.etag is not None:
            raise self.changed()
        self.etag = etag

    def changed(self) -> ImportFailure:
        """The failure of a file that is not what it was when the import began."""
        return ImportFailure(Reason.SOURCE_CHANGED, f"{self.path} changed at the source while it was being fetched")


class RangesIgnored(Exception):
    """The source answered a request for a part with the whole file."""


class Source(ABC):
    """A place that weights come from. Use as an async context manager."""

    @abstractmethod
    async def manifest(self) -> bytes | None:
        """The content of ``sovereign.manifest.json`` at the root, None when there is none."""

    @abstractmethod
    async def files(self) -> list[RemoteFile]:
        """Every file of the source, the manifest apart."""

    @abstractmethod
    def read(self, file: RemoteFile, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Stream the bytes ``start:stop`` of a file, all of the same version.

        Raises:
            RangesIgnored: the source only gives whole files.
            ImportFailure: SourceChanged, SourceUnreachable, AccessDenied, ...
        """

    async def locate(self, manifest: Manifest) -> list[RemoteFile]:
        """Find the files of a manifest.

        Raises:
            ImportFailure: SourceInvalid for a file that the source lacks, SizeMismatch for one of another
                size, DigestMismatch for one whose digest the source states otherwise.
        """
        known = {file.path: file for file in await self.files()}
        located = []
        for entry in manifest.files:
            file = known.get(entry.path)
            if file is None:
                raise ImportFailure(Reason.SOURCE_INVALID, f"the source lacks {entry.path}, which its manifest lists")
            if file.size != entry.size:
                raise ImportFailure(
                    Reason.SIZE_MISMATCH,
                    f"{entry.path} has {file.size} bytes at the source, {entry.size} in the manifest",
                )
            if file.sha256 not in {None, entry.sha256}:
                raise ImportFailure(
                    Reason.DIGEST_MISMATCH,
                    f"the source and the manifest state different digests of {entry.path}",
                )
            file.sha256 = entry.sha256
            located.append(file)
        return located

    async def close(self) -> None:  # noqa: B027 - a source without connections has nothing to do
        """Release connections."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
