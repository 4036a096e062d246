"""The canary of each rule: what breaks it, and is refused by it alone as far as there is such a thing."""

from dataclasses import replace
from typing import Any, Final

from sovereign.api.meta import (
    API_VERSION,
    LABEL_INSTANCE,
    LABEL_POOL,
    approved_label,
)
from sovereign.plan import names
from sovereign.plan.canaries import (
    Canary,
    Ground,
    Trial,
    change,
    connect,
    create,
    governed,
    named,
    pod,
    pod_spec,
    pointer,
)
from sovereign.plan.inventory import Manifest, Policy

_LEVEL: Final = "pod-security.kubernetes.io/enforce"
_VALUE: Final = "sovereign-canary"
_NETWORKING: Final = "networking.k8s.io/v1"


def nothing(_: Ground) -> Canary | None:
    """For rules that no request of an account with few rights can be refused by."""
    return None


# --- where pods may be, and what they may be ----------------------------------------------------------


def binding(node: str) -> Trial:
    """A Binding to a ``node`` that is not approved."""
    return governed(lambda ground: _bound(ground, ground.namespace, node))


def node_name(policy: Policy, node: str) -> Trial:
    """A pod that names one."""
    return governed(lambda ground: create(ground.namespace, "pods", pod(policy, ground, nodeName=node)))


def image(policy: Policy) -> Trial:
    """A pod whose image has neither registry nor path nor digest, which no policy admits."""
    spec = pod_spec(policy, _VALUE)
    return governed(lambda ground: create(ground.namespace, "pods", pod(policy, ground, **spec)))


def pinned(policy: Policy) -> Trial:
    """A pod that nobody pinned, which must come back pinned."""
    label = approved_label(policy.name)

    def make(ground: Ground) -> Canary:
        canary = create(ground.namespace, "pods", pod(policy, ground))
        return replace(canary, changed=lambda stored: label in (stored["spec"].get("nodeSelector") or {}))

    return governed(make)


# --- claims and NetworkPolicies -----------------------------------------------------------------------


def claim(policy: Policy) -> Trial:
    """A claim that chooses its volume."""
    size = {"requests": {"storage": "1Mi"}}
    spec: Manifest = {"accessModes": ["ReadWriteOnce"], "resources": size, "volumeName": _VALUE}
    classes = sorted(policy.spec.storage.storage_classes)
    if classes:
        spec["storageClassName"] = classes[0]
    return governed(
        lambda ground: create(
            ground.namespace, "persistentvolumeclaims", _object("v1", "PersistentVolumeClaim", ground, spec)
        )
    )


def open_network() -> Trial:
    """Egress to everywhere."""
    spec: Manifest = {"egress": [{}], "podSelector": {}}

    def make(ground: Ground) -> Canary:
        body = _object(_NETWORKING, "NetworkPolicy", ground, spec)
        return create(ground.namespace, "networkpolicies", body, group_version=_NETWORKING)

    return governed(make)


def default_deny(policy: Policy) -> Trial:
    """The name is the operator's alone, whether the object is there or not. It opens nothing, so no other rule refuses it."""
    spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}

    def make(ground: Ground) -> Canary:
        body = _object(_NETWORKING, "NetworkPolicy", ground, spec)
        body["metadata"]["name"] = names.default_deny(policy.name)
        return create(ground.namespace, "networkpolicies", body, group_version=_NETWORKING)

    return governed(make)


# --- nodes and namespaces -----------------------------------------------------------------------------


def node_created(node: str) -> Trial:
    """A second Node of an approved one's name. Without a ``node`` there is nothing to try."""
    body = {"apiVersion": "v1", "kind": "Node", "metadata": named(node)}
    return lambda _: create("", "nodes", body) if node else None


def node_labelled(policy: Policy) -> Trial:
    """The policy's own label on an approved node, so that no other policy refuses first."""
    patch = [_set_label(approved_label(policy.name), _VALUE)]
    return lambda ground: change("", "nodes", ground.node, patch) if ground.node else None


def dedicated_binding(node: str) -> Trial:
    """A stranger's pod bound to a dedicated node."""

    def trial(ground: Ground) -> Canary | None:
        return _bound(ground, ground.stranger, node) if node and ground.stranger else None

    return trial


def dedicated_node_name(policy: Policy, node: str) -> Trial:
    """A stranger's pod that names a dedicated node."""

    def trial(ground: Ground) -> Canary | None:
        if not node or not ground.stranger:
            return None
        return create(ground.stranger, "pods", pod(policy, ground, namespace=ground.stranger, nodeName=node))

    return trial


def namespace_relaxed() -> Trial:
    """A governed namespace whose Pod Security is no longer that of the newest version. At level `privileged` no pod is evaluated."""
    patch = [_set_label(_LEVEL, "privileged"), _set_label(f"{_LEVEL}-version", "v1.0")]
    return governed(lambda ground: change("", "namespaces", ground.namespace, patch))


# --- ways into pods -----------------------------------------------------------------------------------


def way_in(policy: Policy) -> Trial:
    """One of the ways that are denied: all of them are of one object."""
    access = policy.spec.access
    if access.exec == "Deny":
        return governed(lambda ground: connect(ground.namespace, "pods", "exec?command=true&stdout=true"))
    if access.port_forward == "Deny":
        return governed(lambda ground: connect(ground.namespace, "pods", "portforward?ports=1"))
    if access.resize == "Deny":
        limit = {"op": "add", "path": "/spec/containers/0/resources/limits/memory", "value": "1Ti"}
        return lambda ground: change(ground.pod[0], "pods", f"{ground.pod[1]}/resize", [limit]) if ground.pod else None
    return nothing


def node_proxy() -> Trial:
    """What a kubelet would run, on a node that does not exist."""
    return lambda _: connect("", "nodes", "proxy/run/x/y/z")


# --- what the operator made ---------------------------------------------------------------------------


def child_relabelled(policy: Policy) -> Trial:
    """The label of the policy's own NetworkPolicy in the namespace, whose spec a rule of its own keeps."""
    patch = [_set_label(LABEL_INSTANCE, _VALUE)]
    name = names.default_deny(policy.name)
    return governed(lambda ground: change(ground.namespace, "networkpolicies", name, patch, group_version=_NETWORKING))


def reserved_pod(policy: Policy) -> Trial:
    """A pod that says it has weights."""

    def make(ground: Ground) -> Canary:
        body = pod(policy, ground)
        body["metadata"]["labels"] = {LABEL_POOL: _VALUE}
        return create(ground.namespace, "pods", body)

    return governed(make)


def reserved_binding() -> Trial:
    """A Binding to an approved node that gives its pod such a label."""

    def trial(ground: Ground) -> Canary | None:
        if not ground.namespace or not ground.node:
            return None
        return _bound(ground, ground.namespace, ground.node, {LABEL_POOL: _VALUE})

    return trial


def reserved_template(policy: Policy) -> Trial:
    """A Deployment whose pods would have it."""
    labels = {LABEL_POOL: _VALUE}
    template = {"metadata": {"labels": labels}, "spec": pod_spec(policy)}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}

    def make(ground: Ground) -> Canary:
        body = _object("apps/v1", "Deployment", ground, spec)
        return create(ground.namespace, "deployments", body, group_version="apps/v1")

    return governed(make)


def reserved_scale() -> Trial:
    """A pool's Deployment scaled by hand."""
    patch = [{"op": "add", "path": "/spec/replicas", "value": 7919}]

    def trial(ground: Ground) -> Canary | None:
        if ground.pool is None:
            return None
        return change(ground.pool[0], "deployments", f"{ground.pool[1]}/scale", patch, group_version="apps/v1")

    return trial


# --- Services, volumes, statuses ----------------------------------------------------------------------


def service() -> Trial:
    """A name outside of the cluster."""
    spec = {"type": "ExternalName", "externalName": "canary.invalid"}
    return governed(lambda ground: create(ground.namespace, "services", _object("v1", "Service", ground, spec)))


def endpoints() -> Trial:
    """Where a Service leads, by hand. The address is for documentation."""
    group = "discovery.k8s.io/v1"

    def make(ground: Ground) -> Canary:
        body = _object(group, "EndpointSlice", ground) | {
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["192.0.2.1"]}],
            "ports": [],
        }
        return create(ground.namespace, "endpointslices", body, group_version=group)

    return governed(make)


def route(*, allowed: bool) -> Trial:
    """An Ingress; where routes are ``allowed``, one into another namespace."""
    if not allowed:
        group, kind, plural = _NETWORKING, "Ingress", "ingresses"
        spec: dict[str, Any] = {"defaultBackend": {"service": {"name": _VALUE, "port": {"number": 80}}}}
    else:
        group, kind, plural = "gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes"
        spec = {"rules": [{"backendRefs": [{"name": _VALUE, "namespace": _VALUE, "port": 80}]}]}
    return governed(
        lambda ground: create(ground.namespace, plural, _object(group, kind, ground, spec), group_version=group)
    )


def snapshot() -> Trial:
    """A copy of a claim, with a class that no policy names."""
    group = "snapshot.storage.k8s.io/v1"
    spec = {"source": {"persistentVolumeClaimName": _VALUE}, "volumeSnapshotClassName": _VALUE}

    def make(ground: Ground) -> Canary:
        return create(
            ground.namespace, "volumesnapshots", _object(group, "VolumeSnapshot", ground, spec), group_version=group
        )

    return governed(make)


def status(policy: Policy) -> Trial:
    """The policy's own, which lies about its nodes."""
    patch = [{"op": "replace", "path": "/status/approvedNodes", "value": 7919}]
    canary = change("", "sovereigntypolicies", f"{policy.name}/status", patch, group_version=API_VERSION)
    return lambda _: canary


# --- parts --------------------------------------------------------------------------------------------


def _set_label(key: str, value: str) -> Manifest:
    return {"op": "add", "path": pointer("metadata", "labels", key), "value": value}


def _object(api_version: str, kind: str, ground: Ground, spec: Manifest | None = None) -> Manifest:
    body: Manifest = {"apiVersion": api_version, "kind": kind, "metadata": named(ground.name, ground.namespace)}
    return body if spec is None else body | {"spec": spec}


def _bound(ground: Ground, namespace: str, node: str, labels: dict[str, str] | None = None) -> Canary:
    metadata = named(ground.name, namespace) | ({"labels": labels} if labels else {})
    target = {"apiVersion": "v1", "kind": "Node", "name": node}
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
    return create(namespace, f"pods/{ground.name}/binding", binding, absent=ground.name)
