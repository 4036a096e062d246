"""Row 22: what others write in the operator's name, or in kopf's, changes nothing."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from charts import sync
from tests.operator.lab import Lab, Process, custom, pool_spec, wait_for
from tests.operator.test_drift import deployment, patch, serve, uid

OURS = ("sovpol", "smodel", "sovpool")
PEERINGS = {"kopfpeerings": "KopfPeering", "clusterkopfpeerings": "ClusterKopfPeering"}
FORGED = {
    "kopf.zalando.org/last-handled-configuration": json.dumps({"spec": {"replicas": 9}}),
    "kopf.zalando.org/reconcile": json.dumps({"success": True, "stopped": "2099-01-01T00:00:00"}),
    "kopf.dev/last-handled-configuration": "{",
}


@pytest.fixture
def paused(lab: Lab, place: str) -> Iterator[None]:
    """Peerings that would pause every operator of kopf that looks at them, in the names it would look for."""
    crds = [_peering(plural, kind) for plural, kind in PEERINGS.items()]
    lab.apply(*crds)
    names = [f"crd/{plural}.kopf.dev" for plural in PEERINGS]
    lab.cluster.kubectl("wait", "--for=condition=Established", *names, "--timeout=60s")
    status = {"somebody": {"priority": 2**31 - 1, "lifetime": 10**6, "lastseen": "2099-01-01T00:00:00"}}
    for kind, namespace in (("ClusterKopfPeering", ""), ("KopfPeering", place), ("KopfPeering", sync.NAMESPACE)):
        metadata = {"name": "default"} | ({"namespace": namespace} if namespace else {})
        lab.apply({"apiVersion": "kopf.dev/v1", "kind": kind, "metadata": metadata, "status": status})
    yield
    lab.cluster.kubectl("delete", *names, "--wait")


def _peering(plural: str, kind: str) -> dict[str, Any]:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.kopf.dev"},
        "spec": {
            "group": "kopf.dev",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "scope": "Cluster" if kind.startswith("Cluster") else "Namespaced",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


def name_of(kind: str, place: str) -> tuple[str, str]:
    """Name and namespace of the object of a kind in these tests."""
    return (place, "") if kind == "sovpol" else ("chat", place)


def test_row_22_a_peering_pauses_nothing_neither_at_the_start_nor_later(
    lab: Lab, operator: Process, place: str, paused: None
) -> None:
    serve(lab, place)
    again = lab.start()
    try:
        wait_for("the second one to be ready", lambda: again.get("/readyz") == "ok")
        operator.stop()
        wait_for("it to lead", lambda: again.leads)
        before = uid(lab, "deployment", "chat", place)
        lab.cluster.kubectl("delete", "deployment", "chat", "-n", place)
        wait_for("the Deployment to come back", lambda: uid(lab, "deployment", "chat", place) not in ("", before))
        peering = lab.get("clusterkopfpeering", "default")
        assert peering is not None
        assert peering["status"].keys() == {"somebody"}, "and it takes no part in it"
    finally:
        again.stop()


def test_row_22_annotations_of_kopf_mean_nothing(lab: Lab, operator: Process, place: str) -> None:
    serve(lab, place)
    for kind in OURS:
        name, namespace = name_of(kind, place)
        patch(lab, kind, name, namespace, {"metadata": {"annotations": FORGED}})
    lab.apply(custom("InferencePool", "chat", place, pool_spec("chat") | {"replicas": 2}))
    wait_for("the change to be followed", lambda: deployment(lab, place)["spec"]["replicas"] == 2)
    before = uid(lab, "deployment", "chat", place)
    lab.cluster.kubectl("delete", "deployment", "chat", "-n", place)
    wait_for("the Deployment to come back", lambda: uid(lab, "deployment", "chat", place) not in ("", before))
    lab.settle(operator)
    for kind in OURS:
        name, namespace = name_of(kind, place)
        metadata = lab.get(kind, name, namespace)["metadata"]  # type: ignore[index]
        kopfs = {key: value for key, value in metadata["annotations"].items() if "kopf" in key}
        assert kopfs == FORGED, "nobody reads or writes them"


def test_row_22_there_is_no_finalizer_to_strip_and_one_that_is_added_is_its_owners(
    lab: Lab, operator: Process, place: str
) -> None:
    serve(lab, place)
    for kind in OURS:
        name, namespace = name_of(kind, place)
        assert "finalizers" not in lab.get(kind, name, namespace)["metadata"]  # type: ignore[index]
    marker = {"metadata": {"finalizers": ["kopf.zalando.org/KopfFinalizerMarker", "example.com/theirs"]}}
    patch(lab, "sovpool", "chat", place, marker)
    lab.settle(operator)
    lab.cluster.kubectl("delete", "sovpool", "chat", "-n", place, "--wait=false")
    lab.settle(operator)
    held = lab.get("sovpool", "chat", place)
    assert held is not None
    assert held["metadata"]["finalizers"] == marker["metadata"]["finalizers"]
    patch(lab, "sovpool", "chat", place, {"metadata": {"finalizers": None}})
    wait_for("the pool to be gone", lambda: lab.get("sovpool", "chat", place) is None)
    wait_for("its children to be gone", lambda: lab.get("deployment", "chat", place) is None)


@pytest.mark.parametrize("said", ["True", "False"])
def test_row_22_a_status_that_was_forged_past_the_rules_is_put_right(
    lab: Lab, operator: Process, place: str, said: str
) -> None:
    """By whoever gets round them: here somebody in the operator's name. What is said may be true, and still forged."""
    as_operator = (f"--as=system:serviceaccount:{sync.NAMESPACE}:sovereign-operator", "--as-group=system:masters")
    serve(lab, place)
    lab.settle(operator)
    condition = {"type": "Ready", "status": said, "reason": "Forged", "message": "so it is said"}
    forged = {"status": {"conditions": [condition], "observedGeneration": 99}}
    for kind in OURS:
        name, namespace = name_of(kind, place)
        before = timeless(lab, kind, name, namespace)
        patch(lab, kind, name, namespace, forged, "--subresource=status", *as_operator)
        wait_for(
            f"the status of the {kind} to be as it was",
            lambda k=kind, n=name, p=namespace, b=before: timeless(lab, k, n, p) == b,
        )


def timeless(lab: Lab, kind: str, name: str, namespace: str) -> dict[str, Any]:
    """A status, without the times at which its conditions turned."""
    found = lab.get(kind, name, namespace)
    assert found is not None
    status: dict[str, Any] = found["status"]
    for condition in status["conditions"]:
        condition.pop("lastTransitionTime", None)
    return status
