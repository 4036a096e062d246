"""What Services, their endpoints and routes must be in governed namespaces: no way out of the namespace, no way in that the
policy does not open, and none to pods with weights but those that are where they may be.

Sources: the API references of Service, EndpointSlice, Ingress and of the Gateway API. When a Service loses its selector, or is
deleted and leaves its EndpointSlices as orphans, the endpoints of that moment stay: so every Service must have a selector.
"""

from collections.abc import Iterator
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
from sovereign.plan import canary_requests, deployment, model
from sovereign.plan.cel import Cel, all_of, any_of, code, quote, sentence, strings, variable
from sovereign.plan.children import PRODUCT
from sovereign.plan.inventory import Policy, Settings
from sovereign.plan.reserved_rules import TOPOLOGY
from sovereign.plan.rules import SPEC_CHANGES, Rules, Validation, by_controllers, by_others, resources

SAME_ON_ALL: Final = {
    LABEL_NAME: (PRODUCT,),
    LABEL_MANAGED_BY: (MANAGED_BY,),
    LABEL_COMPONENT: (deployment.COMPONENT, model.COMPONENT),
    LABEL_COMPLIANT: ("true",),
}
"""Labels of pods with weights, and of those that import them, by the values that they can have."""
OF_ANY_VALUE: Final = (
    *COPIED_LABELS,
    LABEL_INSTANCE,
    LABEL_MODEL,
    LABEL_POOL,
    "pod-template-hash",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "controller-uid",
    "job-name",
)
"""Their other labels: the owner's, and those that ReplicaSets and Jobs add."""

_WRITES: Final = ("CREATE", "UPDATE")
_SERVICES: Final = resources("", "v1", _WRITES, ["services"])
_ENDPOINTS: Final = (
    resources("", "v1", _WRITES, ["endpoints"]),
    resources("discovery.k8s.io", "v1", _WRITES, ["endpointslices"]),
)
_INGRESSES: Final = resources("networking.k8s.io", "v1", _WRITES, ["ingresses"])
_GATEWAYS: Final[dict[str, Any]] = {
    # Whatever kinds and versions there are, or will be: none is known before its CRD is installed.
    "apiGroups": ["gateway.networking.k8s.io", "gateway.networking.x-k8s.io"],
    "apiVersions": ["*"],
    "operations": list(_WRITES),
    "resources": ["*"],
    "scope": "Namespaced",
}

_BESIDES_THE_API_SERVER: Final = (
    # It writes a Service and endpoints of its own, in the namespace `default`.
    "besides-the-api-server",
    code("request.userInfo.username != 'system:apiserver'"),
)
_BY_THE_CLUSTER: Final = by_controllers(
    "endpoint-controller", "endpointslice-controller", "endpointslicemirroring-controller", "generic-garbage-collector"
)

_NAME: Final = code("object.metadata.?name.orValue('')")
_KIND: Final = code("request.kind.kind")
_TYPE: Final = variable("type")
_SELECTOR: Final = variable("selector")
_SERVICE_VARIABLES: Final = (
    ("type", code("object.spec.?type.orValue('ClusterIP')")),
    ("selector", code("object.spec.?selector.orValue({})")),
)


def service_rules(policy: Policy, settings: Settings) -> Iterator[Rules]:
    """The rules about Services, about their endpoints, and about Ingresses and routes."""
    whose = f"policy {policy.name}: "
    services = tuple(_services(policy, whose))
    conditions = (by_others(settings), _BESIDES_THE_API_SERVER, SPEC_CHANGES)
    canary = canary_requests.service()
    yield Rules("services", (_SERVICES,), services, _SERVICE_VARIABLES, conditions, canary=canary)
    yield _endpoints(whose)
    yield _no_routes(whose) if policy.spec.network.routes == "Deny" else _routes(whose)


# --- Services -----------------------------------------------------------------------------------------


def _services(policy: Policy, whose: str) -> Iterator[Validation]:
    yield _service(
        ~_TYPE.equals(quote("ExternalName")),
        whose,
        "stands for a name outside of the cluster; leave type ExternalName, and select pods of this namespace",
    )
    granted = sorted(policy.spec.network.service_types)
    yield _service(
        _TYPE.within(strings(["ClusterIP", "ExternalName", *granted])),
        whose,
        "opens a way in from outside of the cluster, which the policy does not; use type "
        f"{' or '.join(['ClusterIP', *granted])}, or have the type added to network.serviceTypes",
    )
    yield _service(
        code("object.spec.?externalIPs.orValue([]).size() == 0"),
        whose,
        "takes over addresses that may be anybody's; leave spec.externalIPs out",
    )
    yield _service(
        _TYPE.equals(quote("ExternalName")) | code("variables.selector.size() > 0"),
        whose,
        "has no selector, so that whoever writes its endpoints says where it leads; add spec.selector with labels of your own pods",
    )
    yield _service(
        code("variables.selector.size() == 0") | _lawful_pods_only() | _SELECTOR.some("k", ~_possible()),
        whose,
        f'could select pods with weights that are where they may not be; add {LABEL_COMPLIANT}: "true" to spec.selector to reach '
        "a model, or a label that only your own pods have",
    )


def _lawful_pods_only() -> Cel:
    return code("variables.selector[?%s].orValue('') == 'true'").filled(quote(LABEL_COMPLIANT))


def _possible() -> Cel:
    """Whether a pod with weights can have the label `k` with the value that the selector asks for."""
    key = code("k")
    same = (
        all_of([key.equals(quote(label)), code("variables.selector[k]").within(strings(values))])
        for label, values in sorted(SAME_ON_ALL.items())
    )
    return any_of([key.within(strings(sorted(OF_ANY_VALUE))), key.starts_with(quote(TOPOLOGY)), *same])


def _service(condition: Cel, whose: str, wrong: str) -> Validation:
    return Validation(condition, f"{whose}the Service {wrong}", sentence(f"{whose}Service ", _NAME, f" {wrong}"))


# --- endpoints ----------------------------------------------------------------------------------------


def _endpoints(whose: str) -> Rules:
    """Where a Service leads is the affair of the cluster's controllers. What leads nowhere else can be changed by anybody.

    One rule for two kinds, whose fields the other does not have: hence ``dyn``.
    """
    wrong = "says where a Service leads, which only the cluster does, from the Service's selector; leave it"
    same = all_of(
        code("dyn(object).?%s == dyn(oldObject).?%s").filled(field, field)
        for field in (code("subsets"), code("endpoints"), code("ports"), code("addressType"), code("metadata.?labels"))
    )
    return Rules(
        "endpoints",
        _ENDPOINTS,
        (Validation(code("false"), f"{whose}{wrong}", sentence(whose, _KIND, " ", _NAME, f" {wrong}")),),
        conditions=(
            ("by-others", ~_BY_THE_CLUSTER),
            _BESIDES_THE_API_SERVER,
            ("leads-elsewhere", code("request.operation == 'CREATE'") | ~same),
        ),
        canary=canary_requests.endpoints(),
    )


# --- Ingresses and routes -----------------------------------------------------------------------------

_SPEC_CHANGES: Final = ("spec-changes", code("request.operation == 'CREATE' || object.?spec != oldObject.?spec"))
"""As `SPEC_CHANGES`, for kinds that may have no spec."""


def _no_routes(whose: str) -> Rules:
    wrong = "opens a way in from outside of the cluster, which the policy does not; leave it out, or have network.routes allow it"
    validation = Validation(code("false"), f"{whose}it {wrong}", sentence(whose, _KIND, " ", _NAME, f" {wrong}"))
    canary = canary_requests.route(allowed=False)
    return Rules("routes", (_INGRESSES, _GATEWAYS), (validation,), conditions=(_SPEC_CHANGES,), canary=canary)


def _routes(whose: str) -> Rules:
    """An Ingress cannot leave its namespace; a route can: with its requests, with copies of them, and to have them judged."""
    wrong = "sends requests to another namespace; let each backendRef, those of filters included, be of this one"
    filters = code("%s.?filters.orValue([])")
    forwards = all_of([_here(code("b")), filters.filled(code("b")).every("f", _FILTER)])
    validation = Validation(
        code("object.?spec.?rules.orValue([])").every(
            "r",
            all_of(
                [
                    code("r.?backendRefs.orValue([])").every("b", forwards),
                    filters.filled(code("r")).every("f", _FILTER),
                ]
            ),
        ),
        f"{whose}the route {wrong}",
        sentence(whose, _KIND, " ", _NAME, f" {wrong}"),
    )
    canary = canary_requests.route(allowed=True)
    return Rules("routes", (_GATEWAYS,), (validation,), conditions=(_SPEC_CHANGES,), canary=canary)


def _here(reference: Cel) -> Cel:
    return code("%s.?namespace.orValue(request.namespace) == request.namespace").filled(reference)


_FILTER: Final = all_of(map(_here, (code("f.?requestMirror.?backendRef"), code("f.?externalAuth.?backendRef"))))

__all__ = ["service_rules"]
