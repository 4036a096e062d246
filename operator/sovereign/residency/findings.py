"""Everything that is there and that a policy does not admit, object by object, with what repair has come to.

Pods come from `Store.verify`. Verifiers of other things put theirs in by `Findings.put`, under the object's UID; policies count and show
them all.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec

from sovereign.residency.verdicts import Violation

_MESSAGE: Final = 512


class Step(StrEnum):
    """What repair has come to, as ``status.violations.workloads[].step`` shows it. The gravest comes last."""

    REPORTED = "Reported"
    WOULD_EVICT = "WouldEvict"
    WAITING = "Waiting"
    SCALED_TO_ZERO = "ScaledToZero"
    EVICTING = "Evicting"
    DELETING = "Deleting"
    REPAIR_BLOCKED = "RepairBlocked"


_GRAVITY: Final = {step: number for number, step in enumerate(Step)}


class Workload(NamedTuple):
    """What an object belongs to, or the object itself."""

    namespace: str
    name: str
    kind: str


class Finding(msgspec.Struct, frozen=True):
    """An object that policies do not admit."""

    workload: Workload
    name: str
    """Of the object itself."""
    violations: tuple[Violation, ...]
    step: Step | None = None
    """What repair has come to; None before its first step."""
    blocks: str = ""
    """What keeps it from being removed."""

    def step_of(self, violation: Violation) -> Step:
        """What comes of one of its violations."""
        if violation.action == "Report":
            return Step.REPORTED
        if not violation.enforced:
            return Step.WOULD_EVICT
        return self.step or Step.EVICTING


class Shown(NamedTuple):
    """The objects of a workload that break one rule of a policy."""

    workload: Workload
    rule: str
    objects: int
    message: str
    """About the first of them by name."""
    step: Step
    """The gravest of theirs."""

    def to_dict(self) -> dict[str, Any]:
        """As an entry of ``status.violations.workloads``."""
        return {
            "kind": self.workload.kind,
            "namespace": self.workload.namespace,
            "name": self.workload.name,
            "rule": self.rule,
            "count": self.objects,
            "message": self.message[:_MESSAGE],
            "step": self.step.value,
        }


class Findings:
    """What is wrong now, by the object's UID."""

    def __init__(self) -> None:
        self._by_uid: dict[str, Finding] = {}
        self._counts: Counter[str] = Counter()
        """By policy: how many objects break it now."""
        self.noticed: Counter[str] = Counter()
        """By policy: how many objects were ever found to break it."""

    def __contains__(self, uid: object) -> bool:
        return uid in self._by_uid

    def __len__(self) -> int:
        return len(self._by_uid)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_uid)

    def get(self, uid: str) -> Finding | None:
        """What is wrong with an object."""
        return self._by_uid.get(uid)

    def violations(self, uid: str) -> tuple[Violation, ...]:
        """The rules that an object breaks."""
        found = self._by_uid.get(uid)
        return found.violations if found is not None else ()

    def put(self, uid: str, workload: Workload, name: str, violations: tuple[Violation, ...]) -> bool:
        """Say all that is wrong with an object now, which may be nothing; whether that is news."""
        known = self._by_uid.get(uid)
        before = known.violations if known is not None else ()
        if before == violations:
            return False
        broken, broke = {one.policy for one in violations}, {one.policy for one in before}
        self._counts.update(broken - broke)
        self._counts.subtract(broke - broken)
        if not violations:
            del self._by_uid[uid]
            return True
        self.noticed.update(broken - broke)
        step, blocks = (known.step, known.blocks) if known is not None else (None, "")
        self._by_uid[uid] = Finding(workload, name, violations, step, blocks)
        return True

    def drop(self, uid: str) -> bool:
        """Forget an object that is gone; whether anything was wrong with it."""
        known = self._by_uid.pop(uid, None)
        if known is not None:
            self._counts.subtract({one.policy for one in known.violations})
        return known is not None

    def advance(self, uid: str, step: Step, blocks: str = "") -> bool:
        """Say what repair has come to; whether that is news."""
        known = self._by_uid.get(uid)
        if known is None or (known.step, known.blocks) == (step, blocks):
            return False
        self._by_uid[uid] = msgspec.structs.replace(known, step=step, blocks=blocks)
        return True

    def count(self, policy: str) -> int:
        """How many objects break ``policy``."""
        return self._counts[policy]

    def workloads(self, policy: str) -> list[Shown]:
        """What breaks ``policy``, by workload and rule, sorted by namespace and name."""
        return shown(policy, self._by_uid.values())


def shown(policy: str, findings: Iterable[Finding]) -> list[Shown]:
    """What of ``findings`` breaks ``policy``, by workload and rule, sorted by namespace and name."""
    result: dict[tuple[Workload, str], Shown] = {}
    for found in sorted(findings, key=lambda one: one.name):
        for violation in found.violations:
            if violation.policy != policy:
                continue
            place = (found.workload, violation.rule)
            step = found.step_of(violation)
            blocked = step is Step.REPAIR_BLOCKED and found.blocks
            message = f"{violation.message}; {found.blocks}" if blocked else violation.message
            known = result.get(place)
            if known is None:
                result[place] = Shown(*place, 1, message, step)
            else:
                gravest = max(known.step, step, key=_GRAVITY.__getitem__)
                result[place] = known._replace(objects=known.objects + 1, step=gravest)
    return [result[place] for place in sorted(result)]


def workload_of(namespace: str, name: str, workload: str) -> Workload:
    """What the pod ``name`` belongs to, given its row's ``workload``; itself when that is nothing."""
    kind, _, owner = workload.partition("/")
    return Workload(namespace, owner, kind) if owner else Workload(namespace, name, "Pod")
