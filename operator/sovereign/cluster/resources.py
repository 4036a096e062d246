"""The kinds the operator reads and writes, and their URLs."""

from typing import Final, NamedTuple

from sovereign.api.kinds import KINDS
from sovereign.api.meta import GROUP, VERSION


class Resource(NamedTuple):
    """A kind as the API server serves it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def prefix(self) -> str:
        """``/api/v1`` or ``/apis/<group>/<version>``."""
        return f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of an object, of a namespace's collection, or (without arguments) of the whole collection."""
        parts = [self.prefix]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/".join(parts)


NODES: Final = Resource("v1", "Node", "nodes", namespaced=False)
NAMESPACES: Final = Resource("v1", "Namespace", "namespaces", namespaced=False)
PODS: Final = Resource("v1", "Pod", "pods")
VOLUMES: Final = Resource("v1", "PersistentVolume", "persistentvolumes", namespaced=False)
EVENTS: Final = Resource("v1", "Event", "events")
ENDPOINT_SLICES: Final = Resource("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
LEASES: Final = Resource("coordination.k8s.io/v1", "Lease", "leases")

CHILDREN: Final = (
    Resource("apps/v1", "Deployment", "deployments"),
    Resource("v1", "Service", "services"),
    Resource("v1", "ServiceAccount", "serviceaccounts"),
    Resource("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    Resource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Resource("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    Resource("batch/v1", "Job", "jobs"),
    Resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    Resource(
        "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", namespaced=False
    ),
    Resource(
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        namespaced=False,
    ),
    Resource(
        "admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy", "mutatingadmissionpolicies", namespaced=False
    ),
    Resource(
        "admissionregistration.k8s.io/v1",
        "MutatingAdmissionPolicyBinding",
        "mutatingadmissionpolicybindings",
        namespaced=False,
    ),
)
"""Everything the operator creates. All carry the label app.kubernetes.io/managed-by=sovereign-operator."""

MUTATING: Final = ("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding")
"""Served by API servers from 1.36 on."""

OURS: Final = tuple(Resource(f"{GROUP}/{VERSION}", kind.kind, kind.plural, kind.namespaced) for kind in KINDS)
MANY: Final = tuple(resource for resource in OURS if resource.namespaced)
"""Models and pools: thousands of them."""
SELDOM: Final = (NAMESPACES, *(resource for resource in OURS if not resource.namespaced))
"""What few people change, and seldom: kopf watches it."""

BY_KIND: Final = {
    resource.kind: resource for resource in (NODES, NAMESPACES, PODS, VOLUMES, EVENTS, LEASES, *CHILDREN, *OURS)
}
