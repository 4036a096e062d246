"""The Kubernetes objects a test cluster is filled with, as plain dicts."""

from collections.abc import Iterator
from typing import Any

from testbed.inventory import FakeNode

FACT_PREFIX = "sovereignai.node-restriction.kubernetes.io"
REGION_FACT = f"{FACT_PREFIX}/region"
OWNED_LABEL = "testbed.sovereignai.io/owned"

Object = dict[str, Any]


def node(spec: FakeNode) -> Object:
    """A Node as its kubelet would register it: labels a kubelet may set, capacity, no facts."""
    labels = {
        "kubernetes.io/hostname": spec.name,
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "topology.kubernetes.io/region": spec.region,
        OWNED_LABEL: "node",
    }
    resources = {"cpu": spec.cpu, "memory": spec.memory, "pods": str(spec.pods), "ephemeral-storage": "1Ti"}
    if spec.zone:
        labels["topology.kubernetes.io/zone"] = spec.zone
    if spec.gpu:
        labels["nvidia.com/gpu.product"] = spec.gpu.product
        labels["nvidia.com/gpu.memory"] = str(spec.gpu.memory_mib)
        labels["nvidia.com/gpu.count"] = str(spec.gpu.count)
        resources["nvidia.com/gpu"] = str(spec.gpu.count)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": spec.name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "status": {"capacity": resources, "allocatable": resources},
    }


def facts(spec: FakeNode) -> Object:
    """The labels an administrator puts on this node, as a Node to apply; none when nobody vouches for it."""
    labels: dict[str, str] = {}
    if spec.jurisdiction:
        labels[f"{FACT_PREFIX}/jurisdiction"] = spec.jurisdiction
        labels[REGION_FACT] = spec.region
    if spec.provider:
        labels[f"{FACT_PREFIX}/provider"] = spec.provider
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": spec.name, "labels": labels}}


def storage_class_name(region: str) -> str:
    """Name of the storage class whose volumes lie in `region`."""
    return f"local-{region}"


def storage_class(region: str) -> Object:
    """The storage class of a region: its volumes exist, and bind when their first consumer is placed."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": storage_class_name(region), "labels": {OWNED_LABEL: "storage"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Retain",
        "allowedTopologies": [{"matchLabelExpressions": [{"key": REGION_FACT, "values": [region]}]}],
    }


def volumes(region: str, count: int, size: str, tag: str) -> Iterator[Object]:
    """`count` volumes that only nodes of `region` can reach, as the region's fact has it.

    They stand for a file system shared within the region, so any access mode is offered. Reclaim is Retain:
    there is nobody to delete what lies on them, and weights outlive the claim on a real cluster too.
    """
    for index in range(count):
        labels = {OWNED_LABEL: "volume", "topology.kubernetes.io/region": region}
        name = f"{region}-{tag}-{index:04}"
        yield volume(name, labels, region, storage_class_name(region), size, "/testbed/no-such-path")


def volume(name: str, labels: dict[str, str], region: str, storage_class: str, size: str, path: str) -> Object:
    """One volume, at `path` of each node of `region`."""
    term = {"key": REGION_FACT, "operator": "In", "values": [region]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": storage_class,
            "volumeMode": "Filesystem",
            "local": {"path": path},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}},
        },
    }


def shared_claim(namespace: str) -> tuple[Object, Object]:
    """A volume that nothing ties to a node, and the claim `weights` that holds it."""
    size = {"storage": "1Gi"}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"shared-{namespace}"},
        "spec": {
            "capacity": size,
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "shared",
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "name": "weights",
                "namespace": namespace,
            },
            "nfs": {"server": "192.0.2.10", "path": f"/{namespace}"},
        },
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "weights", "namespace": namespace},
        "spec": {"storageClassName": "shared", "accessModes": ["ReadWriteMany"], "resources": {"requests": size}},
    }
    return volume, claim
