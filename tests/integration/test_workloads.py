"""Workloads of every kind in a governed namespace, with the cluster's controllers: their pods are lawful, or they say why not."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sovereign.plan.inventory import Manifest
from tests.integration import actors
from tests.integration.api import Answer, Api, address
from tests.integration.conftest import TEST_LABEL, Kubectl, make_namespace, make_tenant
from tests.integration.enforcement import Enforcement, container, enforce, eventually, make_policy, pod, settings

pytestmark = pytest.mark.integration

FOREIGN = "docker.io/library/nginx:1"
_LABELS = {"app": "x"}


@dataclass(frozen=True)
class Governed:
    """A governed namespace and its tenant."""

    enforcement: Enforcement
    api: Api
    tenant: Api
    namespace: str


@pytest.fixture(scope="module")
def governed(api: Api, kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[Governed]:
    """One namespace for all tests of this module."""
    worker = getattr(request.config, "workerinput", {}).get("workerid", "one")
    name = make_namespace(api, kubectl, f"workloads-{worker}", {TEST_LABEL: f"workloads-{worker}"})
    enforcement = enforce(api, make_policy(api, name), name, settings(api))
    yield Governed(enforcement, api, make_tenant(api, name), name)
    enforcement.remove()
    kubectl("delete", "namespace", name, "--wait")


def _workload(namespace: str, kind: str, name: str, spec: Manifest) -> Manifest:
    template = {"metadata": {"labels": _LABELS | {"of": name}}, "spec": spec}
    selector = {"matchLabels": template["metadata"]["labels"]}
    version, content = "apps/v1", {"selector": selector, "template": template}
    match kind:
        case "ReplicationController":
            version, content = "v1", {"selector": selector["matchLabels"], "template": template}
        case "Job" | "CronJob":
            version, content = "batch/v1", {"template": template | {"spec": {"restartPolicy": "Never", **spec}}}
        case "StatefulSet":
            content |= {"serviceName": name}
        case _:
            pass
    if kind == "CronJob":
        content = {"schedule": "* * * * *", "jobTemplate": {"spec": content}}
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": content,
    }


_KINDS = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController", "Job")
_UNLAWFUL: dict[str, tuple[dict[str, Any], str]] = {
    "image": ({"containers": [container(FOREIGN)]}, f"image {FOREIGN} is not in an allowed registry"),
    "host": ({"containers": [container()], "hostNetwork": True}, "leave hostNetwork"),
    "node": ({"containers": [container()], "nodeName": "gpu-us-1"}, "node gpu-us-1 in spec.nodeName is not approved"),
}


@pytest.mark.parametrize("what", _UNLAWFUL)
@pytest.mark.parametrize("kind", _KINDS)
def test_an_unlawful_workload_makes_no_pod_and_its_owner_says_why(governed: Governed, kind: str, what: str) -> None:
    """Row 11: rules are on pods, whoever makes them."""
    spec, words = _UNLAWFUL[what]
    name = f"{what}-{kind.lower()}"
    made = _workload(governed.namespace, kind, name, spec)
    assert governed.tenant.create(made).ok
    message = _said(governed, name, "policy ")
    assert f"policy {governed.enforcement.policy.name}: " in message
    assert words in message
    assert _pods(governed, name) == []
    assert governed.tenant.request("DELETE", address(made), {"propagationPolicy": "Background"}).ok


@pytest.mark.parametrize("kind", _KINDS)
def test_a_lawful_workload_that_nobody_pinned_runs_where_it_may(
    governed: Governed, kubectl: Kubectl, kind: str
) -> None:
    """Row 11: also one that wants every node there is."""
    name = f"lawful-{kind.lower()}"
    made = _workload(
        governed.namespace, kind, name, {"containers": [container()], "tolerations": [{"operator": "Exists"}]}
    )
    assert governed.tenant.create(made).ok
    assert _placed(governed, name) <= governed.enforcement.plan.approved
    assert governed.tenant.request("DELETE", address(made), {"propagationPolicy": "Background"}).ok


def test_so_it_is_with_what_a_cronjob_makes(governed: Governed) -> None:
    """Row 11: all at once, because its minute must come."""
    specs = {what: spec for what, (spec, _) in _UNLAWFUL.items()} | {"lawful": {"containers": [container()]}}
    made = [_workload(governed.namespace, "CronJob", f"{what}-cronjob", spec) for what, spec in specs.items()]
    for manifest in made:
        assert governed.tenant.create(manifest).ok
    assert _placed(governed, "lawful-cronjob") <= governed.enforcement.plan.approved
    for what, (_, words) in _UNLAWFUL.items():
        assert words in _said(governed, f"{what}-cronjob", "policy ")
        assert _pods(governed, f"{what}-cronjob") == []
    for manifest in made:
        assert governed.tenant.request("DELETE", address(manifest), {"propagationPolicy": "Background"}).ok


def test_a_controller_that_somebody_installed_is_told_what_a_tenant_is_told(governed: Governed) -> None:
    """Row 11: a LeaderWorkerSet's pods, made by its controller's own service account."""
    controller = actors.account(governed.api, governed.namespace, "lws-controller")
    owner = governed.tenant.create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "group", "namespace": governed.namespace}}
    ).body
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "group", "uid": owner["metadata"]["uid"]}
    for what, (spec, words) in _UNLAWFUL.items():
        worker = pod(governed.namespace, f"worker-{what}", **spec)
        worker["metadata"]["ownerReferences"] = [reference | {"controller": True}]
        answer = controller.create(worker)
        assert answer.code == 403
        assert f"policy {governed.enforcement.policy.name}: " in answer.message
        assert words in answer.message
    leader = pod(governed.namespace, "leader")
    assert controller.create(leader).ok
    eventually(
        lambda: controller.request("GET", address(leader)), lambda answer: bool(answer.body["spec"].get("nodeName"))
    )
    assert controller.get(address(leader))["spec"]["nodeName"] in governed.enforcement.plan.approved
    assert controller.request("DELETE", address(leader)).ok


def _placed(governed: Governed, name: str) -> set[str]:
    """The nodes of a workload's pods, once it has one that has a node."""
    nodes: set[str] = set()

    def ask() -> Answer:
        nodes.update(pod["spec"]["nodeName"] for pod in _pods(governed, name) if "nodeName" in pod["spec"])
        return governed.api.request("GET", "/version")

    eventually(ask, lambda _: bool(nodes), 100)
    return nodes


def _pods(governed: Governed, name: str) -> list[Manifest]:
    path = f"/api/v1/namespaces/{governed.namespace}/pods"
    found = governed.api.request("GET", path, labelSelector=f"of={name}")
    items: list[Manifest] = found.body["items"]
    return items


def _said(governed: Governed, name: str, words: str) -> str:
    """What an Event says of a workload, or of the object between it and its pods."""
    path = f"/api/v1/namespaces/{governed.namespace}/events"

    def messages(answer: Answer) -> list[str]:
        return [
            event["message"]
            for event in answer.body["items"]
            if event["involvedObject"]["name"].startswith(name) and words in event["message"]
        ]

    return messages(eventually(lambda: governed.api.request("GET", path), lambda answer: bool(messages(answer)), 90))[0]
