"""Large blocks are mapped by themselves, or not."""

import ctypes
import subprocess
import sys
from typing import Final

import pytest

PROGRAM: Final = """
import ctypes
from sovereign.cluster import allocator

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info

def mapped():
    before = libc.mallinfo2().hblks
    block = bytearray(allocator.BUFFER)
    return libc.mallinfo2().hblks - before

allocator.map_from(allocator.BUFFER)
first = [mapped() for _ in range(3)]
allocator.map_from(2 * allocator.BUFFER)
print(first, [mapped() for _ in range(3)])
"""


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="glibc 2.33 tells what is mapped; this is another libc"
)
def test_buffers_are_mapped_until_they_are_not() -> None:
    """Also when some of their size were freed, after which glibc takes the next ones from the heap otherwise."""
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert ran.stdout.split("\n")[0] == "[1, 1, 1] [0, 0, 0]"
