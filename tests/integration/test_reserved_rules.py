"""Pods that pretend to have weights, and those that have: who makes and changes them, on a real API server with its controllers."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sovereign.api.meta import (
    LABEL_COMPLIANT,
    LABEL_COMPONENT,
    LABEL_INSTANCE,
    LABEL_MANAGED_BY,
    LABEL_MODEL,
    LABEL_POOL,
    RESERVED_LABELS,
)
from sovereign.plan.inventory import Manifest
from tests.integration import actors, models
from tests.integration.api import Answer, Api, address
from tests.integration.conftest import TEST_LABEL, Kubectl, make_namespace, make_tenant
from tests.integration.enforcement import (
    IMAGE,
    REGISTRY,
    RESERVED,
    InForce,
    bind,
    container,
    enforce,
    eventually,
    job,
    labelled,
    make_policy,
    pod,
    settings,
)

pytestmark = pytest.mark.integration

NODE = "gpu-fr-1"
_MORE = [
    {"apiGroups": [""], "resources": ["bindings", "pods/binding"], "verbs": ["create"]},
    {"apiGroups": [""], "resources": ["pods/status", "pods/resize"], "verbs": ["update", "patch"]},
]
Subject = Callable[[Manifest], Answer]


@dataclass(frozen=True)
class Guarded(InForce):
    """A governed namespace in which a pool is served, a pod of somebody else, and who is there."""

    api: Api
    operator: Api
    tenant: Api
    admin: Api
    other: Api
    """Another controller's service account."""
    served: models.Served
    foreign: str
    """The path of a pod without weights."""

    @property
    def namespace(self) -> str:
        return self.served.namespace

    @property
    def everybody(self) -> tuple[Api, ...]:
        """All who are not the operator; the last is an administrator of the cluster."""
        return (self.tenant, self.admin, self.other, self.api)


@pytest.fixture(scope="module")
def guarded(api: Api, kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[Guarded]:
    """One namespace for all tests of this module, which leave the pool as it was."""
    worker = getattr(request.config, "workerinput", {}).get("workerid", "one")
    name = make_namespace(api, kubectl, f"reserved-{worker}", {TEST_LABEL: f"reserved-{worker}"})
    policy = make_policy(api, name, access={"resize": "Allow", "ephemeralContainers": "Allow"})
    enforcement = enforce(api, policy, name, settings(api))
    operator, tenant, admin = actors.operator(api), make_tenant(api, name), actors.admin(api, name)
    other = actors.account(api, name, "leaderworkerset")
    for who in (tenant, admin):
        actors.also(api, who, name, _MORE)
    foreign = pod(name, "foreign", nodeSelector={"no": "node"})
    assert tenant.create(foreign).ok
    served = models.serve(operator, name)
    served.await_pod()
    scaled = _scale(served, 2)
    eventually(lambda: tenant.request("PATCH", *scaled, dryRun="All"), lambda answer: answer.code == 403)
    yield Guarded(enforcement, api, operator, tenant, admin, other, served, address(foreign))
    enforcement.remove()
    kubectl("delete", "namespace", name, "--wait")


def _scale(served: models.Served, replicas: int) -> tuple[str, Manifest]:
    return f"{address(served.deployment)}/scale", {"spec": {"replicas": replicas}}


# --- who makes them -----------------------------------------------------------------------------------


@pytest.mark.parametrize("label", RESERVED_LABELS)
def test_a_pod_that_pretends_to_have_weights_is_refused(guarded: Guarded, label: str) -> None:
    """Row 9: it would be served to callers, or opened as one of them."""
    false = labelled(pod(guarded.namespace), {label: RESERVED[label]})
    for who in guarded.everybody:
        guarded.refused(who.create(false, dry_run=True), "mark pods with weights, which the operator alone makes")
    assert guarded.operator.create(false, dry_run=True).ok


def test_an_owner_that_it_claims_to_have_makes_it_no_better(guarded: Guarded) -> None:
    """Row 9: nor do the labels that the operator gives to its own."""
    owner = guarded.served.replica_set()
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": True}
    reference |= {key: owner["metadata"][key] for key in ("name", "uid")}
    false = labelled(pod(guarded.namespace), owner["spec"]["template"]["metadata"]["labels"])
    false["metadata"]["ownerReferences"] = [reference]
    for who in guarded.everybody:
        guarded.refused(who.create(false, dry_run=True), "the operator alone makes")


def test_a_mirror_pod_that_pretends_to_have_weights_is_refused(guarded: Guarded) -> None:
    """Row 9: a kubelet may make pods for itself, and no others."""
    mirror = labelled(pod(guarded.namespace, nodeName=NODE))
    mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    uid = guarded.api.get(f"/api/v1/nodes/{NODE}")["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": NODE, "uid": uid, "controller": True}
    mirror["metadata"]["ownerReferences"] = [owner]
    guarded.refused(actors.kubelet(guarded.api, NODE).create(mirror, dry_run=True))


@pytest.mark.parametrize("kind", ["ReplicaSet", "Job"])
def test_the_clusters_controllers_make_them_with_one_identity_or_with_many(guarded: Guarded, kind: str) -> None:
    version = {"ReplicaSet": "apps/v1", "Job": "batch/v1"}[kind]
    made = labelled(pod(guarded.namespace))
    made["metadata"]["ownerReferences"] = [
        {
            "apiVersion": version,
            "kind": kind,
            "name": "x",
            "uid": "00000000-0000-4000-8000-000000000000",
            "controller": True,
        }
    ]
    for who in (actors.controller_manager(guarded.api), actors.controller(guarded.api, f"{kind.lower()}-controller")):
        answer = who.create(made, dry_run=True)
        assert answer.ok, answer.message


def test_a_statefulset_makes_none_from_an_old_template(guarded: Guarded) -> None:
    """Row 9: a ControllerRevision is not judged, so that no pod from one may pretend."""
    made = labelled(pod(guarded.namespace))
    made["metadata"]["ownerReferences"] = [
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "name": "x",
            "uid": "00000000-0000-4000-8000-000000000000",
            "controller": True,
        }
    ]
    for who in (actors.controller_manager(guarded.api), actors.controller(guarded.api, "statefulset-controller")):
        guarded.refused(who.create(made, dry_run=True), "the operator alone makes")


# --- their labels -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/status"])
@pytest.mark.parametrize("label", RESERVED_LABELS)
def test_no_pod_is_given_a_label_that_marks_weights(guarded: Guarded, label: str, path: str) -> None:
    """Row 9: neither by its labels nor by what a status may bring along."""
    change = {"metadata": {"labels": {label: RESERVED[label]}}}
    whole = guarded.tenant.get(guarded.foreign)
    whole["metadata"].setdefault("labels", {})[label] = RESERVED[label]
    del whole["metadata"]["resourceVersion"]
    for who in (guarded.tenant, guarded.admin, guarded.api):
        for method, body in (("PATCH", change), ("PUT", whole)):
            answer = who.request(method, f"{guarded.foreign}{path}", body, dryRun="All")
            guarded.refused(answer, "pod foreign: its labels", "leave them as they are")


@pytest.mark.parametrize("path", ["", "bindings"])
def test_no_binding_brings_such_a_label(guarded: Guarded, path: str) -> None:
    """Row 9: the labels of a Binding become the pod's. The API server adds those of the node."""
    for label, value in (*RESERVED.items(), ("app", "front")):
        answer = bind(guarded.tenant, guarded.namespace, "foreign", NODE, path=path, labels={label: value})
        guarded.refused(answer, "the labels of a Binding become the pod's", "leave metadata.labels out")
    assert bind(guarded.tenant, guarded.namespace, "foreign", NODE, path=path).ok


@pytest.mark.parametrize("label", [*RESERVED_LABELS, LABEL_COMPONENT, LABEL_INSTANCE, LABEL_MANAGED_BY])
def test_a_pod_with_weights_stays_known_as_one(guarded: Guarded, kubectl: Kubectl, label: str) -> None:
    """Row 17: nobody relabels it out of the policies that hold it, or back into the endpoints."""
    serving = guarded.served.await_pod()
    name, path = serving["metadata"]["name"], address(serving)
    for value in (None, "other"):
        if serving["metadata"]["labels"].get(label) == value:
            continue
        change = {"metadata": {"labels": {label: value}}}
        for who in guarded.everybody:
            answer = who.request("PATCH", path, change, dryRun="All")
            guarded.refused(answer, f"pod {name}: its labels", label)
        guarded.refused(guarded.tenant.request("PATCH", f"{path}/status", change, dryRun="All"), label)
        assert guarded.operator.request("PATCH", path, change, dryRun="All").ok
    everything = json.dumps([{"op": "remove", "path": "/metadata/labels"}])
    args = ("patch", "pod", name, "-n", guarded.namespace, "--type=json", "-p", everything)
    assert "its labels" in kubectl.run(*args, as_user=guarded.tenant.user).stderr


def test_a_pod_that_was_taken_out_of_the_endpoints_is_not_put_back(guarded: Guarded) -> None:
    """Row 9: by nobody but the operator, once it is lawful again."""
    path = address(guarded.served.await_pod())
    out, back = ({"metadata": {"labels": {LABEL_COMPLIANT: value}}} for value in (None, "true"))
    assert guarded.operator.request("PATCH", path, out).ok
    for who in guarded.everybody:
        guarded.refused(who.request("PATCH", path, back), LABEL_COMPLIANT)
    assert guarded.operator.request("PATCH", path, back).ok


# --- their specs --------------------------------------------------------------------------------------


def _other_image(spec: Manifest) -> None:
    spec["containers"][0]["image"] = f"{REGISTRY}/other{IMAGE[-72:]}"


def _toleration(spec: Manifest) -> None:
    spec.setdefault("tolerations", []).append({"key": "a", "operator": "Exists"})


def _deadline(spec: Manifest) -> None:
    spec["activeDeadlineSeconds"] = 3600


@pytest.mark.parametrize("change", [_other_image, _toleration, _deadline], ids=lambda change: str(change.__name__))
def test_the_spec_of_a_pod_with_weights_is_nobodys(guarded: Guarded, change: Callable[[Manifest], None]) -> None:
    """Row 8: also what Kubernetes lets be changed, while it has a node and before."""
    serving = guarded.served.await_pod()
    before = guarded.api.get(address(serving))
    change(before["spec"])
    del before["metadata"]["resourceVersion"]
    for who in guarded.everybody:
        guarded.refused(who.request("PUT", address(serving), before, dryRun="All"))


def test_a_pod_with_weights_is_not_resized_even_where_others_may_be(guarded: Guarded) -> None:
    """Row 13."""
    serving = guarded.served.await_pod()
    bigger = [container(resources={"requests": {"cpu": "2"}})]
    for who in (guarded.tenant, guarded.admin, guarded.api):
        answer = who.request("PATCH", f"{address(serving)}/resize", {"spec": {"containers": bigger}}, dryRun="All")
        assert answer.code in (403, 422)


def test_what_means_nothing_to_the_operator_can_be_changed(guarded: Guarded) -> None:
    path = address(guarded.served.await_pod())
    for body in (
        {"metadata": {"annotations": {"a": "b"}}},
        {"metadata": {"finalizers": ["example.com/wait"]}},
        {"metadata": {"finalizers": None}},
    ):
        answer = guarded.tenant.request("PATCH", path, body)
        assert answer.ok, answer.message


def test_a_pod_with_weights_can_be_deleted_and_comes_back(guarded: Guarded) -> None:
    before = guarded.served.await_pod()
    assert guarded.tenant.request("DELETE", address(before)).ok
    after = guarded.served.await_pod(other_than=before["metadata"]["uid"])
    assert after["metadata"]["labels"][LABEL_COMPLIANT] == "true"


def test_pods_are_let_go_and_adopted_by_the_clusters_controllers_alone(guarded: Guarded) -> None:
    """Row 10: a ReplicaSet that is deleted without its pods leaves them to the next one."""
    before = guarded.served.await_pod()
    for who in guarded.everybody:
        answer = who.request("PATCH", address(before), {"metadata": {"ownerReferences": None}}, dryRun="All")
        guarded.refused(answer, "ownerReferences are the cluster's alone")
    old = guarded.served.replica_set()
    orphan = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Orphan"}
    assert guarded.operator.request("DELETE", address(old), orphan).ok

    def owner(answer: Answer) -> str:
        references = answer.body["metadata"].get("ownerReferences") or [{}]
        return str(references[0].get("uid", ""))

    adopted = eventually(
        lambda: guarded.api.request("GET", address(before)),
        lambda answer: owner(answer) not in ("", old["metadata"]["uid"]),
    )
    assert adopted.body["metadata"]["uid"] == before["metadata"]["uid"]


# --- what makes them ----------------------------------------------------------------------------------

_SELECTOR = {"matchLabels": {"app": "x"}}


def _workload(namespace: str, kind: str, labels: dict[str, str]) -> Manifest:
    template = {"metadata": {"labels": {"app": "x", **labels}}, "spec": {"containers": [container()]}}
    meta = {"name": "example", "namespace": namespace}
    spec: dict[str, Any] = {"selector": _SELECTOR, "template": template}
    version = "apps/v1"
    if kind == "ReplicationController":
        version, spec = "v1", {"selector": _SELECTOR["matchLabels"], "template": template}
    elif kind in ("Job", "CronJob"):
        version, spec = "batch/v1", job(namespace, labels=labels)["spec"]
        if kind == "CronJob":
            spec = {"schedule": "@daily", "jobTemplate": {"spec": spec}}
    else:
        spec |= {"serviceName": "x"} if kind == "StatefulSet" else {}
        spec |= {} if kind == "DaemonSet" else {"replicas": 0}
    return {"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec}


_KINDS = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController", "Job", "CronJob")


@pytest.mark.parametrize("kind", _KINDS)
def test_a_workload_whose_pods_would_pretend_is_refused(guarded: Guarded, kind: str) -> None:
    """Row 11, row 9: at the workload, where its owner sees it."""
    for label in RESERVED_LABELS:
        false = _workload(guarded.namespace, kind, {label: RESERVED[label]})
        for who in guarded.everybody:
            guarded.refused(
                who.create(false, dry_run=True), f"{kind} example has a pod template with one of the labels"
            )
    plain = guarded.tenant.create(_workload(guarded.namespace, kind, {}), dry_run=True)
    assert plain.ok, plain.message


@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "CronJob"])
def test_a_workload_that_begins_to_pretend_is_refused(guarded: Guarded, kind: str) -> None:
    """Row 9: a template can be changed later."""
    # A CronJob's pods would come much later, the others' never: no node has the label.
    plain = _workload(guarded.namespace, kind, {})
    if kind != "CronJob":
        plain["spec"]["template"]["spec"]["nodeSelector"] = {"no": "node"}
    assert guarded.tenant.create(plain).ok
    labels = {"metadata": {"labels": RESERVED}}
    inside = {"jobTemplate": {"spec": {"template": labels}}} if kind == "CronJob" else {"template": labels}
    for who in guarded.everybody:
        guarded.refused(who.request("PATCH", address(plain), {"spec": inside}, dryRun="All"), "has a pod template")
    assert guarded.tenant.request("PATCH", address(plain), {"metadata": {"labels": {"a": "b"}}}).ok
    assert guarded.tenant.request("DELETE", address(plain), {"propagationPolicy": "Background"}).ok


def test_what_the_operators_deployment_makes_is_changed_by_nobody(guarded: Guarded, kubectl: Kubectl) -> None:
    """Row 10: a ReplicaSet's template would make the next pods."""
    found = guarded.served.replica_set()
    image = {"spec": {"template": {"spec": {"containers": [container(f"{REGISTRY}/other{IMAGE[-72:]}")]}}}}
    for who in guarded.everybody:
        for body in (image, {"spec": {"replicas": 3}}):
            answer = who.request("PATCH", address(found), body, dryRun="All")
            guarded.refused(answer, f"ReplicaSet {found['metadata']['name']}", "what it made is changed through them")
    restart = kubectl.run("rollout", "restart", "deployment/chat", "-n", guarded.namespace)
    assert f"policy {guarded.enforcement.policy.name}: " in restart.stderr


def test_the_operators_own_job_makes_its_pod(guarded: Guarded) -> None:
    importing = models.job(guarded.served.owner)
    assert guarded.operator.create(importing).ok
    path = f"/api/v1/namespaces/{guarded.namespace}/pods"
    eventually(
        lambda: guarded.api.request("GET", path, labelSelector=f"{LABEL_MODEL}={models.MODEL},!{LABEL_POOL}"),
        lambda answer: bool(answer.body["items"]),
    )
    assert guarded.operator.request("DELETE", address(importing), {"propagationPolicy": "Background"}).ok


# --- how many there are -------------------------------------------------------------------------------


def test_pods_with_weights_are_scaled_through_their_pool(guarded: Guarded, kubectl: Kubectl) -> None:
    """Row 10."""
    path, body = _scale(guarded.served, 3)
    whole = guarded.tenant.get(path)
    whole["spec"] = body["spec"]
    for who in guarded.everybody:
        for method, content in (("PATCH", body), ("PUT", whole)):
            answer = who.request(method, path, content, dryRun="All")
            guarded.refused(answer, "kubectl scale inferencepools.sovereignai.io chat --replicas=<number>")
    found = guarded.served.replica_set()
    guarded.refused(guarded.tenant.request("PATCH", f"{address(found)}/scale", body, dryRun="All"), "InferencePool")
    done = kubectl.run("scale", "deployment", "chat", "--replicas=3", "-n", guarded.namespace)
    assert "scale inferencepools.sovereignai.io chat" in done.stderr


def test_an_autoscaler_scales_them(guarded: Guarded) -> None:
    path, body = _scale(guarded.served, 3)
    for who in (
        guarded.operator,
        actors.controller(guarded.api, "horizontal-pod-autoscaler"),
        actors.controller_manager(guarded.api),
    ):
        answer = who.request("PATCH", path, body, dryRun="All")
        assert answer.ok, answer.message


def test_everybody_scales_what_is_theirs(guarded: Guarded) -> None:
    plain = _workload(guarded.namespace, "Deployment", {})
    assert guarded.tenant.create(plain).ok
    answer = guarded.tenant.request("PATCH", f"{address(plain)}/scale", {"spec": {"replicas": 0}})
    assert answer.ok, answer.message
    assert guarded.tenant.request("DELETE", address(plain), {"propagationPolicy": "Background"}).ok


# --- the weights themselves ---------------------------------------------------------------------------

_VOLUME = {"name": "w", "persistentVolumeClaim": {"claimName": f"{models.MODEL}-weights"}}
_MOUNT = {"name": "w", "mountPath": "/w"}


@pytest.mark.parametrize(
    ("volume", "mounts", "lawful"),
    [
        (_VOLUME, [_MOUNT], False),
        (_VOLUME, [_MOUNT | {"readOnly": True}, _MOUNT | {"mountPath": "/x"}], False),
        (_VOLUME, [_MOUNT | {"readOnly": True}], True),
        ({"name": "w", "persistentVolumeClaim": _VOLUME["persistentVolumeClaim"] | {"readOnly": True}}, [_MOUNT], True),  # type: ignore[operator]
        ({"name": "w", "persistentVolumeClaim": {"claimName": "data"}}, [_MOUNT], True),
    ],
    ids=str,
)
def test_weights_are_mounted_to_be_read(
    guarded: Guarded, volume: Manifest, mounts: list[Manifest], *, lawful: bool
) -> None:
    """Row 21: whoever writes to the claim swaps them after they were verified."""
    for spec in (
        {"containers": [container(volumeMounts=mounts)], "volumes": [volume]},
        {"initContainers": [container(name="first", volumeMounts=mounts)], "volumes": [volume]},
    ):
        answer = guarded.tenant.create(pod(guarded.namespace, **spec), dry_run=True)
        if lawful:
            assert answer.ok, answer.message
        else:
            guarded.refused(answer, "volume w holds weights, which only the operator's import may write")


def test_weights_are_no_device(guarded: Guarded) -> None:
    """Row 21."""
    devices = [{"name": "w", "devicePath": "/dev/w"}]
    spec = {"containers": [container(volumeDevices=devices)], "volumes": [_VOLUME]}
    guarded.refused(guarded.tenant.create(pod(guarded.namespace, **spec), dry_run=True), "volume w holds weights")
