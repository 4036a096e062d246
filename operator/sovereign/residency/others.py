"""Services, EndpointSlices and NetworkPolicies that others made: what of them is suspicious, and what policies say of it.

Most are lawful whatever a policy says, and of these nothing is kept. A row holds what is judged, and no more.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import orjson

from sovereign.api.conditions import Reason
from sovereign.api.policy import Dns, Network, Placement, PolicySpec
from sovereign.api.schema import LabelSelector
from sovereign.plan import network_verdict, service_verdict
from sovereign.plan.inventory import Owner, Policy
from sovereign.residency.verdicts import Violation

CONTROLLERS_SLICES: Final = "endpointslice.kubernetes.io/managed-by!=endpointslice-controller.k8s.io"
"""Selector of the slices that the cluster's controller does not tend; those that only claim to be its own it removes itself."""
_SERVICE: Final = "kubernetes.io/service-name"
_API_SERVER: Final = ("default", "kubernetes")
"""The Service whose endpoints the API server writes itself."""
_STRICTEST: Final = Policy(
    Owner("SovereigntyPolicy", "strictest"),
    PolicySpec(
        namespace_selector=LabelSelector(),
        placement=Placement(jurisdictions=["EU"]),
        network=Network(dns=Dns(resolvers=["fe80::53/128"])),
    ),
)
"""Grants nothing, the cluster's DNS included: what it does not refuse, no policy does."""


class Other(msgspec.Struct, frozen=True):
    """An object that somebody else made, and that a policy may refuse."""

    kind: str
    namespace: str
    name: str
    version: int
    uid: str
    spec: bytes = b""
    """Of a NetworkPolicy: its spec as JSON."""
    problems: tuple[str, ...] = ()
    """Of a Service or slice: what every policy refuses."""
    opens: str = ""
    """Of a Service: its type, where a policy has to grant it."""
    service: str = ""
    """Of a slice: the Service that it leads from."""


def other(manifest: Mapping[str, Any], kind: str) -> Other | None:
    """The row of an object; None when no policy can refuse it. Total: any such object that the API server stores will do."""
    spec = manifest.get("spec") or {}
    match kind:
        case "NetworkPolicy":
            if not network_verdict.opened(_STRICTEST, spec):
                return None
            return _row(manifest, kind, spec=msgspec.json.encode(spec))
        case "Service":
            problems, opens = tuple(service_verdict.problems(spec)), service_verdict.opening(spec)
            return _row(manifest, kind, problems=problems, opens=opens) if problems or opens else None
    return _slice(manifest, kind)


def _slice(manifest: Mapping[str, Any], kind: str) -> Other | None:
    metadata = manifest["metadata"]
    service = (metadata.get("labels") or {}).get(_SERVICE, "")
    if not service or not manifest.get("endpoints") or (metadata["namespace"], service) == _API_SERVER:
        return None
    problem = f"says where Service {service} leads, which only the cluster does, from the Service's selector"
    return _row(manifest, kind, problems=(problem,), service=service)


def _row(manifest: Mapping[str, Any], kind: str, **content: Any) -> Other:
    metadata = manifest["metadata"]
    return Other(
        kind, metadata["namespace"], metadata["name"], int(metadata["resourceVersion"]), metadata["uid"], **content
    )


_ADVICE: Final = {
    "NetworkPolicy": "rules judge requests and not what was there before: change it, or remove it",
    "Service": "change it, or remove it",
    "EndpointSlice": "remove it",
}
_RULES: Final = {"NetworkPolicy": "network", "Service": "services", "EndpointSlice": "endpoints"}
"""The names of the rules that would refuse it."""


def judge(row: Other, policy: Policy) -> Violation | None:
    """What a policy would refuse of an object that is there."""
    wrong = list(_wrong(row, policy))
    if not wrong:
        return None
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    message = f"policy {policy.name}: {row.kind} {row.namespace}/{row.name} {wrong[0]}{more}; {_ADVICE[row.kind]}"
    # It is a tenant's: whatever the policy does about pods, this is only told.
    return Violation(policy.name, Reason.UNLAWFUL_OBJECT, _RULES[row.kind], message)


def _wrong(row: Other, policy: Policy) -> Iterator[str]:
    if row.kind == "NetworkPolicy":
        yield from (opened.what for opened in network_verdict.opened(policy, orjson.loads(row.spec)))
    yield from row.problems
    if row.opens and row.opens not in policy.spec.network.service_types:
        yield f"opens a way in from outside of the cluster by type {row.opens}, which the policy does not"


def opens(row: Other, policy: Policy, labels: Mapping[str, str], service: str) -> bool:
    """Whether an object opens pods with these labels, or says where their ``service`` leads, against ``policy``."""
    if row.kind == "EndpointSlice":
        return row.service == service
    if row.kind != "NetworkPolicy":
        return False
    spec = orjson.loads(row.spec)
    in_effect = [one for one in network_verdict.opened(policy, spec) if network_verdict.active(spec, one.direction)]
    return bool(in_effect) and network_verdict.could_select(spec, labels, _ADDED)


_ADDED: Final = frozenset({"pod-template-hash"})
"""Labels that pods have beyond their template's."""


class Others:
    """The suspicious objects, by namespace."""

    def __init__(self) -> None:
        self._rows: defaultdict[str, dict[tuple[str, str], Other]] = defaultdict(dict)

    def put(self, kind: str, namespace: str, name: str, row: Other | None) -> Other | None:
        """Take in an object, or that there is nothing suspicious about it any more; returns what was known."""
        known = self._rows[namespace].pop((kind, name), None)
        if row is not None:
            self._rows[namespace][kind, name] = row
        if not self._rows[namespace]:
            del self._rows[namespace]
        return known

    def known(self, kind: str, namespace: str, name: str) -> bool:
        """Whether an object is among them."""
        return (kind, name) in self._rows.get(namespace, {})

    def within(self, namespace: str) -> list[Other]:
        """Those of a namespace, by kind and name."""
        rows = self._rows.get(namespace, {})
        return [rows[key] for key in sorted(rows)]

    def namespaces(self) -> list[str]:
        """The namespaces that have any."""
        return list(self._rows)
