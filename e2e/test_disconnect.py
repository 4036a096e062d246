"""Cut off: no API server, no operator, no source, no registry. The model answers, and comes back on its node."""

import os
import signal
import time

import pytest

from e2e.report import Report
from e2e.test_installing import OPERATOR
from e2e.world import NAMESPACE, POOL, PORT, RELEASE, SYSTEM, World
from testbed.models import QUESTION
from testbed.story import cut
from testbed.story.pods import find_process
from tests.operator.lab import wait_for

pytestmark = pytest.mark.real_nodes


def test_disconnected(served: World, report: Report) -> None:
    pods = served.ready(POOL)
    caller = served.get("pod", "caller", "callers")
    assert caller is not None
    served.cluster.kubectl("scale", "deployment", RELEASE, "-n", SYSTEM, "--replicas=0")
    wait_for("the operator to be gone", lambda: not served.all("pods", SYSTEM, OPERATOR))
    started = time.monotonic()
    cut.off(served.cluster)
    try:
        addresses = [pod["status"]["podIP"] for pod in pods]
        assert served.cluster.kubectl_as(served.kubeconfig).run("get", "nodes", "--request-timeout=2s").returncode != 0
        for address in addresses:
            assert "Paris" in served.ask_directly(caller, f"http://{address}:{PORT}", QUESTION)
        name = f"http://{POOL}.{NAMESPACE}.svc.cluster.local:{PORT}"
        assert "Paris" in served.ask_directly(caller, name, QUESTION)

        engine = find_process(served.fleet.layout, pods[0], "llama-server")
        assert engine is not None
        os.kill(engine, signal.SIGKILL)
        killed = time.monotonic()

        def back() -> bool:
            return "Paris" in served.ask_directly(caller, f"http://{addresses[0]}:{PORT}", QUESTION)

        wait_for("the engine to be back on its node", back)
        report.seconds("disconnect test: an engine that was killed answers again after", time.monotonic() - killed)
        report.seconds(
            "disconnect test: without API server, operator, source and registry for", time.monotonic() - started
        )
    finally:
        served.reconnect()
    served.cluster.kubectl("scale", "deployment", RELEASE, "-n", SYSTEM, "--replicas=2")
    served.cluster.kubectl("rollout", "status", f"deployment/{RELEASE}", "-n", SYSTEM, "--timeout=120s")
    served.wait_ready("sovpool", POOL)
    assert {pod["metadata"]["uid"] for pod in served.ready(POOL)} == {pod["metadata"]["uid"] for pod in pods}
