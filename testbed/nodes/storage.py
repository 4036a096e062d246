"""Volumes of the real nodes: folders of this machine that every node of one region has, and no other."""

import secrets
from collections.abc import Iterator
from pathlib import Path

from testbed.kubectl import Kubectl
from testbed.nodes.layout import Layout
from testbed.nodes.node import VOLUMES
from testbed.objects import OWNED_LABEL, Object, volume

_PER_REGION = 6
_SIZE = "2Gi"
_REAL = {OWNED_LABEL: "real-volume"}


def class_name(region: str) -> str:
    """Name of the storage class whose volumes lie in `region`, on real nodes."""
    return f"shared-{region}"


def classes(layout: Layout) -> Iterator[Object]:
    """A storage class for each region: volumes exist already, and bind when their first consumer is placed."""
    for region in layout.regions:
        yield {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": class_name(region)},
            "provisioner": "kubernetes.io/no-provisioner",
            "volumeBindingMode": "WaitForFirstConsumer",
            "reclaimPolicy": "Retain",
        }


def top_up(kubectl: Kubectl, layout: Layout, folder: Path, manager: str) -> None:
    """Replace the volumes of deleted claims by empty ones; what lay on them is gone then.

    Args:
        kubectl: with full rights.
        layout: the nodes.
        folder: the cluster's folder.
        manager: field manager of the volumes.
    """
    found = kubectl.items("persistentvolumes", "-l", f"{OWNED_LABEL}=real-volume")
    used_up = [one for one in found if one.get("status", {}).get("phase") in ("Released", "Failed")]
    if used_up:
        kubectl("delete", "persistentvolume", "--wait=false", *(one["metadata"]["name"] for one in used_up))
    for region in layout.regions:
        kept = [one for one in found if one not in used_up and _region(one) == region]
        free = [one for one in kept if one.get("status", {}).get("phase", "Pending") != "Bound"]
        kubectl.apply(_volumes(region, max(0, _PER_REGION - len(free)), folder / "volumes" / region), manager)


def _region(found: Object) -> str:
    return str(found["spec"]["storageClassName"]).removeprefix("shared-")


def _volumes(region: str, count: int, folder: Path) -> Iterator[Object]:
    for _ in range(count):
        name = f"{region}-shared-{secrets.token_hex(4)}"
        (folder / name).mkdir(mode=0o775, parents=True)
        yield volume(name, _REAL, region, class_name(region), _SIZE, f"{VOLUMES}/{name}")
