"""The operator as a process with the chart's own service account, on a control plane that these tests have to themselves.

They relabel nodes, stop the operator and count requests: nothing else may run there.
"""

import os
import signal
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import Cluster
from testbed.chaos.proxy import Proxy
from testbed.chaos.stage import install
from tests.operator.lab import Lab, Process, wait_for


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.integration)
            if item.get_closest_marker("xdist_group") is None:
                item.add_marker(pytest.mark.xdist_group("operator"))


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A control plane with the chart installed, and no operator pods: fake nodes run nothing."""
    given = os.environ.get("TESTBED_NAME")
    cluster = Cluster.load(given) if given else Cluster.up(f"operator-{os.getpid()}", provider="binaries")
    try:
        kubeconfig = install(cluster, tmp_path_factory.mktemp("helm"))
        yield Lab(cluster, kubeconfig, tmp_path_factory.mktemp("logs"))
    finally:
        if not given:
            cluster.down()


@pytest.fixture(scope="package")
def running(lab: Lab) -> Iterator[list[Process]]:
    """The operator processes of these tests; whatever runs at the end is stopped."""
    processes: list[Process] = []
    yield processes
    for process in processes:
        if process.popen.poll() is None:
            process.stop(signal.SIGKILL)


@pytest.fixture
def operator(lab: Lab, running: list[Process]) -> Process:
    """An operator that leads; the one of the test before, if it still runs."""
    for process in running:
        if process.popen.poll() is None and process.leads:
            return process
    process = lab.start()
    running.append(process)
    wait_for("the operator to lead", lambda: process.leads or _died(process))
    return process


def _died(process: Process) -> bool:
    if process.popen.poll() is not None:
        pytest.fail(f"the operator ended: {process.log.read_text()[-2000:]}")
    return False


@pytest.fixture
def proxied(lab: Lab, running: list[Process], tmp_path: Path) -> Iterator[tuple[Process, Proxy]]:
    """An operator that reaches the API server through the proxy, and leads."""
    for process in running:
        if process.runs:
            process.stop()
    with Proxy(lab.kubeconfig, tmp_path) as proxy:
        process = lab.start(KUBECONFIG=str(proxy.kubeconfig))
        try:
            wait_for("the operator to lead", lambda: process.leads)
            yield process, proxy
        finally:
            process.stop()


@pytest.fixture
def place(lab: Lab, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace governed by a policy of the same name; both are removed afterwards."""
    name = f"t{zlib.crc32(request.node.nodeid.encode()):08x}"
    lab.namespace(name, tier=name)
    lab.policy(name, tier=name)
    yield name
    lab.cluster.kubectl("delete", "sovpool,smodel", "--all", "-n", name, "--wait=false")
    lab.cluster.kubectl("delete", "sovpol", name, "--ignore-not-found", "--wait=true")
    lab.cluster.kubectl("delete", "namespace", name, "--wait=false")
    lab.cluster.kubectl("delete", "pv", f"shared-{name}", "--ignore-not-found", "--wait=false")
