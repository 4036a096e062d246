"""Policies put in force on a real API server, without the operator: planned, applied, and waited for."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sovereign.api.meta import API_VERSION, LABEL_COMPLIANT, LABEL_MODEL, LABEL_POOL
from sovereign.api.policy import PolicySpec
from sovereign.plan.inventory import Manifest, Node, Owner, Policy, Settings
from sovereign.plan.names import default_deny
from sovereign.plan.policy import PolicyPlan, plan_policy
from tests.integration.api import Answer, Api, address
from tests.integration.conftest import TEST_LABEL

DIGEST = "@sha256:" + "a" * 64
REGISTRY = "registry.example.eu/ai"
IMAGE = f"{REGISTRY}/vllm{DIGEST}"
RESERVED = {LABEL_POOL: "chat", LABEL_MODEL: "mistral", LABEL_COMPLIANT: "true"}
"""The labels of a pod with weights."""


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


@dataclass(frozen=True)
class InForce:
    """Where a policy is in force; tests add who is there, and what."""

    enforcement: Enforcement

    def refused(self, answer: Answer, *words: str) -> None:
        """That it was the policy that refused, and what it said."""
        assert answer.code == 403, answer.body
        assert answer.body["reason"] == "Forbidden"
        assert f"policy {self.enforcement.policy.name}: " in answer.message
        for word in words:
            assert word in answer.message


def label(api: Api, key: str, value: str | None, names: Iterable[str]) -> None:
    """Set or take off a label of nodes as the operator, whom the rules let."""
    operator = api.as_user(Settings().operator_user, "system:masters")
    for name in names:
        answer = operator.request("PATCH", f"/api/v1/nodes/{name}", {"metadata": {"labels": {key: value}}})
        assert answer.ok or answer.code == 404, answer.message


def nodes(api: Api) -> list[Node]:
    """All nodes of the cluster."""
    return [Node.from_manifest(item) for item in api.get("/api/v1/nodes")["items"]]


def settings(api: Api) -> Settings:
    """What the API server can do."""
    kinds = {one["kind"] for one in api.get("/apis/admissionregistration.k8s.io/v1")["resources"]}
    return Settings(mutating_admission="MutatingAdmissionPolicy" in kinds)


def make_policy(api: Api, namespace: str, name: str = "", **spec: Any) -> Policy:
    """A policy object for ``namespace``: French nodes, one registry, one storage class, and ``spec`` on top."""
    full = {
        "namespaceSelector": {"matchLabels": {TEST_LABEL: namespace}},
        "placement": {"jurisdictions": ["FR"]},
        "images": {"registries": [REGISTRY]},
        "storage": {"storageClasses": ["local-fr-par"]},
    } | spec
    name = name or f"p-{namespace}"
    answer = api.create(
        {"apiVersion": API_VERSION, "kind": "SovereigntyPolicy", "metadata": {"name": name}, "spec": full}
    )
    assert answer.ok, answer.message
    return Policy(Owner("SovereigntyPolicy", name, answer.body["metadata"]["uid"]), PolicySpec.model_validate(full))


def enforce(
    api: Api, policy: Policy, namespace: str, using: Settings, also: Iterable[Node] = (), *, wait: bool = True
) -> Enforcement:
    """Apply what there should be because of ``policy``, with further nodes that do not exist, and wait until it is in force.

    Beside another policy there is nothing to ``wait`` for: the API server names one of those that refuse.
    """
    known = [*nodes(api), *also]
    plan = plan_policy(policy, known, {namespace: {TEST_LABEL: namespace}}, [policy], using)
    real = {node.name for node in known} - {node.name for node in also}
    labelled = tuple(sorted(real & {*plan.to_label}))
    label(api, plan.node_label, "true", labelled)
    for manifest in plan.admission:
        answer = api.apply(manifest)
        assert answer.ok, answer.message
    enforcement = Enforcement(api, policy, plan, namespace, labelled)
    if wait:
        _wait_until_in_force(enforcement)
    return enforcement


def _wait_until_in_force(enforcement: Enforcement) -> None:
    """Dry-run requests that each of the rules must refuse, or warn of, until all do.

    Rules that only existing objects break are not waited for, nor those that several policies may have about one object without a
    namespace: the answer names one of those that refuse.
    """
    api, namespace, approved = enforcement.api, enforcement.namespace, sorted(enforcement.plan.approved)
    path, released = f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": {TEST_LABEL: None}}}
    status = f"/apis/{API_VERSION}/sovereigntypolicies/{enforcement.policy.name}/status"
    breaches: dict[str, Callable[[], Answer]] = {
        "-nodename": lambda: api.create(pod(namespace, nodeName="no-such-node"), dry_run=True),
        "-pods": lambda: api.create(pod(namespace, containers=[container(image="x")]), dry_run=True),
        "-storage": lambda: api.create(
            claim(namespace, volumeName="x", storageClassName="no-such-class"), dry_run=True
        ),
        "-network": lambda: api.create(network_policy(namespace, egress=[{}]), dry_run=True),
        "-default-deny": lambda: api.create(
            network_policy(namespace, default_deny(enforcement.policy.name)), dry_run=True
        ),
        "-binding": lambda: bind(api, namespace, "no-such-pod", "no-such-node"),
        "-access": lambda: _through_every_way(api, namespace),
        "-tokens": lambda: api.create(token_secret(namespace), dry_run=True),
        "-reserved-pods": lambda: api.create(labelled(pod(namespace)), dry_run=True),
        "-reserved-templates": lambda: api.create(job(namespace, labels=RESERVED), dry_run=True),
        "-services": lambda: api.create(service(namespace), dry_run=True),
        "-endpoints": lambda: api.create(endpoints(namespace), dry_run=True),
        "-status": lambda: api.request("PATCH", status, {"status": {}}, dryRun="All"),
        "-nodefacts": lambda: api.create(node("no-such-node", **{enforcement.plan.node_label: "true"}), dry_run=True),
        "-namespaces": lambda: api.request("PATCH", path, released, dryRun="All"),
        "-dedicatedbinding": lambda: bind(api, "default", "no-such-pod", approved[0]),
        "-dedicatednodename": lambda: api.create(pod("default", nodeName=approved[0]), dry_run=True),
    }
    if enforcement.policy.spec.network.routes == "Deny":
        breaches["-routes"] = lambda: api.create(ingress(namespace), dry_run=True)
    there = {one["metadata"]["name"] for one in enforcement.plan.admission}
    for suffix, breach in breaches.items():
        if f"sovereign-{enforcement.policy.name}{suffix}" in there:
            eventually(breach, names(enforcement, suffix))
    if any(manifest["kind"] == "MutatingAdmissionPolicy" for manifest in enforcement.plan.admission):
        label = enforcement.plan.node_label
        eventually(
            lambda: api.create(pod(namespace), dry_run=True),
            lambda answer: label in answer.body.get("spec", {}).get("nodeSelector", {}),
        )


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


def _through_every_way(api: Api, namespace: str) -> Answer:
    """The first refusal of a way into a pod that does not exist."""
    path = f"/api/v1/namespaces/{namespace}/pods/no-such-pod"
    answers = [api.request("POST", f"{path}/{way}") for way in ("exec", "portforward")]
    return next((answer for answer in answers if answer.code == 403 or answer.warnings), answers[0])


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


def labelled(manifest: Manifest, labels: Mapping[str, str] = RESERVED) -> Manifest:
    """The same object with these labels besides its own."""
    metadata = manifest["metadata"]
    return manifest | {"metadata": metadata | {"labels": {**metadata.get("labels", {}), **labels}}}


def job(namespace: str, name: str = "example", *, labels: Mapping[str, str] = MappingProxyType({})) -> Manifest:
    """A Job whose pod any policy here admits, but for these labels."""
    template = {"metadata": {"labels": dict(labels)}, "spec": {"restartPolicy": "Never", "containers": [container()]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"template": template},
    }


def token_secret(namespace: str) -> Manifest:
    """A Secret into which the cluster puts a token that does not expire."""
    annotations = {"kubernetes.io/service-account.name": "default"}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "example", "namespace": namespace, "annotations": annotations},
    }


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


def service(namespace: str, name: str = "example", **spec: Any) -> Manifest:
    """A Service without a selector, with fields of ``spec`` on top."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"ports": [{"port": 80}]} | spec,
    }


def endpoints(namespace: str, name: str = "example", address: str = "192.0.2.1") -> Manifest:
    """Endpoints with one address."""
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": name, "namespace": namespace},
        "subsets": [{"addresses": [{"ip": address}], "ports": [{"port": 80}]}],
    }


def ingress(namespace: str, name: str = "example", service: str = "example") -> Manifest:
    """An Ingress that leads to a Service, whatever is asked."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"defaultBackend": {"service": {"name": service, "port": {"number": 80}}}},
    }


def bind(
    api: Api,
    namespace: str,
    name: str,
    node: str,
    *,
    path: str = "",
    kind: str = "Node",
    labels: Mapping[str, str] = MappingProxyType({}),
) -> Answer:
    """Try, dry, to bind a pod to a node by hand; ``path`` is the endpoint, the pod's own by default."""
    manifest = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "target": {"apiVersion": "v1", "kind": kind, "name": node},
    }
    endpoint = path or f"pods/{name}/binding"
    return api.request("POST", f"/api/v1/namespaces/{namespace}/{endpoint}", manifest, dryRun="All")
