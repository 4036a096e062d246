"""The nodes and volumes that a test cluster is to have, read from a YAML file such as ``inventory.yaml``."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from testbed.errors import TestbedError


@dataclass(frozen=True)
class Gpu:
    """The accelerators of one node, as GPU feature discovery labels them."""

    product: str
    count: int
    memory_mib: int  # of each GPU, MiB


@dataclass(frozen=True)
class FakeNode:
    """One node: what its kubelet would say of itself, and what an administrator vouches for."""

    name: str
    region: str
    zone: str | None = None
    jurisdiction: str | None = None  # None: nobody vouches for this node, it has no facts
    provider: str | None = None
    gpu: Gpu | None = None
    cpu: str = "64"
    memory: str = "512Gi"
    pods: int = 110


@dataclass(frozen=True)
class Inventory:
    """All nodes, and how many volumes each of their regions has to offer."""

    nodes: tuple[FakeNode, ...]
    volumes_per_region: int
    volume_size: str
    digest: str  # of the file; tells whether a running cluster was filled from the same one

    @property
    def regions(self) -> list[str]:
        """Regions that somebody vouches for, sorted; others have no volumes, whose affinity is to a fact."""
        return sorted({node.region for node in self.nodes if node.jurisdiction})


_Types = Mapping[str, type | tuple[type, ...]]

_TOP: _Types = {"volumesPerRegion": int, "volumeSize": str, "nodes": list}
_NODE: _Types = {
    "name": str,
    "replicas": int,
    "region": str,
    "zones": list,
    "jurisdiction": str,
    "provider": str,
    "gpu": dict,
    "cpu": (str, int),
    "memory": str,
    "pods": int,
}
_GPU: _Types = {"product": str, "count": int, "memoryMiB": int}


def load(path: Path) -> Inventory:
    """Read and check an inventory file.

    Raises:
        TestbedError: no such file, not YAML, an unknown or missing field, a wrong type, or a node named
        twice.
    """
    try:
        text = path.read_text()
        document = yaml.safe_load(text)
    except (OSError, yaml.YAMLError) as error:
        raise TestbedError(f"inventory {path}: {error}") from error
    top = _checked(document, _TOP, {"nodes"}, str(path))
    nodes = tuple(node for group in top["nodes"] for node in _expand(group, str(path)))
    names = [node.name for node in nodes]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TestbedError(f"{path}: named twice: {', '.join(twice)}; give each group a name of its own")
    return Inventory(
        nodes=nodes,
        volumes_per_region=top.get("volumesPerRegion", 20),
        volume_size=top.get("volumeSize", "500Gi"),
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )


def _expand(group: Any, where: str) -> Iterator[FakeNode]:
    fields = _checked(group, _NODE, {"name", "region"}, where)
    where = f"{where}: {fields['name']}"
    if "provider" in fields and "jurisdiction" not in fields:
        raise TestbedError(f"{where}: a provider is a fact; give the jurisdiction too, or neither")
    gpu = _gpu(fields["gpu"], where) if "gpu" in fields else None
    sizes = {key: str(fields[key]) for key in ("cpu", "memory") if key in fields}
    zones = fields.get("zones") or [None]
    for index in range(fields.get("replicas", 1)):
        yield FakeNode(
            name=f"{fields['name']}-{index + 1}",
            region=fields["region"],
            zone=zones[index % len(zones)],
            jurisdiction=fields.get("jurisdiction"),
            provider=fields.get("provider"),
            gpu=gpu,
            pods=fields.get("pods", 110),
            **sizes,
        )


def _gpu(value: Any, where: str) -> Gpu:
    fields = _checked(value, _GPU, set(_GPU), f"{where}: gpu")
    return Gpu(product=fields["product"], count=fields["count"], memory_mib=fields["memoryMiB"])


def _checked(
    value: Any, types: Mapping[str, type | tuple[type, ...]], required: set[str], where: str
) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TestbedError(f"{where}: expected a mapping, found {type(value).__name__}")
    if unknown := sorted(set(value) - set(types)):
        raise TestbedError(f"{where}: unknown field {', '.join(unknown)}; known are {', '.join(types)}")
    if missing := sorted(required - set(value)):
        raise TestbedError(f"{where}: {', '.join(missing)} is missing")
    for key, found in value.items():
        # YAML reads `jurisdiction: NO` as false: say so rather than look for a country of that name.
        if isinstance(found, bool) or not isinstance(found, types[key]):
            raise TestbedError(f"{where}: {key}: {found!r} has the wrong type (text may need quotes)")
    return value
