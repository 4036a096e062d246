"""Drift: a node's jurisdiction changes, and its pods have to go.

Time runs from the API server's answer to the change until the operator's first request about each pod of the node arrives there, both by
the audit log. CPU is that of all that follows, to the last status, per pod; the same number of nodes changes in a cluster of a tenth.
"""

from collections.abc import Iterator
from statistics import median
from typing import Final

from bench.fleet import AGENT, HERE, Fleet, fleet, written
from bench.ground import Ground, Usage
from bench.results import Result
from bench.stats import percentile, result
from bench.suite import Work
from bench.tail import Tail
from testbed.audit import Request

PODS: Final = 10
"""On each node."""
NODES: Final = 50
"""That change, at most."""
_FEW: Final = 5
_BATCH: Final = 10
_ELSEWHERE: Final = "US"


class _Drift:
    """Nodes that change, one after another."""

    def __init__(self, made: Fleet, pid: int, tail: Tail) -> None:
        self._fleet = made
        self._pid = pid
        self._tail = tail
        self._loader = Tail(tail.log, "bench-loader")

    def over(self, numbers: list[int]) -> tuple[list[float], list[float]]:
        """Change these nodes: milliseconds for each pod, and milliseconds of CPU per pod for each batch."""
        latencies: list[float] = []
        costs: list[float] = []
        for first in range(0, len(numbers), _BATCH):
            usage = Usage(operator=self._pid)
            found = [one for number in numbers[first : first + _BATCH] for one in self._node(number)]
            self._tail.quiet()
            latencies += found
            costs.append(1000 * usage.so_far()["operator"] / len(found))
        return latencies, costs

    def _node(self, number: int) -> list[float]:
        pods = self._fleet.pods(number)
        self._tail.read()
        self._loader.read()
        before = len(self._tail.seen)
        self._fleet.place(number, _ELSEWHERE)
        self._tail.until("the evictions", lambda: pods <= written(self._tail.seen[before:], "pods/eviction"))
        (changed,) = [one for one in self._loader.read() if one.resource == "nodes"]
        firsts = _firsts(self._tail.seen[before:])
        self._fleet.remove_pods(number)
        self._fleet.place(number, HERE)
        return [1000 * (firsts[pod] - changed.answered) for pod in pods]


def _firsts(requests: list[Request]) -> dict[str, float]:
    """When each pod was first asked about."""
    firsts: dict[str, float] = {}
    for one in requests:
        if one.resource in ("pods", "pods/eviction") and one.writes:
            firsts[one.name] = min(firsts.get(one.name, one.received), one.received)
    return firsts


def run(ground: Ground, work: Work) -> Iterator[Result]:
    """Drift of some nodes among a tenth of ``size``, and among all of it."""
    few = max(2, work.size // 10)
    # Pods that serve do not wait for their turn; these were never ready, so that all have one.
    asked = {"action": "Evict", "maxConcurrent": 1000}
    assert ground.cluster.audit_log is not None
    with fleet(ground, f"drift-{work.size}", per_node=PODS, onViolation=asked) as (made, program):
        tail = Tail(ground.cluster.audit_log, AGENT)
        drift = _Drift(made, program.popen.pid, tail)
        made.grow(few, tail)
        _, small = drift.over(_spread(0, few))
        made.grow(work.size, tail)
        latencies, large = drift.over(_spread(few, work.size))
    p99 = percentile(latencies, 0.99)
    note = f"median {median(latencies):.1f} ms, most {max(latencies):.1f} ms, over {len(latencies)} pods of {PODS * work.size}"
    yield result("drift.p99", [p99], "ms", work.size, note=note, points=latencies)
    slope = [one / median(small) for one in large]
    note = f"{median(large):.2f} ms of CPU per pod, {median(small):.2f} ms in a cluster of {few} nodes"
    yield result("drift.cost_slope", slope, "ratio", work.size, note=note)


def _spread(first: int, end: int) -> list[int]:
    """At most `NODES` numbers, evenly; fewer of a small cluster, which only shows that it can be measured."""
    wanted = min(NODES, max(_FEW, end // 20), end - first)
    return [first + one * (end - first) // wanted for one in range(wanted)]
