"""How glibc's allocator gives out large blocks. Another libc has no such setting, and is left alone.

uvloop gives each TLS connection a buffer of 256 KiB, of which it touches a few pages, and has each answer read into a block of that size
that it cuts to what came. A block that is mapped has only the pages that are touched; one in the heap gets pages that were used
before, and tears a hole when it goes. But to map and unmap one for each answer costs more CPU than all else about it. So they are mapped
while connections are made and lists are read, and not after.
"""

import contextlib
import ctypes
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
"""Of glibc's malloc.h."""
BUFFER: Final = 256 * 1024
"""Bytes of a buffer of a connection, and of what an answer is read into."""


def map_from(size: int) -> None:
    """Have each block of ``size`` bytes or more mapped by itself, and none that is smaller (mallopt(3))."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, size)
