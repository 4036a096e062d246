"""Restart: an operator that finds everything in place; what it writes, and how long it takes to know that there is nothing to write.

Time runs from the first request that reaches the API server, by the audit log, to the end of the last reconcile, by the operator's own
metric; loading Python's modules is counted in the bench ``start``. It is held against a raw client that lists the same collections, in
as many pages, and does nothing with them. A turn is raw, restart, raw.
"""

import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from statistics import median
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import orjson

from bench.arms.lists import agent
from bench.ground import Ground, wait
from bench.loaded import asked, loaded
from bench.results import Result
from bench.stats import Pair, paired, result
from bench.suite import Work
from testbed import audit
from testbed.chaos.operator import Process

_LAST: Final = "sovereign_last_reconcile_timestamp_seconds"
_PAUSE: Final = 0.25
"""Seconds between two looks at the operator: each costs it some milliseconds, which would be counted."""
_SMALL: Final = 1000
_PAGING: Final = ("limit", "continue")
Collection = tuple[str, tuple[tuple[str, str], ...]]


class Restarts:
    """Restarts on one ground."""

    def __init__(self, ground: Ground, size: int) -> None:
        self._ground = ground
        self._size = size
        self.collections: list[Collection] = []
        self.writes: list[int] = []
        self.seconds: list[float] = []

    def restart(self) -> float:
        """Seconds until an operator has caught up; its writes and the collections that it listed are kept."""
        since = self._ground.position()
        program = self._ground.program()
        self._settle(program)
        last = program.metric(_LAST)
        found = asked(self._ground, since)
        program.stop()
        self.writes.append(sum(one.writes and one.resource != "leases" for one in found))
        self.collections = listed(found)
        self.seconds.append(last - min(one.received for one in found))
        return self.seconds[-1]

    def lists(self) -> float:
        """Seconds of the raw lists: the median of a few, where one takes no time."""
        rounds = 3 if self._size <= _SMALL else 1
        since = self._ground.position()
        argv = [sys.executable, "-m", "bench.arms.lists", str(self._ground.kubeconfig), str(rounds)]
        wanted = orjson.dumps([[path, dict(params)] for path, params in self.collections]) + b"\n"
        done = subprocess.run(argv, input=wanted, stdout=subprocess.PIPE, check=True).stdout.split()
        requests = asked(self._ground, since)
        started = [min(one.received for one in requests if one.agent == agent(number)) for number in range(rounds)]
        return median(float(ended) - began for began, ended in zip(started, done, strict=True))

    def _settle(self, program: Process, quiet: float = 1.0) -> None:
        """Wait until the operator leads, has an empty queue, and has reconciled nothing for so long."""
        wait("the operator to lead", lambda: program.leads, pause=_PAUSE)
        wait(
            "the operator to settle",
            lambda: program.metric("workqueue_depth") == 0 and time.time() - program.metric(_LAST) >= quiet,
            pause=_PAUSE,
        )


def listed(requests: Iterable[audit.Request]) -> list[Collection]:
    """The collections that were listed, once each, with their selectors and versions; how they were cut into pages is left out."""
    found: dict[tuple[str, str, str], Collection] = {}
    for one in requests:
        if one.verb != "list":
            continue
        path, query = urlsplit(one.uri)[2:4]
        params = {name: value for name, value in parse_qsl(query) if name not in _PAGING}
        which = path, params.get("labelSelector", ""), params.get("fieldSelector", "")
        found.setdefault(which, (path, tuple(sorted(params.items()))))
    return list(found.values())


def run(ground: Ground, work: Work) -> Iterator[Result]:
    """Restarts with so many models in place."""
    with loaded(ground, f"restart-{work.size}", work.size) as operator:
        operator.stop()
        restarts = Restarts(ground, work.size)
        restarts.restart()  # tells the collections; what it made of old rows is nobody's standard
        pairs, discarded = paired(
            lambda: Pair(restarts.lists(), restarts.restart(), restarts.lists()),
            work.turns,
            3 * work.turns,
            work.tolerance,
        )
        yield result("restart.writes", restarts.writes, "requests", work.size)
        yield result(
            "restart.over_lists", [pair.arm / pair.bare for pair in pairs], "ratio", work.size, discarded=discarded
        )
        yield result("restart.seconds", restarts.seconds[1:], "s", work.size)
        yield result("restart.lists_seconds", [pair.bare for pair in pairs], "s", work.size)
