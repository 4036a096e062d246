"""Filling a control plane with what an inventory says: fake nodes, facts, storage classes, volumes."""

import secrets
import time
from collections import Counter

from testbed import objects
from testbed.errors import TestbedError
from testbed.inventory import Inventory
from testbed.kubectl import Kubectl

# Two field managers, as on a real cluster: a kubelet says what its node is, an administrator vouches for facts.
_KUBELET = "testbed-kubelet"
_ADMINISTRATOR = "testbed-administrator"


def fill(kubectl: Kubectl, inventory: Inventory) -> None:
    """Make nodes, facts and volumes what the inventory says; other nodes of ours are removed."""
    names = {node.name for node in inventory.nodes}
    ours = {node["metadata"]["name"] for node in kubectl.items("nodes", "-l", f"{objects.OWNED_LABEL}=node")}
    if surplus := sorted(ours - names):
        kubectl("delete", "node", "--wait=false", *surplus)
    kubectl.apply(map(objects.node, inventory.nodes), _KUBELET)
    kubectl.apply(map(objects.facts, inventory.nodes), _ADMINISTRATOR)
    kubectl.apply(map(objects.storage_class, inventory.regions), _ADMINISTRATOR)
    _top_up_volumes(kubectl, inventory)
    _wait_for_nodes(kubectl, names)


def empty(kubectl: Kubectl) -> None:
    """Remove all that `fill` made: for a control plane that is not ours to delete."""
    ours = ["-l", objects.OWNED_LABEL, "--ignore-not-found", "--wait=false"]
    kubectl("delete", "nodes,persistentvolumes,storageclasses", *ours)


def add_volumes(kubectl: Kubectl, region: str, count: int, size: str) -> list[str]:
    """Add `count` volumes of `size` (a quantity) that only nodes of `region` can reach; their names."""
    added = list(objects.volumes(region, count, size, secrets.token_hex(3)))
    kubectl.apply(added, _ADMINISTRATOR)
    return [volume["metadata"]["name"] for volume in added]


def _wait_for_nodes(kubectl: Kubectl, names: set[str]) -> None:
    deadline = time.monotonic() + 60 + len(names) / 10
    while waiting := names - ready_nodes(kubectl, "-l", f"{objects.OWNED_LABEL}=node"):
        if time.monotonic() > deadline:
            some = ", ".join(sorted(waiting)[:5])
            raise TestbedError(f"{len(waiting)} of {len(names)} nodes do not get Ready: {some}; see kwok's log")
        time.sleep(0.1)


def ready_nodes(kubectl: Kubectl, *narrowed: str) -> set[str]:
    """Names of the nodes that are Ready, of all or of those that a selector narrows them to."""
    ready = {"type": "Ready", "status": "True"}
    return {
        node["metadata"]["name"]
        for node in kubectl.items("nodes", *narrowed)
        if any(ready.items() <= condition.items() for condition in node.get("status", {}).get("conditions", ()))
    }


def _top_up_volumes(kubectl: Kubectl, inventory: Inventory) -> None:
    # The volumes of deleted claims stay Released for good. There is no data on them to keep: new ones replace them.
    free: Counter[str] = Counter()
    used_up = []
    for volume in kubectl.items("persistentvolumes", "-l", f"{objects.OWNED_LABEL}=volume"):
        phase = volume.get("status", {}).get("phase", "Pending")
        free[volume["spec"]["storageClassName"]] += phase in ("Pending", "Available")
        if phase in ("Released", "Failed"):
            used_up.append(volume["metadata"]["name"])
    if used_up:
        kubectl("delete", "persistentvolume", "--wait=false", *used_up)
    for region in inventory.regions:
        missing = inventory.volumes_per_region - free[objects.storage_class_name(region)]
        add_volumes(kubectl, region, max(0, missing), inventory.volume_size)
