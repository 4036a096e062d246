"""What is told about objects that a policy's rules would refuse and that are there. They are a tenant's: nothing is deleted."""

import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Final

from sovereign.api.conditions import Reason
from sovereign.cluster import metrics
from sovereign.controllers.context import Context
from sovereign.controllers.store import Object
from sovereign.residency.findings import Shown
from sovereign.residency.volumes import CLAIM, CLASS

logger = logging.getLogger(__name__)
HOUR: Final = 3600.0
TOLD_PER_HOUR: Final = 20
"""Objects that are told one by one of a policy: in Audit a tenant can make as many as it likes."""


class UnlawfulReport:
    """Tells each object once of each policy whose rules it breaks, and again when what is wrong with it changes."""

    def __init__(self, context: Context, clock: Callable[[], float] = time.monotonic) -> None:
        self._context = context
        self._clock = clock
        self._known: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
        self._told: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=TOLD_PER_HOUR))

    def look(self, item: Object) -> None:
        """Tell what is new, and count."""
        policy = item.owner.name
        now: set[tuple[str, ...]] = set()
        counts: defaultdict[str, int] = defaultdict(int)
        for shown in self._context.store.findings.workloads(policy):
            if shown.workload.kind not in KINDS:
                continue
            counts[shown.workload.kind] += 1
            word = (*shown.workload, shown.rule, shown.message)
            now.add(word)
            if word not in self._known[policy]:
                self._tell(item, _reason(shown), shown.message)
        self._known[policy] = now
        for kind in KINDS:
            metrics.UNLAWFUL_OBJECTS.labels(policy, kind).set(counts[kind])

    def forget(self, policy: str) -> None:
        """A policy is gone."""
        self._known.pop(policy, None)
        self._told.pop(policy, None)
        for kind in KINDS:
            if (policy, kind) in metrics.UNLAWFUL_OBJECTS._metrics:  # noqa: SLF001 - the client has no public test for labels
                metrics.UNLAWFUL_OBJECTS.remove(policy, kind)

    def _tell(self, item: Object, reason: Reason, message: str) -> None:
        told, now = self._told[item.owner.name], self._clock()
        logger.warning("Policy %s: %s: %s", item.owner.name, reason, message)
        if len(told) == TOLD_PER_HOUR and now - told[0] < HOUR:
            message = f"more than {TOLD_PER_HOUR} such objects within an hour; status.violations and the log have more"
        else:
            told.append(now)
        self._context.tell(item, "Warning", reason, message)


def _reason(shown: Shown) -> Reason:
    if shown.workload.kind != CLAIM:
        return Reason.UNLAWFUL_OBJECT
    return Reason.STORAGE_CLASS_NOT_ALLOWED if shown.rule == CLASS else Reason.VOLUME_ELSEWHERE


KINDS: Final = (CLAIM, "NetworkPolicy", "Service", "EndpointSlice")
