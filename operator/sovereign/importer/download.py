"""The download engine: parts of files at once, whatever the source; resumed, hashed and checked on the way."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field

from sovereign.importer.failure import ImportFailure, Reason
from sovereign.importer.hashing import PrefixHash
from sovereign.importer.journal import PartJournal
from sovereign.importer.manifest import FileEntry
from sovereign.importer.progress import Progress
from sovereign.importer.retry import Backoff
from sovereign.importer.source import RangesIgnored, RemoteFile, Source
from sovereign.importer.stagedfile import MAX_BUFFERS, StagedFile
from sovereign.importer.threads import settle, together
from sovereign.importer.volume import Staging

LOG = logging.getLogger(__name__)

_WRITE_BYTES = 1 << 19
_FILES_AT_ONCE = 4
_PARTS_AT_LEAST = 64
_SMALL_PART = 1 << 20
# An attempt that moved this far was worth it, and does not count against the attempts.
_WORTHWHILE_BYTES = 1 << 20
# Slower than this is as good as dead: the connection is given up and made anew.
_SLOWEST_BYTES_PER_SECOND = 1024


@dataclass(slots=True)
class Engine:
    """What the downloads of one import share.

    Attributes:
        source: where the files come from.
        staging: where they go.
        progress: counts bytes.
        backoff: when to try again.
        concurrency: connections at once, over all files.
        part_size: bytes per part, at most; see `parts_of`.
        timeout: seconds without data after which a connection is given up.
    """

    source: Source
    staging: Staging
    progress: Progress
    backoff: Backoff
    concurrency: int
    part_size: int
    timeout: float
    slots: asyncio.Semaphore = field(init=False)
    pool: ThreadPoolExecutor = field(init=False)
    ranges: bool = True

    def __post_init__(self) -> None:
        self.slots = asyncio.Semaphore(self.concurrency)
        # A file needs a thread for hashing and one for syncing; the connections need one each for writing.
        self.pool = ThreadPoolExecutor(2 * _FILES_AT_ONCE + self.concurrency, "import")

    def close(self) -> None:
        """Let the threads go."""
        self.pool.shutdown(wait=False)

    async def fetch(self, files: Iterable[RemoteFile]) -> list[FileEntry]:
        """Fetch files into the staging directory.

        Raises:
            ImportFailure: the first failure; the other downloads are stopped, and what has arrived is kept.
        """
        waiting = deque(files)
        entries: list[FileEntry] = []

        async def work() -> None:
            while waiting:
                entries.append(await _Download(self, waiting.popleft()).run())

        await together(*(work() for _ in range(min(_FILES_AT_ONCE, len(waiting)))))
        return entries


@dataclass(slots=True)
class _Span:
    """A stretch of a file on its way: `position` is how far it got."""

    start: int
    stop: int
    position: int


def parts_of(size: int, limit: int) -> int:
    """Bytes per part of a file of `size` bytes: a 64th of it, but between 1 MiB and `limit`.

    All connections get on with their parts side by side, and a kill loses the parts that are not whole. Were there no more
    parts than connections, it would lose everything, however far the file had come.
    """
    return min(limit, max(_SMALL_PART, -(-size // _PARTS_AT_LEAST)))


class _Download:
    """The download of one file."""

    def __init__(self, engine: Engine, file: RemoteFile) -> None:
        self._engine = engine
        self._file = file
        self._listed_etag = file.etag
        self._path = engine.staging.file(file.path)
        self._part_size = parts_of(file.size, engine.part_size)
        self._journal = PartJournal(engine.staging.journal(file.path), file, self._part_size)
        self._done: set[int] = set()

    async def run(self) -> FileEntry:
        """Fetch the file, or what is missing of it.

        An earlier attempt's parts are trusted until the digest says otherwise; then the file is fetched once
        more.
        """
        self._done = self._journal.load() if self._path.exists() else set()
        resumed = bool(self._done)
        self._engine.progress.resume(sum(self._length(part) for part in self._done))
        try:
            return await self._attempt()
        except ImportFailure as failure:
            if failure.reason not in {Reason.DIGEST_MISMATCH, Reason.SOURCE_CHANGED}:
                raise
            self._discard()
            if not resumed:
                raise
            LOG.warning("%s: parts of an earlier attempt are of no use, fetching it anew", self._file.path)
        try:
            return await self._attempt()
        except ImportFailure as failure:
            if failure.reason in {Reason.DIGEST_MISMATCH, Reason.SOURCE_CHANGED}:
                self._discard()
            raise

    async def _attempt(self) -> FileEntry:
        if not self._done:
            self._journal.start()
        with StagedFile(self._path, self._file.size, self._journal, self._engine.pool) as staged:
            hasher = PrefixHash(staged.descriptor, self._file.size, self._engine.pool)
            sha256 = await self._fill(staged, hasher)
            if sha256 != (self._file.sha256 or sha256):
                raise ImportFailure(
                    Reason.DIGEST_MISMATCH,
                    f"{self._file.path} has sha256 {sha256}, expected is {self._file.sha256}: the source holds another "
                    "file than was asked for, or a damaged one",
                )
            await staged.sync()
        return FileEntry(self._file.path, self._file.size, sha256)

    async def _fill(self, staged: StagedFile, hasher: PrefixHash) -> str:
        recorder = asyncio.create_task(staged.record_parts())
        try:
            _, sha256 = await together(self._fetch(staged, hasher), hasher.run())
        finally:
            recorder.cancel()
            await settle(recorder)
        if not recorder.cancelled() and (error := recorder.exception()):
            raise error
        assert sha256 is not None
        return sha256

    async def _fetch(self, staged: StagedFile, hasher: PrefixHash) -> None:
        if self._engine.ranges:
            try:
                await self._fetch_parts(staged, hasher)
            except RangesIgnored:
                LOG.warning("the source ignores ranges: each file comes in one stream that cannot be resumed")
                self._engine.ranges = False
            else:
                return
        await self._fetch_whole(staged, hasher)

    async def _fetch_whole(self, staged: StagedFile, hasher: PrefixHash) -> None:
        self._forget_parts()
        hasher.restart()
        await self._fetch_span(staged, _Span(0, self._file.size, 0), hasher)
        self._journal.start()
        for part in range(self._part_count):
            staged.finish(part)

    async def _fetch_parts(self, staged: StagedFile, hasher: PrefixHash) -> None:
        missing = deque(part for part in range(self._part_count) if part not in self._done)
        frontier = self._frontier(0)
        hasher.advance(self._offset(frontier))

        async def work() -> None:
            nonlocal frontier
            while missing:
                part = missing.popleft()
                start = self._offset(part)
                await self._fetch_span(staged, _Span(start, start + self._length(part), start))
                self._done.add(part)
                staged.finish(part)
                frontier = self._frontier(frontier)
                hasher.advance(self._offset(frontier))

        await together(*(work() for _ in range(min(self._engine.concurrency, len(missing)))))

    async def _fetch_span(self, staged: StagedFile, span: _Span, hasher: PrefixHash | None = None) -> None:
        """Fetch a stretch, trying again; with a hasher the stretch is the whole file, in one stream."""
        failures = 0
        while span.position < span.stop:
            before = span.position
            try:
                async with self._engine.slots:
                    await self._stream(staged, span, hasher)
            except ImportFailure as failure:
                if span.position == span.stop:
                    return
                failures = 1 if span.position - before >= _WORTHWHILE_BYTES and hasher is None else failures + 1
                if hasher is not None:
                    self._engine.progress.resume(span.start - span.position)
                    span.position = span.start
                    hasher.restart()
                await self._engine.backoff.pause(failures, failure, self._file.path)

    async def _stream(self, staged: StagedFile, span: _Span, hasher: PrefixHash | None) -> None:
        buffers: list[bytes] = []
        gathered = 0
        pace = _Pace(self._engine.timeout, self._file.path)
        try:
            async with aclosing(self._engine.source.read(self._file, span.position, span.stop)) as chunks:
                while chunk := await pace.next(anext(chunks, b"")):
                    if span.position + gathered + len(chunk) > span.stop:
                        raise self._file.changed()
                    buffers.append(chunk)
                    gathered += len(chunk)
                    if gathered >= _WRITE_BYTES or len(buffers) >= MAX_BUFFERS:
                        full, buffers, gathered = buffers, [], 0
                        await self._write(staged, span, full, hasher)
        finally:
            # What arrived before a connection broke need not come again.
            if buffers:
                await self._write(staged, span, buffers, hasher)
        if span.position < span.stop:
            raise ImportFailure(
                Reason.SOURCE_UNREACHABLE,
                f"{self._file.path} ended after {span.position} of {span.stop} bytes",
            )

    async def _write(self, staged: StagedFile, span: _Span, buffers: list[bytes], hasher: PrefixHash | None) -> None:
        count = sum(map(len, buffers))
        await staged.write(buffers, span.position)
        span.position += count
        self._engine.progress.add(count)
        if hasher is not None:
            hasher.advance(span.position)

    @property
    def _part_count(self) -> int:
        return -(-self._file.size // self._part_size)

    def _offset(self, part: int) -> int:
        return min(part * self._part_size, self._file.size)

    def _length(self, part: int) -> int:
        return self._offset(part + 1) - self._offset(part)

    def _frontier(self, part: int) -> int:
        """The first part from `part` on that is not done."""
        while part in self._done:
            part += 1
        return part

    def _forget_parts(self) -> None:
        self._engine.progress.resume(-sum(self._length(part) for part in self._done))
        self._done.clear()
        self._journal.remove()

    def _discard(self) -> None:
        self._forget_parts()
        self._path.unlink(missing_ok=True)
        self._file.etag = self._listed_etag


class _Pace:
    """Gives a connection up that has fallen silent, or that drips."""

    def __init__(self, timeout: float, what: str) -> None:
        self._timeout = timeout
        self._what = what
        self._clock = asyncio.get_running_loop().time
        self._since = self._clock()
        self._count = 0

    async def next(self, arrival: Awaitable[bytes]) -> bytes:
        """Wait for data; raises SourceUnreachable when it takes too long."""
        try:
            async with asyncio.timeout(self._timeout):
                chunk = await arrival
        except TimeoutError as error:
            raise self._stalled() from error
        self._count += len(chunk)
        elapsed = self._clock() - self._since
        if chunk and elapsed >= self._timeout:
            if self._count < elapsed * _SLOWEST_BYTES_PER_SECOND:
                raise self._stalled()
            self._since, self._count = self._clock(), 0
        return chunk

    def _stalled(self) -> ImportFailure:
        return ImportFailure(
            Reason.SOURCE_UNREACHABLE,
            f"{self._what}: the source sent next to nothing for {self._timeout:g} s",
        )
