"""What the rules about Services would say of a Service that is there. As `network_verdict`, a second time and in Python."""

from collections.abc import Iterator, Mapping
from typing import Any

from sovereign.api.meta import LABEL_COMPLIANT
from sovereign.plan.reserved_rules import TOPOLOGY
from sovereign.plan.service_rules import OF_ANY_VALUE, SAME_ON_ALL


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
    return key in OF_ANY_VALUE or key.startswith(TOPOLOGY) or value in SAME_ON_ALL.get(key, ())
