"""Who tries something in these tests: each with the rights that it has in a cluster."""

from collections.abc import Sequence
from typing import Any

from sovereign.plan.inventory import Settings
from tests.integration.api import Api
from tests.integration.enforcement import eventually

_GROUP = "rbac.authorization.k8s.io"


def operator(api: Api) -> Api:
    """The operator's identity; an administrator's rights are its group's, so that rules alone can be in its way."""
    return api.as_user(Settings().operator_user, "system:masters")


def admin(api: Api, namespace: str) -> Api:
    """A user with the role ``admin`` in ``namespace``."""
    user = f"admin-{namespace}"
    _bind(api, namespace, "admin", {"kind": "ClusterRole", "name": "admin"}, user)
    made = api.as_user(user)
    eventually(lambda: made.request("GET", f"/apis/{_GROUP}/v1/namespaces/{namespace}/roles"), lambda answer: answer.ok)
    return made


def also(api: Api, who: Api, namespace: str, rules: Sequence[dict[str, Any]]) -> None:
    """Give ``who`` further rights in ``namespace``."""
    name = f"also-{who.user.replace(':', '-')}"
    meta = {"name": name, "namespace": namespace}
    role = {"apiVersion": f"{_GROUP}/v1", "kind": "Role", "metadata": meta, "rules": list(rules)}
    answer = api.create(role)
    assert answer.ok, answer.message
    _bind(api, namespace, name, {"kind": "Role", "name": name}, who.user)
    spec = {"resourceAttributes": {"namespace": namespace, "resource": rules[-1]["resources"][-1]}}
    spec["resourceAttributes"] |= {"verb": rules[-1]["verbs"][-1], "group": rules[-1]["apiGroups"][-1]}
    plural, _, subresource = spec["resourceAttributes"]["resource"].partition("/")
    spec["resourceAttributes"] |= {"resource": plural, "subresource": subresource}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
    eventually(
        lambda: who.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review),
        lambda answer: bool(answer.body.get("status", {}).get("allowed")),
    )


def account(api: Api, namespace: str, name: str) -> Api:
    """A service account of a controller that somebody has installed, with the role ``edit``."""
    made = api.create(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}
    )
    assert made.ok, made.message
    user = f"system:serviceaccount:{namespace}:{name}"
    _bind(api, namespace, name, {"kind": "ClusterRole", "name": "edit"}, user)
    who = api.as_user(user, "system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    eventually(lambda: who.request("GET", f"/api/v1/namespaces/{namespace}/pods"), lambda answer: answer.ok)
    return who


def controller(api: Api, name: str) -> Api:
    """One of the cluster's own controllers, with its own service account and an administrator's rights."""
    return api.as_user(f"system:serviceaccount:kube-system:{name}", "system:serviceaccounts", "system:masters")


def controller_manager(api: Api) -> Api:
    """All of the cluster's own controllers, where they have no service accounts of their own."""
    return api.as_user("system:kube-controller-manager", "system:masters")


def kubelet(api: Api, node: str) -> Api:
    """The kubelet of a node."""
    return api.as_user(f"system:node:{node}", "system:nodes")


def _bind(api: Api, namespace: str, name: str, role: dict[str, str], user: str) -> None:
    binding = {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": _GROUP} | role,
        "subjects": [{"apiGroup": _GROUP, "kind": "User", "name": user}],
    }
    answer = api.create(binding)
    assert answer.ok, answer.message
