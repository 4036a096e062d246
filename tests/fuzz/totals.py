"""How much was tried, counted as it is tried, and shown at the end of the run."""

from collections import Counter
from random import Random
from typing import Final, NamedTuple

import pytest
from hypothesis import HealthCheck, settings

_TRIED: Final = Counter[str]()


def tried(what: str, count: int = 1) -> None:
    """Count ``count`` more of ``what``."""
    _TRIED[what] += count


def lines() -> list[str]:
    """All counts, for people."""
    return [f"{count:>9,}  {what}" for what, count in sorted(_TRIED.items())]


def costly(short: int, long: int) -> settings:
    """Settings of a property whose examples take long: so many of them, and ``long`` in `make fuzz`."""
    return settings(
        max_examples=long if _long() else short,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


def _long() -> bool:
    return settings.default.max_examples > 1000


class Effort(NamedTuple):
    """How much a test that is no property tries, and with which random numbers."""

    random: Random
    long: bool

    def of(self, short: int, long: int) -> int:
        """``short``, or ``long`` in `make fuzz`."""
        return long if self.long else short


def effort(config: pytest.Config) -> Effort:
    """The effort of this run, by Hypothesis' profile and seed."""
    seed = config.getoption("--hypothesis-seed")
    return Effort(Random(int(seed or 0)), _long())
