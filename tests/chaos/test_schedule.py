"""What a seed decides, and how a run is judged: the parts that need no cluster."""

from itertools import islice

import pytest

from testbed.chaos import schedule, workload
from testbed.chaos.leadership import Leadership, Write
from testbed.chaos.monitor import RESIDENT, Sample, Served, leaks
from testbed.chaos.report import Report
from testbed.chaos.schedule import Kind


def test_a_seed_decides_on_all_faults_and_operations() -> None:
    once, again = (list(schedule.batches(7, 60, 25)) for _ in range(2))
    assert once == again
    assert [len(batch) for batch in once] == [25, 25, 10]
    assert list(islice(workload.batches(7), 5)) == list(islice(workload.batches(7), 5))


def test_other_seeds_decide_otherwise() -> None:
    assert list(schedule.batches(7, 50, 25)) != list(schedule.batches(8, 50, 25))
    assert next(workload.batches(7)) != next(workload.batches(8))


def test_a_longer_run_begins_like_a_shorter_one() -> None:
    assert list(schedule.batches(7, 100, 25))[:2] == list(schedule.batches(7, 50, 25))


def test_a_thousand_faults_are_of_every_kind() -> None:
    kinds = {fault.kind for batch in schedule.batches(1, 1000, 25) for fault in batch}
    assert kinds == set(Kind)


def test_a_batch_holds_the_leader_once_at_most() -> None:
    for batch in schedule.batches(3, 1000, 25):
        assert sum(fault.kind in (Kind.FREEZE, Kind.PARTITION) for fault in batch) <= 1
        assert sum(fault.kind in (Kind.API_SERVER, Kind.COMPACT) for fault in batch) <= 1
        assert [fault.at for fault in batch] == sorted(fault.at for fault in batch)


def write(writer: str, received: str, answered: str, *, lease: bool = False) -> Write:
    return Write(writer, received, answered, lease, "patch pods x")


def test_writes_that_follow_each_other_are_in_order() -> None:
    found = [
        write("one.1", "01", "02", lease=True),
        write("one.1", "03", "04"),
        write("two.1", "05", "06", lease=True),
        write("two.1", "07", "08"),
    ]
    leadership = Leadership()
    assert list(leadership.follow(found)) == []
    assert (leadership.changes, leadership.writes, leadership.leader) == (2, 4, "two.1")


@pytest.mark.parametrize(
    ("late", "wrong"),
    [
        pytest.param(write("one.1", "07", "08"), True, id="sent after another one led"),
        pytest.param(write("one.1", "05", "08"), False, id="received before"),
        pytest.param(write("three.1", "07", "08"), True, id="by one that never led"),
    ],
)
def test_a_write_beside_the_leader_is_noticed(late: Write, wrong: bool) -> None:
    before = [write("one.1", "01", "02", lease=True), write("two.1", "04", "06", lease=True)]
    assert bool(list(Leadership().follow([*before, late]))) == wrong


def held(process: str, resident: int, *, leads: bool = True) -> Sample:
    return Sample(process, leads, 40, 1, 40, resident)


def test_what_grows_is_a_leak_and_another_process_is_not() -> None:
    assert leaks([held("one.1", 90), held("one.1", 95), held("one.2", 200)]) == []
    assert leaks([held("one.1", 90, leads=False), held("one.1", 100 + RESIDENT)]) == [], "a leader holds more"
    assert leaks([held("one.1", 90), held("one.1", 100), held("one.1", 91 + RESIDENT)]) == [
        f"one.1: resident grew from 90 to {91 + RESIDENT}"
    ]


def test_the_longest_time_that_a_pod_is_served_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served(client=None)  # type: ignore[arg-type]
    for now, pods in ((0.0, {"u": "a/p"}), (2.0, {"u": "a/p", "v": "a/q"}), (3.0, {"v": "a/q"}), (9.0, {"u": "a/p"})):
        served.account(pods, now)
    assert (served.longest, served.which) == (2.0, "a/p")


def test_a_report_names_what_did_not_hold_and_how_to_repeat_it() -> None:
    report = Report(7, failures=["missing: Service a/b"])
    report.faults.update({Kind.CUT.value: 2, Kind.LOST.value: 1})
    assert "what did not hold: 1\n  missing: Service a/b\nrepeat it with: make chaos SEED=7 FAULTS=3" in report.text()
