"""Calico's objects in the API server: what felix and the CNI plugin need to enforce NetworkPolicy, no more."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
_USERS = {"calico-node": "calico-node", "calico-cni-plugin": "calico-cni-plugin"}


def definitions(manifest: Path) -> Iterator[Object]:
    """The CustomResourceDefinitions of Calico's own manifest (`manifest`), which lies beside its programs."""
    return (document for document in _documents(manifest) if document["kind"] == "CustomResourceDefinition")


def objects(manifest: Path) -> Iterator[Object]:
    """Roles, and their bindings to the users that the nodes' certificates name; and that the data store is ready."""
    for document in _documents(manifest):
        if document["kind"] == "ClusterRole" and document["metadata"]["name"] in _USERS:
            yield document
    for role, user in _USERS.items():
        yield {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        }
    yield {
        "apiVersion": "crd.projectcalico.org/v1",
        "kind": "ClusterInformation",
        "metadata": {"name": "default"},
        "spec": {"datastoreReady": True, "clusterGUID": "0123456789abcdef0123456789abcdef", "clusterType": "testbed"},
    }


def _documents(manifest: Path) -> Iterator[Object]:
    return (document for document in yaml.safe_load_all(manifest.read_text()) if document)
