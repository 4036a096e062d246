"""CPU and memory of processes, from /proc."""

import time
from pathlib import Path
from typing import Final, NamedTuple

_LOOK: Final = 0.25
_MIB: Final = 1024.0
"""KiB, in which /proc counts."""


def cpu(pid: int) -> float:
    """Seconds of CPU that the threads of a process have used, in nanosecond steps, from the scheduler's own account."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


class Memory(NamedTuple):
    """Memory of a process, in MiB."""

    rss: float
    """What is resident now, shared pages in full."""
    pss: float
    """The same, shared pages divided by how many processes share them."""
    peak: float
    """The most that was ever resident."""


def memory(pid: int) -> Memory:
    """Memory of a process as the kernel counts it now (proc(5): smaps_rollup, status)."""
    now = fields(Path(f"/proc/{pid}/smaps_rollup").read_text())
    ever = fields(Path(f"/proc/{pid}/status").read_text())
    return Memory(now["Rss"] / _MIB, now["Pss"] / _MIB, ever["VmHWM"] / _MIB)


def fields(text: str) -> dict[str, int]:
    """The lines ``Name:   123 kB`` of a file in /proc."""
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if value.endswith(" kB"):
            found[name] = int(value.removesuffix(" kB"))
    return found


def rests(pid: int, share: float = 0.04) -> bool:
    """Whether a process uses next to no CPU now, as a share of a core. Nothing is asked of it, so that asking is not counted."""
    before = cpu(pid)
    time.sleep(_LOOK)
    return cpu(pid) - before < share * _LOOK
