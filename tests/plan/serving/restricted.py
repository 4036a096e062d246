"""Pod Security ``restricted`` and what this project adds, as a strict checker: what is not known to be harmless is refused.

Source: kubernetes.io, "Pod Security Standards"; integration tests let the API server judge the same templates.
"""

from collections.abc import Iterator
from typing import Any

_POD_FIELDS = {
    "serviceAccountName",
    "automountServiceAccountToken",
    "enableServiceLinks",
    "terminationGracePeriodSeconds",
    "securityContext",
    "nodeSelector",
    "affinity",
    "topologySpreadConstraints",
    "tolerations",
    "containers",
    "volumes",
    "imagePullSecrets",
}
_CONTAINER_FIELDS = {
    "name",
    "image",
    "imagePullPolicy",
    "command",
    "args",
    "env",
    "ports",
    "resources",
    "startupProbe",
    "readinessProbe",
    "livenessProbe",
    "lifecycle",
    "securityContext",
    "volumeMounts",
}
_POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "fsGroup": 65532,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
_CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def violations(pod: dict[str, Any]) -> list[str]:
    """What is wrong with a pod's spec; nothing when it is as it must be."""
    return [*_pod(pod), *(problem for one in pod["containers"] for problem in _container(one, pod))]


def _pod(pod: dict[str, Any]) -> Iterator[str]:
    yield from (f"unknown field {field}" for field in pod.keys() - _POD_FIELDS)
    if pod.get("securityContext") != _POD_SECURITY:
        yield f"securityContext {pod.get('securityContext')}"
    if pod.get("automountServiceAccountToken") is not False or pod.get("enableServiceLinks") is not False:
        yield "token or service links"
    for volume in pod["volumes"]:
        if volume.keys() - {"name"} not in ({"emptyDir"}, {"persistentVolumeClaim"}):
            yield f"volume {volume}"
        if "readOnly" in volume.get("persistentVolumeClaim", {}):
            yield "readOnly in the claim's source"
    for toleration in pod.get("tolerations", []):
        if not toleration.get("key") or toleration.get("effect") != "NoSchedule":
            yield f"toleration {toleration}"


def _container(container: dict[str, Any], pod: dict[str, Any]) -> Iterator[str]:
    yield from (f"unknown field {field}" for field in container.keys() - _CONTAINER_FIELDS)
    if container.get("securityContext") != _CONTAINER_SECURITY:
        yield f"container's securityContext {container.get('securityContext')}"
    yield from (f"port {port}" for port in container["ports"] if "hostPort" in port or "hostIP" in port)
    if "@sha256:" not in container["image"]:
        yield f"image {container['image']}"
    if container.get("lifecycle", {}).keys() - {"preStop"}:
        yield "lifecycle"
    if "exec" in str([container.get(field) for field in ("startupProbe", "readinessProbe", "livenessProbe")]):
        yield "a probe that executes"
    yield from _mounts(container, pod)


def _mounts(container: dict[str, Any], pod: dict[str, Any]) -> Iterator[str]:
    claims = {volume["name"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume}
    mounts = container["volumeMounts"]
    if len({mount["mountPath"] for mount in mounts}) != len(mounts):
        yield "two mounts at one path"
    if {mount["name"] for mount in mounts} != {volume["name"] for volume in pod["volumes"]}:
        yield "mounts and volumes differ"
    for mount in mounts:
        if mount["name"] in claims and mount.get("readOnly") is not True:
            yield f"writable weights {mount}"
        path = mount.get("subPath", "")
        if path.startswith("/") or ".." in path.split("/"):
            yield f"subPath {path}"
