"""Who acts in and around a governed namespace, and what it is told."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sovereign.plan.inventory import Settings
from tests.integration.api import Answer, Api
from tests.integration.conftest import TEST_LABEL, Kubectl, make_namespace, make_tenant
from tests.integration.enforcement import Enforcement, enforce, make_policy, settings


@dataclass(frozen=True)
class Place:
    """A governed namespace, and who is in it."""

    enforcement: Enforcement
    api: Api
    """Full rights."""
    tenant: Api
    """The role ``edit`` in the namespace."""
    admin: Api
    """The role ``admin`` in the namespace."""
    namespace: str

    @property
    def operator(self) -> Api:
        """The operator's identity; an administrator's rights are its group's, so that rules alone can be in its way."""
        return self.api.as_user(Settings().operator_user, "system:masters")

    def controller(self, name: str) -> Api:
        """One of the cluster's own controllers, with the rights of its role."""
        groups = ("system:serviceaccounts", "system:serviceaccounts:kube-system")
        return self.api.as_user(f"system:serviceaccount:kube-system:{name}", *groups)

    def refused(self, answer: Answer, *words: str) -> None:
        """That it was the policy that refused, and what it said."""
        assert answer.code == 403, answer.body
        assert f"policy {self.enforcement.policy.name}: " in answer.message
        for word in words:
            assert word in answer.message

    def accepted(self, answer: Answer) -> None:
        """That nobody refused, and no policy warned."""
        assert answer.ok, answer.message
        assert not any("ValidatingAdmissionPolicy" in warning for warning in answer.warnings), answer.warnings


@contextmanager
def governed(api: Api, kubectl: Kubectl, **spec: Any) -> Iterator[Place]:
    """A namespace of its own with a policy in force; both are removed afterwards."""
    namespace = make_namespace(api, kubectl, name := f"g-{secrets.token_hex(4)}", {TEST_LABEL: name})
    enforcement = enforce(api, make_policy(api, namespace, **spec), namespace, settings(api))
    try:
        yield Place(enforcement, api, make_tenant(api, namespace), _admin(api, namespace), namespace)
    finally:
        enforcement.remove()
        api.request("DELETE", f"/api/v1/namespaces/{namespace}")


def _admin(api: Api, namespace: str) -> Api:
    """A user with the role ``admin`` in ``namespace``."""
    user = f"admin-{namespace}"
    group = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "admin", "namespace": namespace},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }
    assert api.create(binding).ok
    return api.as_user(user)


@contextmanager
def stand_in(api: Api, kubectl: Kubectl, group: str, version: str, **kinds: str) -> Iterator[None]:
    """Kinds of somebody else's API, by plural, which keep whatever fields they are given; there while it lasts."""
    for plural, kind in kinds.items():
        answer = api.apply(_definition(group, version, plural, kind))
        assert answer.ok, answer.message
    names = [f"crd/{plural}.{group}" for plural in kinds]
    kubectl("wait", "--for=condition=Established", *names, "--timeout=60s")
    try:
        yield
    finally:
        kubectl("delete", *names, "--wait")


def _definition(group: str, version: str, plural: str, kind: str) -> dict[str, Any]:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": anything}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, a stand-in for tests"},
        },
        "spec": {
            "group": group,
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "scope": "Namespaced",
            "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
        },
    }
