"""CPU and memory of processes, from /proc."""

import os
from pathlib import Path
from typing import Final

_TICK: Final = os.sysconf("SC_CLK_TCK")


def cpu(pid: int) -> float:
    """Seconds of CPU that a process and its threads have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def fine_cpu(pid: int) -> float:
    """The same in nanosecond steps, from the scheduler's own account of each thread."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def rss(pid: int) -> float:
    """Resident memory in MiB."""
    return _status(pid, "VmRSS:")


def peak_rss(pid: int) -> float:
    """The most resident memory that it ever had, in MiB."""
    return _status(pid, "VmHWM:")


def pss(pid: int) -> float:
    """Resident memory with what is shared divided among those who share it, in MiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no Pss of process {pid}")


def _status(pid: int, key: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no {key} of process {pid}")
