"""Policies put in force on a real API server, without the operator: planned, applied, and waited for."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sovereign.api.meta import API_VERSION
from sovereign.api.policy import PolicySpec
from sovereign.plan.inventory import Manifest, Node, Owner, Policy, Settings
from sovereign.plan.names import default_deny
from sovereign.plan.policy import PolicyPlan, plan_policy
from tests.integration.api import Answer, Api, address
from tests.integration.conftest import TEST_LABEL

DIGEST = "@sha256:" + "a" * 64
REGISTRY = "registry.example.eu/ai"
IMAGE = f"{REGISTRY}/vllm{DIGEST}"


@dataclass(frozen=True)
class Enforcement:
    """A policy in force on one namespace."""

    api: Api
    policy: Policy
    plan: PolicyPlan
    namespace: str
    labelled: tuple[str, ...]
    """Nodes that were given the policy's label."""

    def remove(self) -> None:
        """Take the policy away; what it owns goes with it."""
        label(self.api, self.plan.node_label, None, self.labelled)
        for manifest in self.plan.admission:
            self.api.request("DELETE", address(manifest))
        self.api.request("DELETE", f"/apis/{API_VERSION}/sovereigntypolicies/{self.policy.name}")


def as_operator(api: Api) -> Api:
    """The API server, asked as the operator, with full rights: these tests install no roles."""
    return api.as_user(Settings().operator_user, "system:masters")


def label(api: Api, key: str, value: str | None, names: Iterable[str]) -> None:
    """Set or take off a label of nodes as the operator, whom the rules let."""
    for name in names:
        answer = as_operator(api).request("PATCH", f"/api/v1/nodes/{name}", {"metadata": {"labels": {key: value}}})
        assert answer.ok or answer.code == 404, answer.message


def nodes(api: Api) -> list[Node]:
    """All nodes of the cluster."""
    return [Node.from_manifest(item) for item in api.get("/api/v1/nodes")["items"]]


def settings(api: Api) -> Settings:
    """What the API server can do."""
    kinds = {one["kind"] for one in api.get("/apis/admissionregistration.k8s.io/v1")["resources"]}
    return Settings(mutating_admission="MutatingAdmissionPolicy" in kinds)


def make_policy(api: Api, namespace: str, **spec: Any) -> Policy:
    """A policy object for ``namespace``: French nodes, one registry, one storage class, and ``spec`` on top."""
    full = {
        "namespaceSelector": {"matchLabels": {TEST_LABEL: namespace}},
        "placement": {"jurisdictions": ["FR"]},
        "images": {"registries": [REGISTRY]},
        "storage": {"storageClasses": ["local-fr-par"]},
    } | spec
    name = f"p-{namespace}"
    answer = api.create(
        {"apiVersion": API_VERSION, "kind": "SovereigntyPolicy", "metadata": {"name": name}, "spec": full}
    )
    assert answer.ok, answer.message
    return Policy(Owner("SovereigntyPolicy", name, answer.body["metadata"]["uid"]), PolicySpec.model_validate(full))


def enforce(api: Api, policy: Policy, namespace: str, using: Settings, also: Iterable[Node] = ()) -> Enforcement:
    """Apply what there should be because of ``policy``, with further nodes that do not exist, and wait until it is in force."""
    known = [*nodes(api), *also]
    plan = plan_policy(policy, known, {namespace: {TEST_LABEL: namespace}}, [policy], using)
    real = {node.name for node in known} - {node.name for node in also}
    labelled = tuple(sorted(real & {*plan.to_label}))
    label(api, plan.node_label, "true", labelled)
    for manifest in plan.admission:
        answer = api.apply(manifest)
        assert answer.ok, answer.message
    enforcement = Enforcement(api, policy, plan, namespace, labelled)
    _wait_until_in_force(enforcement)
    return enforcement


def _wait_until_in_force(enforcement: Enforcement) -> None:
    """Dry-run requests that each of the rules must refuse, or warn of, until all do."""
    api, namespace, approved = enforcement.api, enforcement.namespace, sorted(enforcement.plan.approved)
    expected = {
        "-nodefacts": node("no-such-node", **{enforcement.plan.node_label: "true"}),
        "-nodename": pod(namespace, nodeName="no-such-node"),
        "-pods": pod(namespace, containers=[{"name": "c", "image": "x"}]),
        "-storage": claim(namespace, volumeName="x", storageClassName="no-such-class"),
        "-network": network_policy(namespace, egress=[{}]),
        "-default-deny": network_policy(namespace, default_deny(enforcement.policy.name)),
    }
    if approved:
        expected["-nodecreate"] = node(approved[0])
    if enforcement.policy.spec.placement.dedicated:
        expected["-dedicatednodename"] = pod("default", nodeName=approved[0])
        eventually(lambda: bind(api, "default", "no-such-pod", approved[0]), names(enforcement, "-dedicatedbinding"))
    for suffix, manifest in expected.items():
        eventually(lambda manifest=manifest: api.create(manifest, dry_run=True), names(enforcement, suffix))
    if any(manifest["kind"] == "MutatingAdmissionPolicy" for manifest in enforcement.plan.admission):
        label = enforcement.plan.node_label
        eventually(
            lambda: api.create(pod(namespace), dry_run=True),
            lambda answer: label in answer.body.get("spec", {}).get("nodeSelector", {}),
        )
    eventually(lambda: bind(api, namespace, "no-such-pod", "no-such-node"), names(enforcement, "-binding"))
    released = {"metadata": {"labels": {TEST_LABEL: None}}}
    path = f"/api/v1/namespaces/{namespace}"
    eventually(lambda: api.request("PATCH", path, released, dryRun="All"), names(enforcement, "-namespaces"))


def assert_no_type_warnings(enforcement: Enforcement) -> None:
    """That the API server's type checker has looked at each rule and finds nothing wrong."""
    for manifest in enforcement.plan.admission:
        if manifest["kind"] == "ValidatingAdmissionPolicy":
            path = address(manifest)
            checked = eventually(
                lambda path=path: enforcement.api.request("GET", path),
                lambda answer: answer.body.get("status", {}).get("observedGeneration") == 1,
            )
            assert "expressionWarnings" not in checked.body["status"].get("typeChecking", {}), checked.body["status"]


def names(enforcement: Enforcement, suffix: str) -> Callable[[Answer], bool]:
    """Whether an answer refuses, or warns, in the name of the policy's object with this suffix."""
    beginning = f"ValidatingAdmissionPolicy 'sovereign-{enforcement.policy.name}{suffix}"
    return lambda answer: beginning in answer.message or any(beginning in text for text in answer.warnings)


def eventually(ask: Callable[[], Answer], holds: Callable[[Answer], bool], seconds: float = 60) -> Answer:
    """Ask until the answer is as it should be."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if holds(answer):
            return answer
        assert time.monotonic() < deadline, f"still {answer.code}: {answer.message or answer.body}"
        time.sleep(0.05)


def node(name: str, **labels: str) -> Manifest:
    """A Node with these labels."""
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


def pod(namespace: str, name: str = "example", **spec: Any) -> Manifest:
    """A pod that any policy here admits, with fields of ``spec`` on top."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [container()]} | spec,
    }


def container(image: str = IMAGE, name: str = "main", **fields: Any) -> Manifest:
    """A container."""
    return {"name": name, "image": image, **fields}


def claim(namespace: str, name: str = "example", **spec: Any) -> Manifest:
    """A claim without a storage class, with fields of ``spec`` on top."""
    base = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": base | spec,
    }


def network_policy(namespace: str, name: str = "example", **spec: Any) -> Manifest:
    """A NetworkPolicy about all pods of the namespace, with fields of ``spec`` on top."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": {}} | spec,
    }


def bind(api: Api, namespace: str, name: str, node: str, *, path: str = "", kind: str = "Node") -> Answer:
    """Try, dry, to bind a pod to a node by hand; ``path`` is the endpoint, the pod's own by default."""
    manifest = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": name, "namespace": namespace},
        "target": {"apiVersion": "v1", "kind": kind, "name": node},
    }
    endpoint = path or f"pods/{name}/binding"
    return api.request("POST", f"/api/v1/namespaces/{namespace}/{endpoint}", manifest, dryRun="All")
