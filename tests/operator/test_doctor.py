"""``kubectl sovereign`` beside a running operator: doctor passes, and plan says what the operator did."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.operator.lab import Lab, Process, wait_for

PROGRAM = Path(sys.executable).with_name("kubectl-sovereign")
KINDS = "sovereigntypolicies.sovereignai.io,sovereignmodels.sovereignai.io,inferencepools.sovereignai.io"


def call(lab: Lab, *args: str) -> tuple[int, Any]:
    """Exit code and answer."""
    command = [PROGRAM, *args, "-o", "json"]
    environment = {"KUBECONFIG": str(lab.cluster.kubeconfig)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert done.returncode != 2, done.stderr
    return done.returncode, json.loads(done.stdout)


def served(lab: Lab, place: str) -> None:
    """A model that is there and a pool that serves it."""
    lab.model("mistral", place)
    lab.pool("mistral", place)
    lab.wait_condition("inferencepools.sovereignai.io", "mistral", place, "Available", "True")


def test_doctor_passes_a_cluster_that_is_as_it_should_be(lab: Lab, operator: Process, place: str) -> None:
    served(lab, place)
    lab.settle(operator)
    code, answer = call(lab, "doctor")
    checks = {check["check"]: check for check in answer["checks"]}
    wanted = ("operator", f"policy {place}", f"labels of policy {place}", f"rules of policy {place}")
    assert {name: checks[name]["state"] for name in wanted} == dict.fromkeys(wanted, "ok")
    assert code == 0, [check for check in answer["checks"] if check["state"] == "fail"]


def test_doctor_notices_a_label_that_nobody_puts_right(lab: Lab, operator: Process, place: str) -> None:
    lab.settle(operator)
    operator.stop()
    label = f"{place}.sovereignai.node-restriction.kubernetes.io/approved"
    as_operator = lab.cluster.kubectl_as(lab.kubeconfig)
    as_operator("label", "node", "gpu-us-1", f"{label}=true")
    code, answer = call(lab, "doctor")
    failed = {check["check"]: check["message"] for check in answer["checks"] if check["state"] == "fail"}
    assert code == 1
    assert "gpu-us-1 has it unlawfully" in failed[f"labels of policy {place}"]
    assert "nobody holds Lease" in failed["operator"]
    as_operator("label", "node", "gpu-us-1", f"{label}-")


def test_plan_says_what_the_operator_does(lab: Lab, operator: Process, place: str, tmp_path: Path) -> None:
    served(lab, place)
    lab.settle(operator)
    objects, nodes = tmp_path / "objects.yaml", tmp_path / "nodes.json"
    everything = yaml.safe_load(lab.cluster.kubectl("get", KINDS, "-n", place, "-o", "yaml"))["items"]
    mine = [item for item in everything if place in (item["metadata"]["name"], item["metadata"].get("namespace"))]
    namespace = yaml.safe_load(lab.cluster.kubectl("get", "namespace", place, "-o", "yaml"))
    objects.write_text(yaml.safe_dump_all([*mine, namespace]))
    nodes.write_text(lab.cluster.kubectl("get", "nodes", "-o", "json"))

    code, answer = call(lab, "plan", "-f", str(objects), "--nodes", str(nodes))

    assert code == 0, answer
    planned = [child for part in ("policies", "models", "pools") for item in answer[part] for child in item["children"]]
    assert planned
    for child in planned:
        assert lab.get(child["kind"], child["name"], child["namespace"]) is not None, child
    (pool,) = answer["pools"]
    pods = wait_for(
        "the pod to be placed", lambda: [p for p in lab.pods(place, "mistral") if p["spec"].get("nodeName")]
    )
    assert {pod["spec"]["nodeName"] for pod in pods} <= set(pool["lawfulNodes"])
    assert not pool["waitsForModel"]
