"""Nodes, as they come from the API server.

A real node is 10 to 30 kB of JSON, and its kubelet writes it every few minutes: images, conditions, addresses. Of that, the few
fields are read that placement needs; what is as before ends there.
"""

from typing import Final

import msgspec

from sovereign.cluster.forms import Metadata, Typed
from sovereign.plan.inventory import Node


class _Metadata(Metadata):
    uid: str = ""
    labels: dict[str, str] | None = None


class _Spec(msgspec.Struct, rename="camel"):
    unschedulable: bool | None = None
    provider_id: str | None = msgspec.field(name="providerID", default=None)


class _NodeInfo(msgspec.Struct):
    system_uuid: str | None = msgspec.field(name="systemUUID", default=None)


class _Status(msgspec.Struct, rename="camel"):
    allocatable: dict[str, str] | None = None
    node_info: _NodeInfo | None = None


class _Shape(msgspec.Struct):
    """What `Node.from_manifest` reads, and nothing else."""

    metadata: _Metadata
    spec: _Spec | None = None
    status: _Status | None = None


class NodeRow(msgspec.Struct):
    """A node, and the version that it was seen in."""

    name: str
    version: int
    node: Node
    namespace: str = ""


def _row(shape: _Shape) -> NodeRow:
    metadata, spec, status = shape.metadata, shape.spec or _Spec(), shape.status or _Status()
    node = Node(
        name=metadata.name,
        uid=metadata.uid,
        labels=metadata.labels or {},
        allocatable=status.allocatable or {},
        unschedulable=bool(spec.unschedulable),
        provider_id=spec.provider_id or "",
        system_uuid=(status.node_info.system_uuid if status.node_info else None) or "",
    )
    return NodeRow(metadata.name, metadata.version, node)


FORM: Final = Typed(_Shape, _row)


def inherit(old: NodeRow, new: NodeRow) -> None:
    """Keep one copy of what is as before."""
    if new.node == old.node:
        new.node = old.node
