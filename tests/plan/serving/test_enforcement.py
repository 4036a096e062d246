"""What network probes show: an unknown is never a pass."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.api.conditions import Reason
from sovereign.api.pool import NodeProbe
from sovereign.plan.enforcement import MOST_NODES, Ended, Finding, Report, age, enforcement, judge, read, recorded
from sovereign.plan.inventory import NetworkProbes

TARGETS = ("10.1.2.3:8081", "[fd00::3]:8081")
PROBES = NetworkProbes(targets=TARGETS, interval=600)
NOW = 1_800_000_000.0
LIMIT = 1800
SEEN = ("reached", "late", "refused", "unreachable", "timeout", "unclear")

outcomes = st.dictionaries(st.sampled_from(TARGETS), st.sampled_from(SEEN))
halves = st.builds(
    Ended,
    st.sampled_from(["n1", "n2"]),
    st.one_of(st.none(), st.builds(Report, outcomes)),
    st.just(""),
)


def at(seconds_ago: float) -> str:
    return datetime.fromtimestamp(NOW - seconds_ago, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def node_probe(node: str, outcome: str = "Refused", ago: float = 10, uid: str = "", message: str = "") -> NodeProbe:
    content = {"node": node, "nodeUid": uid or f"uid-{node}", "outcome": outcome, "time": at(ago), "message": message}
    return NodeProbe.model_validate(content)


def nodes(*names: str) -> dict[str, str]:
    return {name: f"uid-{name}" for name in names}


def half(outcome: str, node: str = "n1") -> Ended:
    return Ended(node, Report(dict.fromkeys(TARGETS, outcome)))


# --- one probe ------------------------------------------------------------------------------------------


@given(halves, halves)
def test_a_refusal_needs_a_control_that_reached_everything(probe: Ended, control: Ended) -> None:
    found = judge("n1", TARGETS, probe, control)
    seen = probe.report.outcomes if probe.report and probe.node == "n1" else {}
    beside = control.report.outcomes if control.report and control.node == "n1" else {}
    leaked = any(seen.get(target) in ("reached", "late") for target in TARGETS)
    closed = all(
        seen.get(target) in ("refused", "unreachable", "timeout") and beside.get(target) == "reached"
        for target in TARGETS
    )
    assert found.outcome == ("Reached" if leaked else "Refused" if closed else "Unknown")
    assert bool(found.message) == (found.outcome != "Refused")


def test_what_a_finding_says() -> None:
    reached = judge("n1", TARGETS, half("reached"), half("reached")).message
    assert "the network plugin does not enforce NetworkPolicy" in reached
    assert "install a plugin that does" in reached
    late = judge("n1", TARGETS, half("late"), half("reached")).message
    assert "enforces NetworkPolicy late" in late
    problem = judge("n1", TARGETS, Ended(), Ended(problem="its pod does not start: no room")).message
    assert problem == "node n1: the control of the network probe showed nothing: its pod does not start: no room"
    assert "without a report" in judge("n1", TARGETS, Ended("n1"), half("reached")).message
    assert "ran on node n2" in judge("n1", TARGETS, half("timeout", "n2"), half("reached")).message
    assert "a proxy" in judge("n1", TARGETS, half("unclear"), half("reached")).message


@pytest.mark.parametrize("text", ["", "null", "{}x", '{"outcomes": 1}', "[]"])
def test_what_is_no_report_is_none(text: str) -> None:
    assert read(text) is None


def test_a_report_is_read() -> None:
    assert read('{"outcomes": {"10.0.0.1:1": "timeout"}, "seconds": 10.0}') == Report({"10.0.0.1:1": "timeout"})


# --- one node -------------------------------------------------------------------------------------------


@given(st.sampled_from(["Refused", "Reached", "Unknown"]), st.sampled_from(["Refused", "Reached", "Unknown"]))
def test_what_shows_nothing_takes_nothing_back(before: str, after: str) -> None:
    known = node_probe("n1", before, 100, message="before")
    found = recorded(known, Finding(after, "after"), "n1", "uid-n1", "hash", at(0))  # type: ignore[arg-type]
    if after == "Unknown":
        assert (found.outcome, found.time) == (before, known.time)
        assert found.message == ("before" if before == "Reached" else "after")
        again = recorded(found, Finding("Unknown", "after"), "n1", "uid-n1", "hash", at(-50))
        assert again == found, "the same failure is no other status"
    else:
        assert (found.outcome, found.time, found.message, found.policy) == (after, at(0), "after", "hash")


def test_another_machine_of_the_same_name_begins_anew() -> None:
    found = recorded(node_probe("n1"), Finding("Unknown", "why"), "n1", "other", "hash", at(0))
    assert (found.outcome, found.node_uid) == ("Unknown", "other")


@pytest.mark.parametrize(("time", "seconds"), [(at(5), 5.0), (at(-30), 0.0), (at(-3600), None), ("yesterday", None)])
def test_the_age_of_a_probe(time: str, seconds: float | None) -> None:
    found = age(NodeProbe.model_validate({"node": "n", "outcome": "Refused", "time": time}), NOW)
    assert found == (pytest.approx(seconds, abs=1) if seconds is not None else None)


# --- a pool ---------------------------------------------------------------------------------------------

known_probes = st.lists(
    st.builds(
        node_probe,
        st.sampled_from(["n1", "n2", "n3"]),
        st.sampled_from(["Refused", "Reached", "Unknown"]),
        st.sampled_from([0.0, 599.0, LIMIT - 2.0, LIMIT + 2.0, 1e6, -1e4]),
        st.sampled_from(["", "uid-other"]),
        st.just("why"),
    ),
    unique_by=lambda probe: probe.node,
)
running = st.dictionaries(st.sampled_from(["n1", "n2", "n3"]), st.booleans())


@given(running, known_probes)
def test_true_needs_a_fresh_refusal_on_every_node_and_false_one_leak(
    where: dict[str, bool], known: list[NodeProbe]
) -> None:
    uids = {name: f"uid-{name}" if approved else "" for name, approved in where.items()}
    found = enforcement(uids, known, PROBES, NOW)
    mine = {probe.node: probe for probe in known if uids.get(probe.node) == probe.node_uid}
    leaks = any(probe.outcome == "Reached" for probe in mine.values())
    fresh = {name for name, probe in mine.items() if probe.outcome == "Refused" and (age(probe, NOW) or 0) <= LIMIT} - {
        name for name, probe in mine.items() if age(probe, NOW) is None
    }
    assert found.status is (False if leaks else True if uids and fresh == uids.keys() else None)
    assert found.message
    assert (found.seconds is not None) == (found.status is True)
    if found.seconds is not None:
        later = enforcement(uids, known, PROBES, NOW + found.seconds)
        assert (later.status, later.reason) == (None, Reason.PROBE_FAILED)


@given(running, known_probes, st.floats(0, 500))
def test_what_is_said_does_not_change_with_every_second(
    where: dict[str, bool], known: list[NodeProbe], later: float
) -> None:
    uids = {name: f"uid-{name}" if approved else "" for name, approved in where.items()}
    one, other = enforcement(uids, known, PROBES, NOW), enforcement(uids, known, PROBES, NOW + later)
    refused = [probe for probe in known if probe.outcome == "Refused"]
    became_old = any((age(probe, NOW) or 0) <= LIMIT < (age(probe, NOW + later) or 0) for probe in refused)
    if not became_old and (one.status, one.reason) == (other.status, other.reason):
        # Another node may come first once its refusal is old too.
        first, second = (re.sub(r"node n\d", "node", found.message.split(";")[0]) for found in (one, other))
        assert first == second


def test_what_is_said_of_a_pool() -> None:
    assert "no pod has a node" in enforcement({}, [], PROBES, NOW).message
    assert "not approved" in enforcement({"n1": ""}, [], PROBES, NOW).message
    assert "node n2 has not been probed" in enforcement(nodes("n1", "n2"), [node_probe("n1")], PROBES, NOW).message
    stale = enforcement(nodes("n1"), [node_probe("n1", ago=LIMIT + 1)], PROBES, NOW)
    assert (stale.reason, "networkProbe.concurrency" in stale.message) == (Reason.PROBE_FAILED, True)
    failing = enforcement(nodes("n1"), [node_probe("n1", ago=LIMIT + 1, message="no room")], PROBES, NOW)
    assert failing.message.endswith("no room")
    many = enforcement(nodes(*(f"n{number}" for number in range(MOST_NODES + 1))), [], PROBES, NOW)
    assert (many.status, "split the pool" in many.message) == (None, True)
    leaks = [node_probe(f"n{number}", "Reached", message=f"leak {number}") for number in range(7)]
    found = enforcement(nodes(*(leak.node for leak in leaks)), leaks, PROBES, NOW)
    assert (found.status, found.reason) == (False, Reason.EGRESS_REACHABLE)
    assert found.message.endswith("leak 4; and 2 more nodes")
