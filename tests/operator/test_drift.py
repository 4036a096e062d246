"""Whoever changes a child, an admission policy or a label: it is put back, and said.

Changes of children are refused to everybody but the operator (tests/integration/test_child_rules.py). Here they are made by whoever gets
round that, in the operator's name.
"""

import json
from typing import Any

import pytest

from charts import sync
from tests.operator.lab import FACTS, Lab, Process, wait_for

AS_OPERATOR = (f"--as=system:serviceaccount:{sync.NAMESPACE}:sovereign-operator", "--as-group=system:masters")
SIDECAR = {"name": "sidecar", "image": "registry.example.eu/ai/x@sha256:" + "1" * 64}


def serve(lab: Lab, place: str) -> None:
    lab.model("chat", place)
    lab.pool("chat", place)
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")


def deployment(lab: Lab, place: str) -> dict[str, Any]:
    found = lab.get("deployment", "chat", place)
    assert found is not None
    return found


def patch(lab: Lab, kind: str, name: str, place: str, body: object, *flags: str, type_: str = "merge") -> None:
    where = ["-n", place] if place else []
    lab.cluster.kubectl("patch", kind, name, *where, f"--type={type_}", "-p", json.dumps(body), *flags)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": SIDECAR["image"]}], id="image"
        ),
        pytest.param([{"op": "add", "path": "/spec/template/spec/containers/-", "value": SIDECAR}], id="sidecar"),
        pytest.param(
            [
                {
                    "op": "add",
                    "path": "/spec/template/spec/hostAliases",
                    "value": [{"ip": "192.0.2.1", "hostnames": ["x"]}],
                }
            ],
            id="alias",
        ),
        pytest.param(
            [{"op": "add", "path": "/spec/template/spec/tolerations/-", "value": {"operator": "Exists"}}],
            id="toleration",
        ),
        pytest.param(
            [{"op": "add", "path": "/spec/template/metadata/annotations", "value": {"x": "y"}}], id="annotation"
        ),
        pytest.param([{"op": "remove", "path": "/spec/template/spec/nodeSelector"}], id="selector"),
        pytest.param([{"op": "replace", "path": "/spec/replicas", "value": 3}], id="replicas"),
        pytest.param([{"op": "remove", "path": "/metadata/labels"}], id="labels"),
        pytest.param([{"op": "remove", "path": "/metadata/ownerReferences"}], id="orphaned"),
    ],
)
def test_a_deployment_that_is_edited(lab: Lab, operator: Process, place: str, change: list[dict[str, Any]]) -> None:
    serve(lab, place)
    before = deployment(lab, place)
    lab.settle(operator)
    patch(lab, "deployment", "chat", place, change, *AS_OPERATOR, type_="json")

    def restored() -> bool:
        now = deployment(lab, place)
        metadata = ("labels", "ownerReferences")
        same = all(now["metadata"].get(key) == before["metadata"].get(key) for key in metadata)
        return same and now["spec"] == before["spec"]

    wait_for("the Deployment to be as it was", restored)
    lab.settle(operator)
    assert restored(), "and to stay so"


def test_children_that_are_deleted_come_back(lab: Lab, operator: Process, place: str) -> None:
    serve(lab, place)
    kinds = {
        "deployment": "chat",
        "service": "chat",
        "networkpolicy": "chat-serving",
        "serviceaccount": "chat-serving",
        "pdb": "chat",
    }
    before = {kind: lab.get(kind, name, place) for kind, name in kinds.items()}
    for kind, name in kinds.items():
        lab.cluster.kubectl("delete", kind, name, "-n", place, "--wait=false")
    for kind, name in kinds.items():
        old = before[kind]
        assert old is not None
        wait_for(
            f"{kind} to come back",
            lambda k=kind, n=name, o=old: uid(lab, k, n, place) not in ("", o["metadata"]["uid"]),
        )
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")


def uid(lab: Lab, kind: str, name: str, namespace: str = "") -> str:
    found = lab.get(kind, name, namespace)
    return found["metadata"]["uid"] if found else ""


def test_a_network_policy_that_is_widened(lab: Lab, operator: Process, place: str) -> None:
    serve(lab, place)
    for name in ("chat-serving", f"sovereign-{place}-default-deny"):
        before = lab.get("networkpolicy", name, place)
        assert before is not None
        patch(lab, "networkpolicy", name, place, {"spec": {"egress": [{}], "ingress": [{}]}}, *AS_OPERATOR)
        wait_for(
            f"{name} to be closed again",
            lambda n=name, b=before: lab.get("networkpolicy", n, place)["spec"] == b["spec"],
        )  # type: ignore[index]


def test_admission_policies_are_restored(lab: Lab, operator: Process, place: str) -> None:
    lab.wait_condition("sovpol", place, "", "Enforced", "True")
    name = f"sovereign-{place}-binding"
    before = lab.get("validatingadmissionpolicy", name)
    binding = lab.get("validatingadmissionpolicybinding", name)
    assert before is not None
    assert binding is not None

    patch(lab, "validatingadmissionpolicybinding", name, "", {"spec": {"validationActions": ["Audit"]}})
    wait_for(
        "the binding to deny", lambda: lab.get("validatingadmissionpolicybinding", name)["spec"] == binding["spec"]
    )  # type: ignore[index]

    patch(
        lab,
        "validatingadmissionpolicy",
        name,
        "",
        {"spec": {"matchConditions": [{"name": "never", "expression": "false"}]}},
    )
    wait_for("the condition to go", lambda: lab.get("validatingadmissionpolicy", name)["spec"] == before["spec"])  # type: ignore[index]

    for kind in ("validatingadmissionpolicy", "validatingadmissionpolicybinding"):
        old = uid(lab, kind, name)
        lab.cluster.kubectl("delete", kind, name)
        wait_for(f"{kind} to come back", lambda k=kind, o=old: uid(lab, k, name) not in ("", o))
    drift = [
        e
        for e in lab.all("events", "default")
        if e["reason"] == "DriftRepaired" and e["involvedObject"]["name"] == place
    ]
    assert drift
    lab.wait_condition("sovpol", place, "", "Enforced", "True")


def as_operator(lab: Lab, *words: str) -> None:
    """As the operator, but with a program of its own: everybody else is refused."""
    lab.cluster.kubectl_as(lab.kubeconfig)(*words)


def test_the_approved_label_is_kept(lab: Lab, operator: Process, place: str) -> None:
    lab.wait_condition("sovpol", place, "", "Enforced", "True")
    label = f"{place}.{FACTS}/approved"

    def labelled(node: str) -> bool:
        return lab.get("node", node)["metadata"]["labels"].get(label) == "true"  # type: ignore[index]

    wait_for("the label", lambda: labelled("gpu-fr-1"))
    as_operator(lab, "label", "node", "gpu-fr-1", f"{label}-")
    as_operator(lab, "label", "node", "gpu-us-1", f"{label}=true")
    wait_for("the label to be back", lambda: labelled("gpu-fr-1"))
    wait_for("the wrong one to be gone", lambda: not labelled("gpu-us-1"))
    lab.cluster.kubectl("delete", "sovpol", place)
    wait_for("labels of a policy that is gone to go", lambda: not lab.all("nodes", selector=label))


def test_somebody_elses_object_is_left_alone(lab: Lab, operator: Process, place: str) -> None:
    foreign = {"selector": {"app": "other"}, "ports": [{"port": 80}]}
    lab.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "chat", "namespace": place}, "spec": foreign}
    )
    lab.model("chat", place)
    lab.pool("chat", place)
    found = lab.wait_condition("sovpool", "chat", place, "Stalled", "True", "ChildConflict")
    assert "rename or remove it" in found["message"]
    assert lab.get("service", "chat", place)["spec"]["selector"] == {"app": "other"}  # type: ignore[index]
    lab.cluster.kubectl("delete", "service", "chat", "-n", place)
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")


def test_what_is_not_wanted_any_more_goes(lab: Lab, operator: Process, place: str) -> None:
    lab.model("chat", place)
    lab.pool("chat", place, replicas=2)
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")
    spec = {
        "modelRef": {"name": "chat"},
        "replicas": None,
        "autoscaling": {"minReplicas": 1, "maxReplicas": 4, "metric": "CPU", "target": 70},
    }
    patch(lab, "sovpool", "chat", place, {"spec": spec})
    wait_for("the autoscaler", lambda: lab.get("hpa", "chat", place))
    lab.settle(operator)
    assert deployment(lab, place)["spec"]["replicas"] == 2, "the hand-over resets nothing"
    lab.cluster.kubectl("scale", "deployment", "chat", "-n", place, "--replicas=3", *AS_OPERATOR)
    lab.settle(operator)
    assert deployment(lab, place)["spec"]["replicas"] == 3, "an autoscaler owns the replicas"
    patch(lab, "sovpool", "chat", place, {"spec": {"replicas": 1, "autoscaling": None}})
    wait_for("the autoscaler to go", lambda: lab.get("hpa", "chat", place) is None)
    wait_for("the replicas", lambda: deployment(lab, place)["spec"]["replicas"] == 1)


def test_the_scale_subresource(lab: Lab, operator: Process, place: str) -> None:
    serve(lab, place)
    lab.cluster.kubectl("scale", "inferencepools.sovereignai.io", "chat", "-n", place, "--replicas=2")
    wait_for("two replicas", lambda: lab.get("sovpool", "chat", place)["status"]["readyReplicas"] == 2)  # type: ignore[index]
    patch(lab, "sovpool", "chat", place, {"spec": {"suspend": True}})
    wait_for("no pods", lambda: not lab.pods(place, "chat"))
    lab.wait_condition("sovpool", "chat", place, "Ready", "True", "Suspended")
