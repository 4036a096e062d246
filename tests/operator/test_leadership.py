"""Two operators, and never two that write: by the API server's own account of who wrote when."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiohttp import web

from testbed.chaos.clock import Clock
from testbed.chaos.leadership import Leadership, Write
from testbed.chaos.leadership import writes as logged
from testbed.chaos.proxy import Proxy, Treatment
from tests.operator.lab import Lab, Process, wait_for

LEASE = "4"

pytestmark = pytest.mark.xdist_group("faults")  # beside the others, on a control plane of their own


class Pair:
    """A leader and a standby, each behind a proxy and with a clock of its own."""

    def __init__(self, lab: Lab, folder: Path, stack: ExitStack) -> None:
        self._lab = lab
        self._since = lab.position()
        self.proxies, self.clocks, self.processes = [], [], []
        for name in ("first", "second"):
            (folder / name).mkdir()
            proxy = stack.enter_context(Proxy(lab.kubeconfig, folder / name))
            proxy.tag = f"{name}.1"
            clock = Clock(folder / name / "clock")
            process = lab.start(KUBECONFIG=str(proxy.kubeconfig), SOVEREIGN_LEASE_DURATION=LEASE, **clock.environment)
            stack.callback(lambda p=process: p.runs and p.stop(signal.SIGKILL))
            wait_for(f"the {name}", lambda p=process, n=name: p.leads if n == "first" else p.get("/readyz") == "ok")
            self.proxies.append(proxy)
            self.clocks.append(clock)
            self.processes.append(process)

    @property
    def leader(self) -> Process:
        """The one that led first."""
        return self.processes[0]

    @property
    def standby(self) -> Process:
        """The other one."""
        return self.processes[1]

    def writes(self) -> list[Write]:
        """All writes of both so far."""
        assert self._lab.cluster.audit_log is not None
        found, _ = logged(self._lab.cluster.audit_log, self._since, ("first.", "second."))
        return found

    def assert_one_at_a_time(self, *, changes: int) -> None:
        leadership = Leadership()
        assert list(leadership.follow(self.writes())) == []
        assert leadership.changes == changes


@pytest.fixture
def pair(lab: Lab, running: list[Process], tmp_path: Path) -> Iterator[Pair]:
    for process in running:
        if process.runs:
            process.stop()
    with ExitStack() as stack:
        yield Pair(lab, tmp_path, stack)


def test_a_leader_that_stood_still_writes_nothing_when_it_goes_on(lab: Lab, pair: Pair, place: str) -> None:
    """It is stopped in the middle of a reconcile, with answers on the way, and wakes when another one leads."""
    frozen = False

    def freeze(request: web.Request) -> Treatment | None:
        nonlocal frozen
        if frozen or request.method != "PATCH" or f"/{place}/services/" not in request.path:
            return None
        frozen = True
        return Treatment(after=lambda: pair.leader.popen.send_signal(signal.SIGSTOP))

    pair.proxies[0].fault = freeze
    lab.model("chat", place)
    lab.pool("chat", place)
    wait_for("the standby to lead", lambda: pair.standby.leads, 30)
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")
    lab.settle(pair.standby)
    written = len(pair.writes())
    pair.leader.popen.send_signal(signal.SIGCONT)
    assert pair.leader.popen.wait(30) == 1, "it notices, and ends"
    late = [write for write in pair.writes()[written:] if write.writer == "first.1" and not write.lease]
    assert late == []
    pair.assert_one_at_a_time(changes=2)


def test_a_leader_that_is_cut_off_ends_before_the_standby_leads(lab: Lab, pair: Pair, place: str) -> None:
    lab.model("chat", place)
    lab.pool("chat", place)
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")
    pair.proxies[0].sever()
    wait_for("the standby to lead", lambda: pair.standby.leads, 30)
    assert not pair.leader.leads
    lab.pool("chat", place, replicas=2)
    wait_for("its work", lambda: lab.get("deployment", "chat", place)["spec"]["replicas"] == 2)  # type: ignore[index]
    assert pair.leader.popen.wait(30) == 1
    pair.proxies[0].mend()
    lab.settle(pair.standby)
    pair.assert_one_at_a_time(changes=2)


def test_wall_clocks_that_jump_change_nothing(lab: Lab, pair: Pair, place: str) -> None:
    """Neither who leads, nor when an unlawful pod is gone: both go by monotonic clocks."""
    lab.model("chat", place)
    lab.pool("chat", place)
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")
    for hours in (36, -36):
        pair.clocks[0].set(hours * 3600)
        pair.clocks[1].set(-hours * 3600)
        jumped = time.monotonic()
        wait_for("longer than the lease lasts", lambda t=jumped: time.monotonic() - t > 1.25 * int(LEASE))
        assert pair.leader.leads
        assert not pair.standby.leads
    (pod,) = lab.pods(place, "chat")
    node = pod["spec"]["nodeName"]
    try:
        lab.facts(node, jurisdiction="US")
        wait_for("the pod to be gone", lambda: pod["metadata"]["uid"] not in uids(lab, place), 20)
    finally:
        lab.facts(node, jurisdiction="FR")
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")
    pair.assert_one_at_a_time(changes=1)


def test_a_standby_sees_at_once_that_the_lease_was_given_up(lab: Lab, running: list[Process]) -> None:
    """Long before its next look, which would come after 80 s."""
    for process in running:
        if process.runs:
            process.stop()
    first = lab.start(SOVEREIGN_LEASE_DURATION="600")
    wait_for("the first", lambda: first.leads)
    since = lab.position()
    second = lab.start(SOVEREIGN_LEASE_DURATION="600")
    try:
        wait_for("the second", lambda: second.get("/readyz") == "ok")
        wait_for("its look at the lease", lambda: any(one.resource == "leases" for one in lab.cluster.requests(since)))
        assert first.stop() < 30
        wait_for("the second to lead", lambda: second.leads, 30)
    finally:
        second.stop()


def uids(lab: Lab, place: str) -> set[str]:
    return {pod["metadata"]["uid"] for pod in lab.pods(place, "chat")}
