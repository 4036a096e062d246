"""Fuzzing: what is random here, is so by a seed that the run says. `make fuzz` tries much more than `make test`."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.fuzz import totals
from tests.fuzz.totals import Effort
from tests.oracles.references import ReferenceOracle, reference_oracle

settings.register_profile(
    "fuzz",
    max_examples=20_000,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture
def effort(pytestconfig: pytest.Config) -> Effort:
    """How much to try here, and with which random numbers."""
    return totals.effort(pytestconfig)


@pytest.fixture(scope="session")
def oracle() -> Iterator[ReferenceOracle]:
    """What container runtimes make of an image reference."""
    with reference_oracle() as running:
        yield running


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was tried."""
    if lines := totals.lines():
        terminalreporter.section("tried")
        for line in lines:
            terminalreporter.write_line(line)
