"""What a step claims, and the one error that says a claim does not hold."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL = 0.02
"""Seconds between two looks at something that is expected to change."""


class StepFailed(RuntimeError):
    """Something the demonstration shows does not hold; the text says what."""


def hold(condition: object, otherwise: str) -> None:
    """Go on if ``condition`` is true.

    Raises:
        StepFailed: it is not; its text is ``otherwise``.
    """
    if not condition:
        raise StepFailed(otherwise)


def eventually(what: str, look: Callable[[], T | None], patience: float) -> T:
    """Look until there is something to see, and return it.

    Args:
        what: for the error, as in "waited for ...".
        look: returns something true once it is there.
        patience: seconds.

    Raises:
        StepFailed: there was nothing to see in time.
    """
    deadline = time.monotonic() + patience
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise StepFailed(f"waited {patience:.0f} s for {what}")
        time.sleep(POLL)  # the pace of the looks; what ends the wait is what is seen
    return seen


class Stopwatch:
    """When each of several things was first seen, in seconds since the start."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self.marks: dict[str, float] = {}

    def mark(self, name: str, seen: object) -> bool:
        """Note the time when ``seen`` is true for the first time; whether ``name`` has been seen by now."""
        if seen and name not in self.marks:
            self.marks[name] = self._clock() - self._start
        return name in self.marks

    def rows(self) -> list[tuple[str, str]]:
        """What was seen and after how long, in the order of time."""
        return [(name, f"{seconds:.1f} s") for name, seconds in sorted(self.marks.items(), key=lambda mark: mark[1])]
