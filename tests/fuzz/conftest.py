"""Fuzzing: what is random here, is so by a seed that the run says. `make fuzz` tries much more than `make test`.

What needs an API server has a control plane of its own, which is asked in dry runs for the most part.
"""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from sovereign.api.crd import definition
from sovereign.api.crd import text as crd_text
from sovereign.api.kinds import KINDS
from testbed import Cluster
from tests.fuzz import totals
from tests.fuzz.totals import Effort
from tests.integration.api import Api
from tests.integration.conftest import TEST_LABEL, Kubectl, make_namespace
from tests.oracles.references import ReferenceOracle, reference_oracle

settings.register_profile(
    "fuzz",
    max_examples=20_000,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All that needs the control plane goes to one worker."""
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("integration"):
            item.add_marker(pytest.mark.xdist_group("fuzz"))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A control plane with our CRDs, taken down afterwards unless TESTBED_NAME names one that was there before."""
    given = os.environ.get("TESTBED_NAME")
    made = Cluster.load(given) if given else Cluster.up(f"fuzz-{os.getpid()}")
    try:
        documents = "---\n".join(crd_text(definition(kind)) for kind in KINDS)
        made.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=documents)
        made.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        yield made
    finally:
        if not given:
            made.down()


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> Api:
    """The API server over HTTP, with full rights."""
    return Api.of(cluster.kubeconfig)


@pytest.fixture
def namespace(api: Api, cluster: Cluster) -> Iterator[str]:
    """A fresh namespace, labelled `TEST_LABEL` = its name."""
    name = f"z-{secrets.token_hex(4)}"
    yield make_namespace(api, Kubectl(cluster), name, {TEST_LABEL: name})
    api.request("DELETE", f"/api/v1/namespaces/{name}")


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
