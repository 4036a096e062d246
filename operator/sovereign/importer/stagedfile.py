"""One file being written, in parts that arrive in any order."""

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from types import TracebackType
from typing import Self

from sovereign.importer.journal import PartJournal
from sovereign.importer.threads import in_thread
from sovereign.importer.volume import storage_errors

# pwritev takes at most IOV_MAX (1024) buffers.
MAX_BUFFERS = 512


class StagedFile:
    """An open file of a known size, and the journal of its parts.

    Parts that are finished are synced to disk and then recorded, as many as have gathered while the last sync
        ran: the
    disk sets the pace, and a kill costs at most what one sync takes. Starting the write-back early also means
    that there is little left to sync before publishing.
    """

    def __init__(self, path: Path, size: int, journal: PartJournal, pool: Executor) -> None:
        self._path = path
        self._size = size
        self._journal = journal
        self._pool = pool
        self._finished: list[int] = []
        self._wake = asyncio.Event()
        self.descriptor = -1

    def __enter__(self) -> Self:
        with storage_errors(f"cannot write {self._path.name}"):
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self.descriptor = os.open(self._path, flags, 0o600)
            os.ftruncate(self.descriptor, self._size)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.descriptor)

    async def write(self, buffers: Sequence[bytes], offset: int) -> None:
        """Write buffers one after the other (at most `MAX_BUFFERS`), in a thread: a disk may make one wait."""
        await in_thread(self._pool, self._write, list(buffers), offset)

    def _write(self, buffers: list[bytes], offset: int) -> None:
        with storage_errors(f"cannot write {self._path.name}"):
            expected = sum(map(len, buffers))
            written = os.pwritev(self.descriptor, buffers, offset)
            if written == expected:
                return
            # Rare: a signal, or the disk is nearly full. The rest goes out in plain writes, which then say
            # why.
            rest = memoryview(b"".join(buffers))[written:]
            while rest:
                count = os.pwrite(self.descriptor, rest, offset + written)
                written, rest = written + count, rest[count:]

    def finish(self, part: int) -> None:
        """Say that a part is written; it is recorded soon."""
        self._finished.append(part)
        self._wake.set()

    async def record_parts(self) -> None:
        """Sync and record finished parts for ever; when cancelled, do so once more."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await in_thread(self._pool, self._record)
        finally:
            await in_thread(self._pool, self._record)

    def _record(self) -> None:
        parts, self._finished = self._finished, []
        if not parts:
            return
        with storage_errors(f"cannot write {self._path.name}"):
            os.fdatasync(self.descriptor)
            self._journal.record(parts)

    async def sync(self) -> None:
        """Sync the whole file."""
        with storage_errors(f"cannot write {self._path.name}"):
            await in_thread(self._pool, os.fsync, self.descriptor)
