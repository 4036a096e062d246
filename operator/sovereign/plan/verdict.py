"""The answer of one rule about one thing."""

from typing import NamedTuple

from sovereign.api.conditions import Reason


class Verdict(NamedTuple):
    """Whether ``rule`` holds. A verdict that is not ok carries the reason, and a message that says what to do."""

    ok: bool
    rule: str
    """Path of the field that states the rule, e.g. ``placement.jurisdictions``."""
    reason: Reason
    message: str = ""
    found: str = ""
    """What was found instead, where the rule is about one value."""


def first_failure(verdicts: list[Verdict]) -> Verdict | None:
    """The first verdict that is not ok, in the order in which the rules were evaluated."""
    return next((verdict for verdict in verdicts if not verdict.ok), None)
