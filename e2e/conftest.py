"""One cluster for all end-to-end tests: real nodes in three jurisdictions, or somebody's own (E2E_KUBECONFIG).

The tests build on each other's outcome no more than on this: the operator is installed, the policy is in force, the
model is imported and served. What a test changes, it puts back.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import manifests, setting
from e2e.report import Report
from e2e.world import MODEL, POOL, World
from testbed.nodes import machine

ORDER = (
    "machine",
    "demo",
    "installing",
    "importing",
    "serving",
    "network",
    "placement",
    "disconnect",
    "uninstalling",
    "other_plugin",
)
"""Of the files: first what has clusters of its own, last what takes something away."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the order of the story; tests that need the test bed's own nodes say so where there are none."""
    items.sort(key=lambda item: _rank(item.path.stem.removeprefix("test_")))
    if not os.environ.get("E2E_KUBECONFIG"):
        return
    reason = "needs the test bed's real nodes (it stops them, or looks into their network): unset E2E_KUBECONFIG"
    for item in items:
        if item.get_closest_marker("real_nodes"):
            item.add_marker(pytest.mark.skip(reason=reason))


def _rank(name: str) -> int:
    return ORDER.index(name) if name in ORDER else len(ORDER)


_REPORT = Report()


@pytest.fixture(scope="session")
def report() -> Report:
    """Figures that are shown at the end of the run."""
    return _REPORT


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures."""
    if _REPORT.lines:
        terminalreporter.section("figures of this run")
        for line in _REPORT.lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The cluster with the operator installed and the policy in force."""
    home = tmp_path_factory.mktemp("e2e")
    if kubeconfig := os.environ.get("E2E_KUBECONFIG"):
        yield from setting.own_cluster(home, Path(kubeconfig))
        return
    if reason := machine.requirement():
        pytest.fail(f"{reason}. Or run on a cluster of your own: E2E_KUBECONFIG (docs/testing.md)", pytrace=False)
    yield from setting.bring_up(home)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def governed(world: World) -> World:
    """With the policy, the namespaces, and a caller in one that may call and in one that may not."""
    setting.govern(world)
    return world


@pytest.fixture(scope="session")
def imported(governed: World) -> World:
    """With the model's weights on a volume in France."""
    governed.apply(manifests.weights(governed))
    governed.wait_ready("smodel", MODEL)
    return governed


@pytest.fixture(scope="session")
def served(imported: World) -> World:
    """With two replicas that answer."""
    imported.apply(manifests.pool(imported))
    imported.wait_ready("sovpool", POOL)
    return imported
