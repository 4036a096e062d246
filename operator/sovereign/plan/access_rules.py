"""Ways into running pods, and tokens to act as them, that ``access`` of a policy denies: to everybody, whatever their role.

Nobody is exempt, the operator neither: it needs none of them. By websocket or by SPDY a way is the same CONNECT.

What no rule here can hold: a connection to the kubelet itself by somebody who may `get` or `create` nodes/proxy, because it does
not pass through the API server.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from sovereign.plan import canary_requests
from sovereign.plan.cel import Cel, code, quote, sentence, strings
from sovereign.plan.inventory import Policy
from sovereign.plan.rules import Rules, Validation, resources

_TOKEN_SECRET: Final = "kubernetes.io/service-account-token"  # noqa: S105 - a type of Secrets
_TOKENS: Final = (
    resources("", "v1", ["CREATE"], ["serviceaccounts/token"]),
    resources("", "v1", ["CREATE"], ["secrets"]),
)
_NODE_PROXY: Final = (resources("", "v1", ["CONNECT"], ["nodes/proxy"]),)

# Secrets have no spec: `dyn`, because one expression is about two kinds.
_FOR_A_POD: Final = code(
    "'system:nodes' in request.userInfo.groups && dyn(object).?spec.?boundObjectRef.?kind.orValue('') == 'Pod'"
)
# What a kubelet serves for reading. Everything else runs something, and no segment may step out of its place.
_READ_ONLY: Final = (
    "^/?(?:configz|containerLogs|flagz|healthz|livez|logs|metrics|pods|readyz|runningpods|stats|statusz)"
    "(?:/[-A-Za-z0-9_@+~:=][-A-Za-z0-9_@+~:=.]*)*/?$"
)


class _Way(NamedTuple):
    """A way into pods, which are subresources."""

    subresources: tuple[str, ...]
    resources: dict[str, Any]
    advice: str


_EXEC: Final = _Way(
    ("exec", "attach"),
    resources("", "v1", ["CONNECT"], ["pods/attach", "pods/exec"]),
    "kubectl exec, attach and cp are denied; read the pod's logs, Events and metrics, or have the policy's access.exec set to Allow",
)
_FORWARD: Final = _Way(
    ("portforward", "proxy"),
    resources("", "v1", ["CONNECT"], ["pods/portforward", "pods/proxy", "services/proxy"]),
    "kubectl port-forward and the API server's proxy are denied; call the Service from a pod that may, or have the policy's "
    "access.portForward set to Allow",
)
_DEBUG: Final = _Way(
    ("ephemeralcontainers",),
    resources("", "v1", ["UPDATE"], ["pods/ephemeralcontainers"]),
    "kubectl debug, which adds a container to a running pod, is denied; debug a copy of the pod outside the governed namespaces, or "
    "have the policy's access.ephemeralContainers set to Allow",
)
_RESIZE: Final = _Way(
    ("resize",),
    resources("", "v1", ["UPDATE"], ["pods/resize"]),
    "CPU and memory of a running pod cannot be changed; change what the pod is made from, or have the policy's access.resize set "
    "to Allow",
)


def access_rules(policy: Policy) -> Iterator[Rules]:
    """The rules about what ``policy`` denies; none where it allows everything."""
    access, whose = policy.spec.access, f"policy {policy.name}: "
    ways = (
        (_EXEC, access.exec),
        (_FORWARD, access.port_forward),
        (_DEBUG, access.ephemeral_containers),
        (_RESIZE, access.resize),
    )
    denied = [way for way, permission in ways if permission == "Deny"]
    if denied:
        closed, canary = tuple(_closed(way, whose) for way in denied), canary_requests.way_in(policy)
        yield Rules("access", tuple(way.resources for way in denied), closed, canary=canary)
    if access.service_account_tokens == "Deny":
        yield _tokens(whose)
    if access.exec == "Deny":
        yield _node_proxy(whose)


def _closed(way: _Way, whose: str) -> Validation:
    asked = code("request.subResource").within(strings(way.subresources))
    return Validation(~asked, f"{whose}{way.advice}")


def _tokens(whose: str) -> Rules:
    """A token lets its holder act as a workload from anywhere. Kubelets get them for the pods that they run."""
    advice = "let the pod that needs one have it mounted, or have the policy's access.serviceAccountTokens set to Allow"
    asked = code("request.?subResource.orValue('') == 'token'")
    kept = code("dyn(object).?type.orValue('') != %s").filled(quote(_TOKEN_SECRET))
    return Rules(
        "tokens",
        _TOKENS,
        (
            Validation(~asked | _FOR_A_POD, f"{whose}tokens of service accounts are given to kubelets alone; {advice}"),
            Validation(
                asked | kept,
                f"{whose}Secrets of type {_TOKEN_SECRET} hold a token that does not expire, and are denied; {advice}",
            ),
        ),
        canary=canary_requests.nothing,
    )


def _node_proxy(whose: str) -> Rules:
    """The kubelet's own ways into containers, which know no namespaces: closed on every node."""
    path: Cel = code("object.?path.orValue('')")
    wrong = (
        "could run something in a container past the policy's access.exec; only metrics, stats, health, pods and logs are read "
        "through a node's proxy"
    )
    return Rules(
        "node-proxy",
        _NODE_PROXY,
        (
            Validation(
                path.matches(_READ_ONLY),
                f"{whose}this path of the node's proxy {wrong}",
                sentence(f"{whose}path '", path, f"' of the node's proxy {wrong}"),
            ),
        ),
        everywhere=True,
        canary=canary_requests.node_proxy(),
    )
