"""What is read from /proc, and how growth is told from noise."""

import os
from pathlib import Path

import pytest

from bench.benches.memory import HOURS, WARM_UP, growth
from bench.goals import memory_budget
from bench.proc import fields, memory


def test_memory_of_a_process_is_read_in_mib() -> None:
    found = memory(os.getpid())
    assert 0 < found.pss <= found.rss <= found.peak + 1
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    assert found.rss == pytest.approx(resident, rel=0.2)


def test_only_sizes_are_read() -> None:
    assert fields("Name:\tpython\nVmHWM:\t   73844 kB\nThreads:\t4\n") == {"VmHWM": 73844}


def test_the_budget_grows_with_the_models() -> None:
    assert (memory_budget(0), memory_budget(1000), memory_budget(10_000)) == (60.0, 70.0, 160.0)


def test_growth_is_that_of_the_hours_after_the_warm_up() -> None:
    warm = [(1.0, 50.0), (2.0, 65.0)]
    flat = [(float(hour), 70.0 + (hour % 2)) for hour in range(3, HOURS + 1)]
    assert growth([*warm, *flat]) == pytest.approx(0.0, abs=0.5)
    leaking = [(float(hour), 70.0 + 0.5 * hour) for hour in range(3, HOURS + 1)]
    assert growth([*warm, *leaking]) == pytest.approx(0.5 * (HOURS - WARM_UP))
    assert growth([*warm, *leaking[:5]]) == pytest.approx(0.5 * (HOURS - WARM_UP)), "fewer hours are extended to a day"
