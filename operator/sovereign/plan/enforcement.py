"""What network probes have shown: of one probe, of one node, and of a pool.

An unknown is never shown as a pass. A refusal counts only when the control on the same node reached every address of the
listener in the same moment; it grows old. A node that was seen to let traffic through stays so until it is seen to refuse.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from sovereign.api.conditions import Reason
from sovereign.api.pool import NodeProbe, ProbeOutcome
from sovereign.plan.inventory import NetworkProbes

MOST_NODES: Final = 256
"""Nodes of one pool that are probed: as many as its status holds."""
FRESH: Final = 3
"""Intervals for which a refusal counts."""
_SKEW: Final = 60.0
"""Seconds that another clock may be ahead."""
_REACHED: Final = ("reached", "late")
_FAILED: Final = ("refused", "unreachable", "timeout")
_SHOWN: Final = 5


class Report(msgspec.Struct):
    """The termination message of a probe."""

    outcomes: dict[str, str] = {}
    """By target; ``sovereign.probe.attempt`` says which there are."""


class Ended(NamedTuple):
    """How a pod of a probe ended."""

    node: str = ""
    """Where it ran."""
    report: Report | None = None
    problem: str = ""
    """Why there is no report."""


class Finding(NamedTuple):
    """What one probe came to."""

    outcome: ProbeOutcome
    message: str = ""


class Enforcement(NamedTuple):
    """Whether the network is seen to obey the policies of a pool."""

    status: bool | None
    reason: Reason
    message: str
    seconds: float | None = None
    """When this changes although nothing else does: a refusal grows old."""


def read(message: str) -> Report | None:
    """A termination message; nothing when it is none of a probe's."""
    try:
        return msgspec.json.decode(message, type=Report)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None


def judge(node: str, targets: Sequence[str], probe: Ended, control: Ended) -> Finding:
    """What a probe and its control on ``node`` have shown together."""
    seen = probe.report.outcomes if probe.report is not None and probe.node == node else {}
    reached = [target for target in targets if seen.get(target) in _REACHED]
    if reached:
        return Finding("Reached", _leak(node, reached, late=all(seen[target] == "late" for target in reached)))
    halves = [("network probe", probe), ("control of the network probe", control)]
    for what, ended in sorted(halves, key=lambda half: not half[1].problem):
        if ended.report is None:
            why = ended.problem or "its pod ended without a report"
            return Finding("Unknown", f"node {node}: the {what} showed nothing: {why}")
        if ended.node != node:
            return Finding("Unknown", f"node {node}: the {what} ran on node {ended.node} instead")
    return _compared(node, targets, seen, control.report.outcomes if control.report is not None else {})


def _compared(node: str, targets: Sequence[str], probe: Mapping[str, str], control: Mapping[str, str]) -> Finding:
    for target in targets:
        if control.get(target) != "reached":
            return Finding(
                "Unknown",
                f"node {node}: the listener of the operator at {target} cannot be reached from there, not even without a network "
                f"policy ({control.get(target, 'not tried')}), so that failing to reach it shows nothing; let pods of "
                "the operator's namespace reach it",
            )
        if probe.get(target) not in _FAILED:
            return Finding(
                "Unknown",
                f"node {node}: it cannot be told whether {target} was reached: something else answered "
                f"({probe.get(target, 'not tried')}), for example a proxy",
            )
    return Finding("Refused")


def _leak(node: str, targets: Sequence[str], *, late: bool) -> str:
    what = f"node {node}: a pod with the pool's network identity reached {', '.join(targets)}, which no policy grants"
    if late:
        return (
            f"{what}, in the first seconds of its life: the network plugin enforces NetworkPolicy late; set it to hold pods back "
            "until their policies are in force"
        )
    return (
        f"{what}: the network plugin does not enforce NetworkPolicy, or a NetworkPolicy of somebody else in the namespace "
        "opens the way; install a plugin that does (Calico, Cilium, ...), or remove that NetworkPolicy"
    )


def recorded(before: NodeProbe | None, finding: Finding, node: str, uid: str, policy: str, time: str) -> NodeProbe:
    """What is known of a node after a probe; what showed nothing changes nothing that was seen before."""
    if finding.outcome == "Unknown" and before is not None and before.node_uid == uid:
        seen = before.outcome == "Reached"
        return before if seen else before.model_copy(update={"message": finding.message[:1024]})
    return NodeProbe(
        node=node,
        node_uid=uid,
        outcome=finding.outcome,
        time=time,
        policy=policy,
        message=finding.message[:1024],
    )


def age(probe: NodeProbe, now: float) -> float | None:
    """Seconds since a probe, at the time ``now`` (Unix); None when its time says nothing."""
    try:
        seen = datetime.strptime(probe.time, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
    return max(now - seen, 0.0) if seen <= now + _SKEW else None


def enforcement(nodes: Mapping[str, str], known: Iterable[NodeProbe], probes: NetworkProbes, now: float) -> Enforcement:
    """Whether the network obeys, from what is known of the nodes that run a pod of the pool.

    Args:
        nodes: these nodes' uids by name; empty for a node that is not approved, or not there.
        known: what probes have shown.
        probes: how the network is probed.
        now: Unix time in seconds.
    """
    by_node = {probe.node: probe for probe in known if probe.node_uid and nodes.get(probe.node) == probe.node_uid}
    leaking = [probe for probe in by_node.values() if probe.outcome == "Reached"]
    if leaking:
        leaks = sorted(leaking, key=lambda probe: probe.node)
        return Enforcement(False, Reason.EGRESS_REACHABLE, _some([probe.message for probe in leaks]))
    if not nodes:
        return Enforcement(None, Reason.NOT_PROBED, "no pod has a node yet, so there is nothing to probe")
    if len(nodes) > MOST_NODES:
        message = f"the pool runs on {len(nodes)} nodes, and {MOST_NODES} at most are probed; split the pool"
        return Enforcement(None, Reason.NOT_PROBED, message)
    limit = float(FRESH * probes.interval)
    left = []
    for node in sorted(nodes):
        lacking = _lacking(node, nodes[node], by_node.get(node), limit, now)
        if lacking is not None:
            return lacking
        left.append(limit - (age(by_node[node], now) or 0.0))
    message = (
        "on each node that runs a pod of the pool, a pod with the pool's network identity could not reach a listener of the "
        "operator, and a pod beside it that no network policy selects could"
    )
    return Enforcement(True, Reason.EGRESS_REFUSED, message, min(left) + 1.0)


def _lacking(node: str, uid: str, probe: NodeProbe | None, limit: float, now: float) -> Enforcement | None:
    """What is missing for ``node`` to count as one that refuses."""
    if not uid:
        message = f"node {node} is not approved by every policy, so no probe can run there"
        return Enforcement(None, Reason.NOT_PROBED, message)
    if probe is None:
        return Enforcement(None, Reason.NOT_PROBED, f"node {node} has not been probed yet; its turn will come")
    if probe.outcome != "Refused":
        return Enforcement(None, Reason.PROBE_FAILED, probe.message)
    old = age(probe, now)
    if old is None or old > limit:
        why = probe.message or "probes do not keep up; raise networkProbe.concurrency or networkProbe.interval"
        message = f"node {node} was last seen to refuse more than {limit:.0f} s ago; {why}"
        return Enforcement(None, Reason.PROBE_FAILED, message)
    return None


def _some(messages: Sequence[str]) -> str:
    more = len(messages) - _SHOWN
    return "; ".join(messages[:_SHOWN]) + (f"; and {more} more nodes" if more > 0 else "")
