"""What canaries have shown: what one answer means, and what all of them say about a policy."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sovereign.api.conditions import Reason
from sovereign.plan.canaries import Canary

_NAMES_SHOWN: Final = 5
_REPAIR: Final = "the operator puts back what was changed, and its log says why where it cannot"
_RBAC: Final = re.compile(r'User ".*" cannot (\S+) resource "([^"]*)" in API group "([^"]*)"')


class Outcome(StrEnum):
    """What came of a canary."""

    REFUSED = "refused"  #: by the rule itself; or it changed what it had to
    ELSEWHERE = "elsewhere"  #: refused, and not in the rule's name: nothing is known about the rule
    ACCEPTED = "accepted"
    UNANSWERED = "unanswered"
    UNTRIED = "untried"  #: there is nothing to try it on, or there was not when it came


@dataclass(frozen=True)
class Answer:
    """What the API server answered."""

    status: int
    """HTTP status; 0 when there was none."""
    message: str = ""
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Finding:
    """What one canary has shown."""

    outcome: Outcome
    detail: str = ""


def judge(rule: str, canary: Canary, answer: Answer) -> Finding:
    """What ``answer`` to the canary of the admission object ``rule`` means."""
    if f"AdmissionPolicy '{rule}'" in answer.message:
        return Finding(Outcome.REFUSED)
    if 200 <= answer.status < 300:
        done = canary.changed is not None and answer.body is not None and canary.changed(answer.body)
        return Finding(Outcome.REFUSED if done else Outcome.ACCEPTED)
    if _past_admission(canary, answer):
        return Finding(Outcome.ACCEPTED)
    denied = _RBAC.search(answer.message) if answer.status == 403 else None
    if denied is not None:
        verb, resource, group = denied.groups()
        of_group = f" of {group}" if group else ""
        return Finding(Outcome.UNANSWERED, f"the canaries' account lacks the right to {verb} {resource}{of_group}")
    if answer.status == 404:
        return Finding(Outcome.UNTRIED, answer.message)
    if answer.status in (401, 408, 429) or not 400 <= answer.status < 500:
        return Finding(Outcome.UNANSWERED, f"it answered {answer.status}" if answer.status else answer.message)
    return Finding(Outcome.ELSEWHERE, answer.message)


def _past_admission(canary: Canary, answer: Answer) -> bool:
    """Whether the answer is one that comes after admission: the object is not there, or is there already."""
    if not canary.dry_run and canary.method == "GET" and answer.status == 400:
        return True
    missing = bool(canary.absent) and answer.status == 404 and f'"{canary.absent}" not found' in answer.message
    return missing or (answer.status == 409 and canary.method == "POST" and "already exists" in answer.message)


@dataclass(frozen=True)
class Proof:
    """What a round of canaries has shown about a policy: names of admission objects, sorted."""

    refused: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()
    untried: tuple[str, ...] = ()
    problem: str = ""
    """Why the first of ``unanswered`` was."""

    @classmethod
    def of(cls, findings: Mapping[str, Finding]) -> "Proof":
        """The proof of findings by admission object."""
        found = {
            outcome: [name for name in sorted(findings) if findings[name].outcome is outcome] for outcome in Outcome
        }
        unanswered = found[Outcome.UNANSWERED]
        return cls(
            **{outcome.value: tuple(names) for outcome, names in found.items()},
            problem=findings[unanswered[0]].detail if unanswered else "",
        )

    def enforced(self) -> tuple[bool | None, Reason, str]:
        """Status, reason and message of ``Enforced``. While all is well it says no numbers, which change as pools come and go."""
        if self.accepted:
            what = f"the API server accepted what {_listed(self.accepted)} must refuse"
            return False, Reason.CANARY_ACCEPTED, f"{what}; look at this object and its binding: {_REPAIR}"
        if self.unanswered:
            why = f"the API server did not say whether {_listed(self.unanswered)} refuses: {self.problem}"
            return None, Reason.CANARY_UNANSWERED, why
        if not self.refused:
            return (
                None,
                Reason.CANARY_UNANSWERED,
                "the admission objects are in place, and nothing could be tried that shows it",
            )
        return True, Reason.ENFORCED, "the admission objects are in place, and what could be tried was refused"

    def summary(self) -> str:
        """How many rules were seen to refuse, and which were not."""
        total = sum(map(len, (self.refused, self.elsewhere, self.accepted, self.unanswered, self.untried)))
        parts = [
            f"{len(self.refused)} of {total} refused",
            f"accepted: {_listed(self.accepted)}" if self.accepted else "",
            f"no answer about {_listed(self.unanswered)}: {self.problem}" if self.unanswered else "",
            f"something else refused first what {_listed(self.elsewhere)} must refuse" if self.elsewhere else "",
            f"there is nothing now to try {_listed(self.untried)} on" if self.untried else "",
        ]
        return "; ".join(filter(None, parts))


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - _NAMES_SHOWN} more" if len(every) > _NAMES_SHOWN else ""
    return ", ".join(every[:_NAMES_SHOWN]) + more


__all__ = ["Answer", "Finding", "Outcome", "Proof", "judge"]
