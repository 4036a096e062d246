"""What is told about objects that a policy's rules would refuse and that are there. They are a tenant's: nothing is deleted."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from sovereign.api.conditions import Reason
from sovereign.cluster import metrics
from sovereign.controllers.context import Context
from sovereign.controllers.hourly import Hourly
from sovereign.controllers.objects import Object
from sovereign.residency.findings import Shown
from sovereign.residency.volumes import CLAIM, CLASS

logger = logging.getLogger(__name__)
TOLD_PER_HOUR: Final = 20
"""Objects that are told one by one of a policy: in Audit a tenant can make as many as it likes."""


class UnlawfulReport:
    """Tells each object once of each policy whose rules it breaks, and again when what is wrong with it changes."""

    def __init__(self, context: Context, clock: Callable[[], float] = time.monotonic) -> None:
        self._context = context
        self._known: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
        self._hourly = Hourly(TOLD_PER_HOUR, clock)

    def look(self, item: Object, unlawful: Iterable[Shown]) -> None:
        """Tell what is new in what its policy does not admit, and count."""
        policy = item.owner.name
        now: set[tuple[str, ...]] = set()
        counts: defaultdict[str, int] = defaultdict(int)
        for shown in unlawful:
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
        self._hourly.forget(policy)
        for kind in KINDS:
            metrics.forget(metrics.UNLAWFUL_OBJECTS, policy, kind)

    def _tell(self, item: Object, reason: Reason, message: str) -> None:
        logger.warning("Policy %s: %s: %s", item.owner.name, reason, message)
        if not self._hourly.allows(item.owner.name):
            message = f"more than {TOLD_PER_HOUR} such objects within an hour; status.violations and the log have more"
        self._context.tell(item, "Warning", reason, message)


def _reason(shown: Shown) -> Reason:
    if shown.workload.kind != CLAIM:
        return Reason.UNLAWFUL_OBJECT
    return Reason.STORAGE_CLASS_NOT_ALLOWED if shown.rule == CLASS else Reason.VOLUME_ELSEWHERE


KINDS: Final = (CLAIM, "NetworkPolicy", "Service", "EndpointSlice")
