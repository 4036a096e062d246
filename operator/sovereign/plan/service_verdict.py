"""What the rules about Services would say of a Service that is there. As `network_verdict`, a second time and in Python."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sovereign.api.meta import (
    COPIED_LABELS,
    LABEL_COMPLIANT,
    LABEL_COMPONENT,
    LABEL_INSTANCE,
    LABEL_MANAGED_BY,
    LABEL_MODEL,
    LABEL_NAME,
    LABEL_POOL,
    MANAGED_BY,
)

GRANTED: Final = ("NodePort", "LoadBalancer")
"""The types that a policy can grant."""
_SAME_ON_ALL: Final = {
    LABEL_NAME: ("sovereign-ai",),
    LABEL_MANAGED_BY: (MANAGED_BY,),
    LABEL_COMPONENT: ("serving", "import"),
    LABEL_COMPLIANT: ("true",),
}
_OF_ANY_VALUE: Final = frozenset(
    {
        *COPIED_LABELS,
        LABEL_INSTANCE,
        LABEL_MODEL,
        LABEL_POOL,
        "pod-template-hash",
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-name",
        "controller-uid",
        "job-name",
    }
)
_OF_THEIR_NODE: Final = "topology.kubernetes.io/"


def problems(spec: Mapping[str, Any]) -> Iterator[str]:
    """What every policy would refuse of a Service with this spec."""
    external = spec.get("type") == "ExternalName"
    selector = spec.get("selector") or {}
    if external:
        yield "stands for a name outside of the cluster"
    if spec.get("externalIPs"):
        yield "takes over addresses that may be anybody's"
    if not external and not selector:
        yield "has no selector, so that whoever writes its endpoints says where it leads"
    if selector and selector.get(LABEL_COMPLIANT) != "true" and all(map(_possible, selector, selector.values())):
        yield f'could select pods with weights that are where they may not be, without {LABEL_COMPLIANT}: "true"'


def opening(spec: Mapping[str, Any]) -> str:
    """The type of a Service that opens a way in from outside of the cluster; else nothing."""
    found = str(spec.get("type", "ClusterIP"))
    return "" if found in ("ClusterIP", "ExternalName") else found


def _possible(key: str, value: str) -> bool:
    """Whether a pod with weights can have this label."""
    return key in _OF_ANY_VALUE or key.startswith(_OF_THEIR_NODE) or value in _SAME_ON_ALL.get(key, ())
