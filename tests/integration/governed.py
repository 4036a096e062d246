"""A governed namespace, who acts in it, and what they are told; kinds of others that stand in for the real ones."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.integration.actors import admin, operator
from tests.integration.api import Answer, Api
from tests.integration.conftest import TEST_LABEL, Kubectl, make_namespace, make_tenant
from tests.integration.enforcement import InForce, enforce, make_policy, settings


@dataclass(frozen=True)
class Place(InForce):
    """A governed namespace, and who is in it."""

    api: Api
    """Full rights."""
    tenant: Api
    """The role ``edit`` in the namespace."""
    admin: Api
    """The role ``admin`` in the namespace."""
    namespace: str

    @property
    def operator(self) -> Api:
        """The operator."""
        return operator(self.api)

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
        yield Place(enforcement, api, make_tenant(api, namespace), admin(api, namespace), namespace)
    finally:
        enforcement.remove()
        api.request("DELETE", f"/api/v1/namespaces/{namespace}")


def stand_in(api: Api, kubectl: Kubectl, group: str, version: str, **kinds: str) -> None:
    """Kinds of somebody else's API, by plural, which keep whatever fields they are given.

    They stay as long as the control plane: tests of another worker may need them.
    """
    for plural, kind in kinds.items():
        answer = api.apply(_definition(group, version, plural, kind))
        assert answer.ok, answer.message
    names = [f"crd/{plural}.{group}" for plural in kinds]
    kubectl("wait", "--for=condition=Established", *names, "--timeout=60s")


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
