"""The operator is stopped: what it has put into the API server stays in force. Started again, it has nothing to do."""

from testbed import audit
from testbed.demo.claims import hold
from testbed.demo.stage import NAMESPACE, REPLICA, Stage
from testbed.demo.steps.bypasses import BYPASSES, refused

_QUIET = 10
"""Looks in a row at which the operator has nothing to do."""


def show(stage: Stage) -> None:
    """Stop the operator, try a bypass, start it, and count what it writes."""
    screen = stage.screen
    _settle(stage)
    before = _uids(stage)
    screen.command("kill", "-TERM", str(stage.operator.pid))
    seconds = stage.operator.stop()
    screen.holds(f"the operator has ended, {seconds:.1f} s after SIGTERM")
    hold(seconds <= 5, f"it took {seconds:.1f} s to end; it promises 5")
    refused(stage, BYPASSES[0])
    screen.holds("refused with no operator there: the rules are in the API server")
    log = stage.cluster.audit_log
    since = audit.position(log) if log is not None else 0
    screen.say("The operator is started again:")
    screen.command("KUBECONFIG=...", "sovereign-operator", "run")
    stage.operator.start()
    stage.await_("the operator to lead", lambda: stage.operator.leads)
    _settle(stage)
    hold(_uids(stage) == before, "replicas were replaced while the operator was down or came back")
    stage.await_ready()
    screen.holds("the same replicas serve; nothing was lost")
    if log is None:
        screen.say("(This API server keeps no audit log, so the operator's requests are not counted.)")
        return
    _count(stage, since)


def _count(stage: Stage, since: int) -> None:
    mine = [request for request in stage.cluster.requests(since) if request.user.endswith(":sovereign-operator")]
    # A leader says in its lease that it is there, whatever there is to do.
    mine = [request for request in mine if request.resource != "leases"]
    writes = [request for request in mine if request.writes]
    stage.screen.answer(f"in the API server's audit log since: {len(mine)} reads and watches, {len(writes)} writes")
    some = ", ".join(f"{request.verb} {request.resource} {request.name}" for request in writes[:5])
    hold(not writes, f"the operator wrote although nothing had changed: {some}")
    stage.screen.holds("it found everything in place, and had nothing to write")


def _uids(stage: Stage) -> set[str]:
    return {str(pod["metadata"]["uid"]) for pod in stage.items("pods", NAMESPACE, REPLICA)}


def _settle(stage: Stage) -> None:
    """Wait until the operator has nothing to do."""
    quiet, last = 0, -1.0

    def idle() -> bool:
        nonlocal quiet, last
        done = stage.operator.metric("controller_runtime_reconcile_total")
        still = stage.operator.metric("workqueue_depth") == 0 and done == last
        quiet, last = (quiet + 1 if still else 0), done
        return quiet >= _QUIET

    stage.await_("the operator to have nothing to do", idle)
