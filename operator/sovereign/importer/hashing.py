"""SHA-256 of a file while it is being written, out of order, by others."""

import asyncio
import hashlib
import os
from concurrent.futures import Executor

from sovereign.importer.threads import in_thread

# hashlib lets go of the interpreter's lock for each block. A stride is one trip to a thread.
_BLOCK = 1 << 18
_STRIDE = 16 << 20


class PrefixHash:
    """Hashes whatever lies contiguously from a file's start, in a thread, out of the page cache.

    Args:
        descriptor: the open file.
        size: its final size in bytes.
        pool: where the hashing runs.
    """

    def __init__(self, descriptor: int, size: int, pool: Executor) -> None:
        self._descriptor = descriptor
        self._size = size
        self._pool = pool
        self._ready = 0
        self._position = 0
        self._restart = False
        self._changed = asyncio.Event()
        self._sha = hashlib.sha256()
        # One for all blocks: memory that a thread allocates anew for each costs page faults, and is not given back.
        self._block = memoryview(bytearray(min(_BLOCK, size)))

    def advance(self, ready: int) -> None:
        """Say that the first `ready` bytes are written."""
        self._ready = ready
        self._changed.set()

    def restart(self) -> None:
        """Say that the file is written anew from its start."""
        self._restart = True
        self.advance(0)

    async def run(self) -> str:
        """Hash to the end of the file; its digest in hexadecimal."""
        while self._restart or self._position < self._size:
            if self._restart:
                self._restart, self._position, self._sha = False, 0, hashlib.sha256()
            stop = min(self._ready, self._position + _STRIDE)
            if stop > self._position:
                await in_thread(self._pool, self._update, self._position, stop)
                self._position = stop
            else:
                self._changed.clear()
                await self._changed.wait()
        return self._sha.hexdigest()

    def _update(self, start: int, stop: int) -> None:
        while start < stop:
            count = os.preadv(self._descriptor, [self._block[: stop - start]], start)
            if not count:
                raise OSError(f"the file ends at {start}, before {stop}")
            self._sha.update(self._block[:count])
            start += count
