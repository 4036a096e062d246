"""Canaries: requests that a rule must refuse, sent to see whether it does. Each rules module declares its own.

A canary breaks its own rule and no other, and what comes before rules: it is a pod that Pod Security `restricted`
admits, in a namespace that is there. It leaves nothing behind where it is not refused: it is a dry run, or about an
object that does not exist, which is looked up after admission.

Source: the API server's order, which is authentication, authorization, mutation, validation by schema, admission, storage.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sovereign.plan.inventory import Manifest, Policy

PREFIX: Final = "sovereign-canary-"
"""What names of objects that do not exist begin with."""
NOBODY: Final = "sovereign-canary"
"""The one name that canaries reach into. RBAC holds their account to it, so that nothing hangs on its guard."""
_DIGEST: Final = "sha256:" + "0" * 64


@dataclass(frozen=True)
class Ground:
    """What there is to try rules on. Empty: there is no such thing now."""

    name: str
    """Of objects that do not exist: `PREFIX`, and what nobody can know before."""
    namespace: str = ""
    """A governed namespace."""
    pod: tuple[str, str] | None = None
    """Namespace and name of a pod with weights, in a governed namespace."""
    pool: tuple[str, str] | None = None
    """Namespace and name of a pool that has a Deployment, in a governed namespace."""
    node: str = ""
    """An approved node."""
    stranger: str = ""
    """A namespace that no policy governs, and that is not exempt."""


@dataclass(frozen=True)
class Canary:
    """One request."""

    method: str
    path: str
    body: Manifest | list[Manifest] | None = None
    content_type: str = "application/json"
    dry_run: bool = True
    """False for CONNECT alone, which cannot be."""
    absent: str = ""
    """The object that does not exist and is looked up after admission: that it is not found means that no rule refused.
    For CONNECT it may be there all the same, because anybody may make it: nothing is upgraded, which is told by 400."""
    changed: Callable[[Mapping[str, Any]], bool] | None = None
    """For a rule that changes what it gets: whether it did. None: it must refuse."""


Trial = Callable[[Ground], Canary | None]
"""The canary of a rule, or None where there is nothing to try it on."""


def governed(make: Callable[[Ground], Canary]) -> Trial:
    """The trial of a rule that is tried in a governed namespace."""
    return lambda ground: make(ground) if ground.namespace else None


def create(namespace: str, plural: str, body: Manifest, *, group_version: str = "v1", absent: str = "") -> Canary:
    """A dry run of creating ``body``; ``plural`` may be a subresource of ``absent``, as ``pods/NAME/binding``."""
    place = f"namespaces/{namespace}/" if namespace else ""
    return Canary("POST", f"{_prefix(group_version)}/{place}{plural}", body, absent=absent)


def change(namespace: str, plural: str, name: str, patch: list[Manifest], *, group_version: str = "v1") -> Canary:
    """A dry run of a JSON patch to an object that is there. What it removes or tests must be there, or it shows nothing."""
    place = f"namespaces/{namespace}/" if namespace else ""
    return Canary("PATCH", f"{_prefix(group_version)}/{place}{plural}/{name}", patch, "application/json-patch+json")


def pointer(*parts: str) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def connect(namespace: str, plural: str, subresource: str) -> Canary:
    """Reaching into `NOBODY`, without asking for the upgrade without which nothing is run."""
    place = f"namespaces/{namespace}/" if namespace else ""
    return Canary("GET", f"/api/v1/{place}{plural}/{NOBODY}/{subresource}", dry_run=False, absent=NOBODY)


def pod(policy: Policy, ground: Ground, *, namespace: str = "", **spec: Any) -> Manifest:
    """A pod that ``policy`` and Pod Security `restricted` admit, with fields of ``spec`` on top."""
    metadata = named(ground.name, namespace or ground.namespace)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec(policy) | spec}


def pod_spec(policy: Policy, image: str = "") -> Manifest:
    """The spec of such a pod, with another ``image``."""
    registries = sorted(policy.spec.images.registries) or ["registry.invalid"]
    container = {
        "name": "canary",
        "image": image or f"{registries[0]}/sovereign-canary@{_DIGEST}",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    return {"automountServiceAccountToken": False, "containers": [container], "securityContext": security}


def named(name: str, namespace: str = "") -> Manifest:
    """``metadata`` of an object."""
    return {"name": name, "namespace": namespace} if namespace else {"name": name}


def _prefix(group_version: str) -> str:
    return f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"
