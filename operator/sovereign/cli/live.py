"""What is known of a cluster, read from its API server."""

import asyncio
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError

from sovereign.api.kinds import BY_KIND
from sovereign.cli.cluster import ask, every
from sovereign.cli.failure import CommandFailed
from sovereign.cli.snapshot import Snapshot
from sovereign.cluster import rows
from sovereign.cluster.client import ApiError, Client
from sovereign.cluster.resources import NAMESPACES, NODES, OURS, PODS, Resource
from sovereign.cluster.rows import Pod
from sovereign.plan.inventory import Node, Owner


def from_cluster(kubeconfig: str, *, pods: bool = False) -> Snapshot:
    """All nodes, namespaces and objects of ours of a cluster, and its pods where asked for. Some lists, and nothing is written.

    Raises:
        CommandFailed: the cluster does not answer, refuses, or does not have our kinds.
    """

    async def everything(client: Client) -> Snapshot:
        snapshot = await read(client)
        if pods:
            snapshot.pods = await _pods(client)
        return snapshot

    return ask(kubeconfig, everything)


async def read(client: Client) -> Snapshot:
    """The snapshot of the cluster that ``client`` talks to.

    Raises:
        CommandFailed: a list is refused, or a kind of ours is not installed.
    """
    nodes, namespaces, *ours = await asyncio.gather(
        *(_listed(client, resource) for resource in (NODES, NAMESPACES, *OURS))
    )
    snapshot = Snapshot(nodes=[])
    for manifest in nodes:
        snapshot.add_node(Node.from_manifest(manifest))
    for manifest in namespaces:
        snapshot.namespaces[manifest["metadata"]["name"]] = dict(manifest["metadata"].get("labels") or {})
    for manifest in (manifest for items in ours for manifest in items):
        _add(snapshot, manifest)
    return snapshot


async def _listed(client: Client, resource: Resource) -> list[dict[str, Any]]:
    try:
        return await every(client, resource)
    except ApiError as error:
        if error.not_found:
            message = f"the cluster has no {resource.kind}; `kubectl sovereign doctor` says what is missing"
            raise CommandFailed(message) from error
        raise CommandFailed(f"{resource.plural} cannot be read: {error.message}") from error


async def _pods(client: Client) -> list[Pod] | None:
    """All pods; None for those who may not see them."""
    try:
        return [rows.pod(manifest) for manifest in await every(client, PODS)]
    except ApiError as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        return None


def _add(snapshot: Snapshot, manifest: dict[str, Any]) -> None:
    metadata = manifest["metadata"]
    owner = Owner(
        kind=manifest["kind"],
        name=metadata["name"],
        uid=metadata["uid"],
        namespace=metadata.get("namespace", ""),
        generation=metadata.get("generation", 0),
        labels=dict(metadata.get("labels") or {}),
    )
    try:
        # Not as strictly as files are read: what an older API server or operator let in must be explained too.
        snapshot.add(owner, BY_KIND[owner.kind].parse(manifest), manifest.get("status") or {})
    except ValidationError as error:
        detail = error.errors()[0]
        where = ".".join(("spec", *map(str, detail["loc"])))
        message = f"{where}: {detail['msg'].removeprefix('Value error, ')}"
        snapshot.invalid[owner.kind, owner.namespace, owner.name] = message
