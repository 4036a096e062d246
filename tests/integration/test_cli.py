"""``kubectl sovereign explain`` and ``doctor`` on a real API server."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sovereign.api.kinds import KINDS
from testbed import Cluster
from tests.cli.conftest import model, policy, pool
from tests.integration.api import Api
from tests.integration.conftest import TEST_LABEL
from tests.integration.enforcement import container, pod

pytestmark = pytest.mark.integration
PROGRAM = Path(sys.executable).with_name("kubectl-sovereign")
Manifest = dict[str, Any]


def call(cluster: Cluster, *args: str) -> tuple[int, Any]:
    """Exit code and answer."""
    command = [PROGRAM, *args, "--kubeconfig", cluster.kubeconfig, "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 2, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.fixture
def governed(api: Api, namespace: str) -> Iterator[str]:
    """A namespace with a policy of its own, a model and a pool."""
    selector = {"matchLabels": {TEST_LABEL: namespace}}
    chosen = policy(namespace, namespaceSelector=selector, placement={"jurisdictions": ["FR"]})
    for manifest in (chosen, model(), pool()):
        if "namespace" in manifest["metadata"]:
            manifest["metadata"]["namespace"] = namespace
        answer = api.create(manifest)
        assert answer.ok, answer.message
    yield namespace
    api.request("DELETE", f"/apis/sovereignai.io/v1alpha1/sovereigntypolicies/{namespace}")


def test_explain_reads_a_cluster(cluster: Cluster, governed: str) -> None:
    code, answer = call(cluster, "explain", "pool", "chat", "-n", governed)
    assert code == 0
    assert [problem["reason"] for problem in answer["pool"]["problems"]] == ["RuntimeNotFound"]
    against = {entry["node"]: entry["rule"] for entry in answer["nodes"]}
    assert against["gpu-fr-1"] == ""
    assert against["cpu-fr-1"] == "accelerator.count"
    assert against["gpu-us-1"] == f"placement.jurisdictions of policy {governed}"
    _, answer = call(cluster, "explain", "node", "gpu-de-1")
    (entry,) = [entry for entry in answer["policies"] if entry["policy"] == governed]
    assert (entry["approved"], entry["labelled"]) == (False, False)
    _, answer = call(cluster, "explain", "policy", governed)
    assert answer["policy"]["namespaces"] == [governed]


def test_explain_shows_all_that_a_policy_does_not_admit(cluster: Cluster, api: Api, governed: str) -> None:
    for number in range(23):
        volumes = [{"name": "host", "hostPath": {"path": "/"}}] if number == 0 else []
        spec = {"containers": [container()], "nodeName": "gpu-us-1", "volumes": volumes}
        assert api.create(pod(governed, f"p{number:02d}", **spec)).ok
    _, answer = call(cluster, "explain", "policy", governed)
    shown = [(entry["kind"], entry["name"], entry["rule"]) for entry in answer["violations"]]
    placed = [("Pod", f"p{number:02d}", "placement.jurisdictions") for number in range(23)]
    assert shown == sorted([*placed, ("Pod", "p00", "pods.volumes")])
    assert {(entry["namespace"], entry["count"]) for entry in answer["violations"]} == {(governed, 1)}


def lease(namespace: str, renewed: datetime) -> Manifest:
    spec = {"holderIdentity": "operator-1", "leaseDurationSeconds": 15, "renewTime": f"{renewed:%Y-%m-%dT%H:%M:%S.%fZ}"}
    metadata = {"name": "sovereign-operator", "namespace": namespace}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def test_doctor_says_what_holds_and_what_does_not(cluster: Cluster, api: Api, governed: str) -> None:
    """With no operator at work: the kinds are there as this version wants them, nothing else is."""
    code, answer = call(cluster, "doctor", "--operator-namespace", governed)
    assert code == 1
    states = {check["check"]: check["state"] for check in answer["checks"]}
    assert states["api server"] == "ok"
    assert {kind.plural: states[f"crd {kind.plural}"] for kind in KINDS} == dict.fromkeys(
        (k.plural for k in KINDS), "ok"
    )
    assert states["operator"] == "fail"
    assert states["node facts"] == "warn"
    assert states[f"policy {governed}"] == "fail"
    assert states[f"labels of policy {governed}"] == "fail"
    assert states[f"rules of policy {governed}"] == "fail"
    assert states["network"] == "warn"
    (facts,) = [check for check in answer["checks"] if check["check"] == "node facts"]
    assert "control-1" in facts["message"]


def test_doctor_believes_a_lease_that_is_renewed(cluster: Cluster, api: Api, namespace: str) -> None:
    assert api.create(lease(namespace, datetime.now(UTC))).ok
    assert operator(cluster, namespace)["state"] == "ok"
    stale = {"spec": lease(namespace, datetime.now(UTC) - timedelta(hours=1))["spec"]}
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/sovereign-operator"
    assert api.request("PATCH", path, stale).ok
    assert operator(cluster, namespace)["state"] == "fail"


def operator(cluster: Cluster, namespace: str) -> dict[str, str]:
    """What doctor says of the operator."""
    _, answer = call(cluster, "doctor", "--operator-namespace", namespace)
    (check,) = [check for check in answer["checks"] if check["check"] == "operator"]
    return check  # type: ignore[no-any-return]


def test_doctor_does_not_pass_what_it_may_not_read(cluster: Cluster, governed: str) -> None:
    kubeconfig = cluster.client_certificate("nobody-in-particular")
    done = subprocess.run(
        [PROGRAM, "doctor", "--kubeconfig", kubeconfig, "-o", "json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    checks = json.loads(done.stdout)["checks"]
    assert {check["state"] for check in checks if "crd" in check["check"] or check["check"] == "kinds"} == {"fail"}
    assert any("forbidden" in check["message"] for check in checks)
