"""``file://``: a directory that is mounted already, for machines without a network."""

import os
from collections.abc import AsyncGenerator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sovereign.importer import catalogue
from sovereign.importer.failure import ImportFailure, Reason
from sovereign.importer.manifest import FILE_NAME, MAX_BYTES
from sovereign.importer.settings import Settings
from sovereign.importer.source import RemoteFile, Source
from sovereign.importer.threads import in_thread

_BLOCK = 1 << 20


class DirectorySource(Source):
    """A local directory. Symbolic links and devices in it are refused."""

    def __init__(self, root: Path, exclude: tuple[str, ...]) -> None:
        self._root = root
        self._exclude = exclude

    @classmethod
    def open(cls, settings: Settings) -> "DirectorySource":
        """Make the source of an absolute path."""
        parts = urlsplit(settings.source)
        root = Path(unquote(parts.path))
        if parts.netloc or not root.is_absolute():
            raise ImportFailure(Reason.SOURCE_INVALID, "a file source is file:///absolute/path")
        return cls(root, settings.exclude)

    async def manifest(self) -> bytes | None:
        """The manifest, if there is one."""
        return await in_thread(None, self._manifest)

    def _manifest(self) -> bytes | None:
        if not self._root.is_dir():
            raise ImportFailure(Reason.SOURCE_NOT_FOUND, f"there is no directory {self._root}")
        path = self._root / FILE_NAME
        if not path.exists():
            return None
        if path.stat().st_size > MAX_BYTES:
            raise ImportFailure(Reason.SOURCE_INVALID, f"{FILE_NAME} is larger than {MAX_BYTES} bytes")
        return path.read_bytes()

    async def files(self) -> list[RemoteFile]:
        """All regular files."""
        return await in_thread(None, self._files)

    def _files(self) -> list[RemoteFile]:
        found = []
        for name in catalogue.walk(self._root, exclude=self._exclude):
            path = self._root / name
            state = path.stat()
            if name != FILE_NAME:
                found.append(RemoteFile(name, state.st_size, str(path), etag=_version(state)))
        return found

    async def read(self, file: RemoteFile, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Stream a range."""
        try:
            descriptor = os.open(file.locator, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except PermissionError as error:
            raise ImportFailure(Reason.ACCESS_DENIED, f"{file.path} cannot be read") from error
        except OSError as error:
            raise file.changed() from error
        try:
            while start < stop:
                file.pin(_version(os.fstat(descriptor)))
                block = await in_thread(None, os.pread, descriptor, min(_BLOCK, stop - start), start)
                if not block:
                    raise file.changed()
                yield block
                start += len(block)
        finally:
            os.close(descriptor)


def _version(state: os.stat_result) -> str:
    return f"{state.st_ino}-{state.st_size}-{state.st_mtime_ns}"
