"""What is said of each step of a repair: log, Event (which evidence records), metric, and what policies and pools show."""

import logging
from collections.abc import Iterable

from sovereign.api.conditions import Reason
from sovereign.cluster.events import Severity, Subject
from sovereign.cluster.metrics import REPAIRS
from sovereign.cluster.queue import Key
from sovereign.cluster.rows import Pod
from sovereign.controllers.context import Context
from sovereign.controllers.dispatch import TALLY, tally
from sovereign.controllers.objects import POOL
from sovereign.residency.findings import Step
from sovereign.residency.verdicts import Remedy, Violation

logger = logging.getLogger(__name__)


class RepairReport:
    """Says it."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def show(self, pod: Pod, step: Step, blocks: str = "") -> bool:
        """Have policies and pool show what repair has come to; whether that is news."""
        findings = self._context.store.findings
        if not findings.advance(pod.uid, step, blocks):
            return False
        self.recount(pod, findings.violations(pod.uid))
        return True

    def recount(self, pod: Pod, violations: Iterable[Violation]) -> None:
        """Have policies and pool look again: many pods may follow."""
        store, queue = self._context.store, self._context.queue
        tally(queue, violations)
        if pod.pool and (pool := Key(POOL, pod.namespace, pod.pool)) in store.objects:
            queue.add_after(pool, TALLY)

    def count(self, pod: Pod, reason: Reason, message: str, asked: Remedy | None, step: str) -> None:
        """A step was taken: count it and tell it."""
        REPAIRS.labels(step).inc()
        self.tell(pod, reason, message, asked, step)

    def wait(self, pod: Pod, message: str, asked: Remedy) -> None:
        """It waits for its turn. That costs no request: policy and log tell it, and no Event."""
        REPAIRS.labels("wait").inc()
        self._log(pod, asked.first.reason, message, asked, "wait")

    def tell(self, pod: Pod, reason: Reason, message: str, asked: Remedy | None, step: str) -> None:
        """Log a step and emit an Event about it: a warning where something is wrong with the pod."""
        self._log(pod, reason, message, asked, step)
        severity: Severity = "Warning" if asked is not None else "Normal"
        self._context.events.emit(Subject("v1", "Pod", pod.namespace, pod.name, pod.uid), severity, reason, message)

    def _log(self, pod: Pod, reason: Reason, message: str, asked: Remedy | None, step: str) -> None:
        policy, rule = (asked.first.policy, asked.first.rule) if asked is not None else ("-", "-")
        logger.log(
            logging.WARNING if asked is not None else logging.INFO,
            "Pod %s/%s on node %s, policy %s, rule %s, step %s: %s: %s",
            pod.namespace,
            pod.name,
            pod.node or "-",
            policy,
            rule,
            step,
            reason,
            message,
        )
