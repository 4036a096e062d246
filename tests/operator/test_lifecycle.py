"""The process: probes, metrics, logs, the lease, and ends of every kind."""

import json
import signal

import pytest

from testbed import process
from tests.operator.lab import IMAGE, Lab, Process, wait_for


def test_probes_and_metrics(lab: Lab, operator: Process, place: str) -> None:
    assert operator.get("/healthz") == "ok"
    assert operator.get("/readyz") == "ok"
    lab.model("chat", place)
    lab.wait_condition("smodel", "chat", place, "Ready", "True")
    lab.wait_condition("sovpol", place, "", "Enforced", "True")
    lab.settle(operator)
    metrics = operator.get("/metrics")
    for name in (
        "controller_runtime_reconcile_total",
        "controller_runtime_reconcile_time_seconds_bucket",
        "workqueue_depth",
        "rest_client_requests_total",
        "leader_election_master_status",
        f'sovereign_approved_nodes{{policy="{place}"}}',
        f'sovereign_enforcement_state{{policy="{place}"}} 1.0',
        "process_resident_memory_bytes",
    ):
        assert name in metrics


def test_logs_are_json_and_hold_no_errors(lab: Lab, operator: Process, place: str) -> None:
    lab.model("chat", place)
    lab.wait_condition("smodel", "chat", place, "Ready", "True")
    lines = [json.loads(line) for line in operator.log.read_text().splitlines()]
    assert {"time", "level", "logger", "message"} <= set(lines[0])
    # A CRD that was just made answers 429 for a moment; kopf reports each attempt as an error.
    assert [line for line in lines if line["level"] == "error" and "will retry" not in line["message"]] == []


def test_a_standby_is_warm_and_takes_over(lab: Lab, operator: Process, place: str) -> None:
    lab.model("chat", place)
    lab.pool("chat", place)
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")
    standby = lab.start()
    try:
        wait_for("the standby to be ready", lambda: standby.get("/readyz") == "ok")
        assert not standby.leads
        assert operator.leads
        lab.wait_condition("sovpol", place, "", "Enforced", "True")
        lab.settle(operator)
        since = lab.position()
        assert operator.stop() < 5
        wait_for("the standby to lead", lambda: standby.leads, 10)
        lab.settle(standby)
        assert [request for request in lab.requests(since) if request.writes] == [], "nothing had to be written"
        lab.pool("chat", place, replicas=2)
        wait_for("its work", lambda: lab.get("deployment", "chat", place)["spec"]["replicas"] == 2)  # type: ignore[index]
    finally:
        standby.stop()


def test_killed_outright_it_loses_nothing(lab: Lab, operator: Process, place: str) -> None:
    lab.model("chat", place)
    lab.pool("chat", place)
    operator.stop(signal.SIGKILL)
    lab.cluster.kubectl("delete", "sovpool", "chat", "-n", place)
    lab.pool("other", place, modelRef={"name": "chat"})
    after = lab.start()
    try:
        wait_for("the next to lead, once the lease has run out", lambda: after.leads)
        lab.wait_condition("sovpool", "other", place, "Ready", "True")
        wait_for("what was deleted meanwhile to be gone", lambda: lab.get("deployment", "chat", place) is None)
    finally:
        after.stop()


def test_the_rules_hold_while_it_is_dead(lab: Lab, operator: Process, place: str) -> None:
    """Row 23: a tenant tries what is unlawful, and nobody is there but the API server."""
    lab.wait_condition("sovpol", place, "", "Enforced", "True")
    tenant = f"tenant-{place}"
    lab.cluster.kubectl("create", "rolebinding", "tenant", "-n", place, "--clusterrole=edit", f"--user={tenant}")
    operator.stop(signal.SIGKILL)
    kubectl = lab.cluster.kubectl_as(lab.cluster.kubeconfig)
    container = {"name": "c", "image": IMAGE}
    elsewhere = {"containers": [container], "nodeName": "gpu-us-1"}
    unlawful = {"containers": [container | {"image": "docker.io/library/nginx:1"}]}

    def said(spec: object) -> str:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": place}, "spec": spec}
        return kubectl.run("create", "-f", "-", f"--as={tenant}", input=json.dumps(pod)).stderr

    wait_for("the tenant's role", lambda: "ValidatingAdmissionPolicy" in said(unlawful))
    assert f"policy {place}: node gpu-us-1 in spec.nodeName is not approved" in said(elsewhere)
    assert lab.all("pods", place) == []
    shut = ("networkpolicy", f"sovereign-{place}-default-deny", "-n", place)
    assert "shuts this namespace" in kubectl.run("delete", *shut, f"--as={tenant}").stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_within_five_seconds(lab: Lab, operator: Process, place: str, number: signal.Signals) -> None:
    names = [f"chat{number}" for number in range(20)]
    for name in names:
        lab.model(name, place)
    assert operator.stop(number) < 5
    assert operator.popen.returncode == 0


def test_the_api_server_restarts(lab: Lab, operator: Process, place: str) -> None:
    lab.model("chat", place)
    lab.pool("chat", place)
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")
    (server,) = [service for service in lab.cluster.services() if service.name == "kube-apiserver"]
    process.stop([server.pidfile(lab.cluster.dir)])
    type(lab.cluster).up(lab.cluster.name, provider="binaries")
    lab.pool("chat", place, replicas=2)
    wait_for("work to go on", lambda: lab.get("deployment", "chat", place)["spec"]["replicas"] == 2)  # type: ignore[index]
    assert operator.popen.poll() is None, "the operator outlives it"


def test_a_lease_that_is_taken_away_ends_it(lab: Lab, operator: Process) -> None:
    stolen = {"spec": {"holderIdentity": "somebody-else", "leaseDurationSeconds": 3}}
    lab.cluster.kubectl(
        "patch", "lease", "sovereign-operator", "-n", "sovereign-system", "--type=merge", "-p", json.dumps(stolen)
    )
    wait_for("its end", lambda: operator.popen.poll() is not None)
    assert operator.popen.returncode == 1


def test_without_a_cluster_it_says_what_to_do(lab: Lab) -> None:
    lost = lab.start(KUBECONFIG="/nonexistent")
    lost.popen.wait(60)
    assert lost.popen.returncode == 2
    assert "kubeconfig /nonexistent cannot be used" in lost.log.read_text()


def test_an_address_that_is_taken_is_said(lab: Lab, operator: Process) -> None:
    second = lab.start(SOVEREIGN_LISTEN=f"127.0.0.1:{operator.port}")
    second.popen.wait(60)
    assert second.popen.returncode == 2
    assert f"cannot listen on 127.0.0.1:{operator.port}" in second.log.read_text()
