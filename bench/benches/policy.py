"""Policy change: the regions of a policy are narrowed to half of the nodes, and widened again.

Time runs from the arrival of the change at the API server to its answer to the last write of an admission object, by the audit log. Writes
to pods that stand on a node whose approval did not change, and to pools (and their children) that have no pod on such a node, are counted.
"""

from collections.abc import Iterator
from typing import Final

from bench.fleet import AGENT, HERE, Fleet, fleet, written
from bench.ground import Ground
from bench.results import Result
from bench.stats import result
from bench.suite import Work
from bench.tail import Tail
from testbed.audit import Request

_REGIONS: Final = 2
_ADMISSION: Final = (
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
)


def run(ground: Ground, work: Work) -> Iterator[Result]:
    """Changes of a policy over ``size`` nodes and pools, with a pod on each node."""
    assert ground.cluster.audit_log is not None
    reported = {"action": "Report"}
    seconds: list[float] = []
    touched = 0
    with fleet(ground, f"policy-{work.size}", per_node=1, regions=_REGIONS, onViolation=reported) as (made, _):
        tail = Tail(ground.cluster.audit_log, AGENT)
        made.grow(work.size, tail)
        affected = [number for number in range(work.size) if number % _REGIONS]
        for _ in range(work.turns):
            for regions in ([made.region(0)], []):
                changed, found = _change(made, tail, affected, regions)
                seconds.append(_closed(found) - changed)
                touched += len(_needless(made, found, affected))
    note = f"{len(affected)} of {work.size} nodes lose and regain approval"
    yield result("policy.seconds", seconds, "s", work.size, note=note)
    yield result("policy.touched", [touched], "writes", work.size, note=note)


def _change(made: Fleet, tail: Tail, affected: list[int], regions: list[str]) -> tuple[float, list[Request]]:
    """Change the regions of the policy: when that arrived, and what the operator wrote until all that is affected was seen to."""
    loader = Tail(tail.log, "bench-loader")
    tail.read()
    before = len(tail.seen)
    concerned = {pod for number in affected for pod in made.pods(number)} | {made.node(number) for number in affected}
    made.change(placement={"jurisdictions": [HERE], "regions": regions})
    tail.until("pods and nodes to be labelled", lambda: concerned <= written(tail.seen[before:], "pods", "nodes"))
    tail.quiet()
    (changed,) = [one for one in loader.read() if one.resource == "sovereigntypolicies"]
    return changed.received, [one for one in tail.seen[before:] if one.writes]


def _closed(found: list[Request]) -> float:
    """When the last admission object was written."""
    return max(one.answered for one in found if one.resource in _ADMISSION)


def _needless(made: Fleet, found: list[Request], affected: list[int]) -> list[Request]:
    """What was written to pods and pools that the change did not concern."""
    pods = {pod for number in affected for pod in made.pods(number)}
    lawful = pods | {made.pool_of(pod) for pod in pods}
    mine = [one for one in found if one.namespace == made.name and one.resource != "events"]
    return [one for one in mine if one.name.removesuffix("-serving") not in lawful]
