"""What the API server stored is what was meant, or it is told: an old CRD, and a rule that changes what is written (row 25)."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.operator.lab import Lab, Process, wait_for

Schema = dict[str, Any]
PATIENCE = 120.0
"""Seconds: an operator that knows of a missing field looks again once a minute."""


@pytest.fixture
def shorten(lab: Lab) -> Iterator[Callable[..., None]]:
    """Take a property out of a CRD's schema; it is put back afterwards."""
    before: dict[str, str] = {}

    def drop(plural: str, *path: str) -> None:
        name = f"{plural}.sovereignai.io"
        crd = json.loads(lab.cluster.kubectl("get", "crd", name, "-o", "json"))
        before.setdefault(name, json.dumps(crd["spec"]))
        schema: Schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for step in path[:-1]:
            schema = schema["properties"][step]
        del schema["properties"][path[-1]]
        spec = json.dumps([{"op": "replace", "path": "/spec", "value": crd["spec"]}])
        lab.cluster.kubectl("patch", "crd", name, "--type=json", "-p", spec)

    yield drop
    for name, spec in before.items():
        back = json.dumps([{"op": "replace", "path": "/spec", "value": json.loads(spec)}])
        lab.cluster.kubectl("patch", "crd", name, "--type=json", "-p", back)


def pruned(lab: Lab, namespace: str) -> list[str]:
    found = [event for event in lab.all("events", namespace) if event["reason"] == "FieldPruned"]
    return [event["message"] for event in found]


def test_a_crd_that_is_older_than_the_operator(
    lab: Lab, operator: Process, place: str, shorten: Callable[..., None]
) -> None:
    """Row 25: a status field that is dropped is told once, and a spec field that users write in vain is a condition."""
    lab.model("chat", place)
    lab.wait_condition("smodel", "chat", place, "Ready", "True")
    shorten("sovereigntypolicies", "spec", "access")
    shorten("sovereignmodels", "status", "location")
    served = lambda: "location" not in lab.cluster.kubectl("explain", "smodel.status")  # noqa: E731
    wait_for("the old schema to be served", served)
    lab.model("other", place)
    lab.wait_condition("smodel", "other", place, "PlacementVerified", "Unknown")
    (message,) = wait_for("the word", lambda: pruned(lab, place))
    assert "did not store status.location of SovereignModel as it was written" in message
    assert "upgrade the CRDs" in message

    found = lab.wait_condition("sovpol", place, "", "Stalled", "True", "FieldPruned")
    assert "SovereigntyPolicy spec.access" in found["message"]
    lab.wait_condition("sovpol", place, "", "Ready", "False", "FieldPruned")
    lab.wait_condition("smodel", "other", place, "Ready", "True")

    # nothing is written again and again
    lab.settle(operator)
    since = lab.position()
    lab.cluster.kubectl("label", "smodel", "other", "-n", place, "touched=yes")
    lab.settle(operator)
    assert [one for one in lab.requests(since) if one.resource.endswith("/status")] == []

    restore(lab)
    wait_for(
        "the policy to be Ready", lambda: lab.condition("sovpol", place, "", "Ready").get("status") == "True", PATIENCE
    )
    wait_for("the place", lambda: lab.get("smodel", "other", place)["status"].get("location"))  # type: ignore[index]


def restore(lab: Lab) -> None:
    """Install the CRDs of this version, as an upgrade does."""
    lab.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "crds/")


RENAMED = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "MutatingAdmissionPolicy",
    "spec": {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["services"],
                }
            ]
        },
        "mutations": [
            {
                "patchType": "JSONPatch",
                "jsonPatch": {"expression": "[JSONPatch{op: 'remove', path: '/spec/ports/0/appProtocol'}]"},
            }
        ],
        "matchConditions": [{"name": "ours", "expression": "object.spec.ports.exists(p, has(p.appProtocol))"}],
        "reinvocationPolicy": "Never",
    },
}


def test_a_field_that_somebodys_rule_takes_away(lab: Lab, operator: Process, place: str) -> None:
    """Row 25: what is stored is not what was written. It is told, and not written again and again."""
    selector = {"matchLabels": {"kubernetes.io/metadata.name": place}}
    constraints = RENAMED["spec"]["matchConstraints"] | {"namespaceSelector": selector}  # type: ignore[index, operator]
    rule = RENAMED | {"metadata": {"name": place}, "spec": RENAMED["spec"] | {"matchConstraints": constraints}}  # type: ignore[operator]
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": place},
        "spec": {"policyName": place},
    }
    lab.apply(rule, binding)
    probe = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "probe", "namespace": place},
        "spec": {"selector": {"app": "x"}, "ports": [{"port": 80, "appProtocol": "http"}]},
    }

    def in_force() -> bool:
        text = lab.cluster.kubectl("create", "--dry-run=server", "-f", "-", "-o", "json", input=json.dumps(probe))
        return "appProtocol" not in json.loads(text)["spec"]["ports"][0]

    try:
        wait_for("the rule", in_force)
        lab.model("chat", place)
        lab.pool("chat", place)
        found = lab.wait_condition("sovpool", "chat", place, "Ready", "False", "FieldPruned")
        assert "Service chat: the API server did not store spec.ports[0].appProtocol" in found["message"]
        assert lab.get("deployment", "chat", place) is None, "what makes pods waits until its surroundings are as meant"
        lab.settle(operator)
        since = lab.position()
        lab.cluster.kubectl("annotate", "sovpool", "chat", "-n", place, "touched=yes")
        lab.pool("chat", place, maxNumSeqs=32)
        wait_for(
            "its reconcile",
            lambda: lab.get("sovpool", "chat", place)["status"]["observedGeneration"] == 2,  # type: ignore[index]
        )
        assert [one for one in lab.requests(since) if one.resource == "services" and one.writes] == []
    finally:
        lab.cluster.kubectl("delete", "mutatingadmissionpolicy,mutatingadmissionpolicybinding", place)
