"""Carrying out the operations of the workload, each until it is done or refused for good."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

import aiohttp

from sovereign.api.meta import FACT_JURISDICTION, FACT_REGION
from sovereign.cluster.client import APPLY, ApiError, Client
from sovereign.cluster.resources import BY_KIND, NAMESPACES, NODES, PODS
from testbed import inventory, objects, paths
from testbed.chaos.workload import RUNTIME, Operation
from testbed.objects import shared_claim

Manifest = dict[str, Any]
_USER: Final = {"fieldManager": "chaos", "force": "true"}
_RETRY: Final = 0.3
_UNREACHABLE: Final = (aiohttp.ClientError, OSError, TimeoutError)
_TRANSIENT: Final = (HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS)
_REFUSED: Final = (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY)


async def persist(work: Callable[[], Awaitable[None]]) -> None:
    """Do it again for as long as the API server does not answer, or is not able to.

    Raises:
        ApiError: it was refused.
    """
    while True:
        try:
            return await work()
        except ApiError as error:
            if error.status not in _TRANSIENT and error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
        except _UNREACHABLE:
            pass
        await asyncio.sleep(_RETRY)


class Hands:
    """Acts with full rights, where the rules let it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._nodes = {node.name: node for node in inventory.load(paths.DEFAULT_INVENTORY).nodes}
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        """Operations that a rule of ours, or of the API server, did not let pass."""
        self.pending: Counter[str] = Counter()

    async def carry_out(self, operation: Operation) -> None:
        """Do one operation; returns when it is done, there was nothing to do it to, or it was refused."""
        act: Callable[..., Awaitable[None]] = getattr(self, operation.what)
        self.pending[operation.what] += 1
        try:
            await persist(lambda: act(**operation.arguments))
        except ApiError as error:
            if error.not_found:
                return
            if error.status not in _REFUSED:
                raise
            self.refused[operation.what] += 1
        else:
            self.done[operation.what] += 1
        finally:
            self.pending -= Counter((operation.what,))

    async def apply(self, manifest: Manifest) -> None:
        """Create or update an object."""
        metadata = manifest["metadata"]
        path = BY_KIND[manifest["kind"]].path(metadata.get("namespace", ""), metadata["name"])
        await self._client.patch(path, manifest, kind=APPLY, params=_USER)

    async def remove(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object."""
        await self._client.delete(BY_KIND[kind].path(namespace, name), {"propagationPolicy": "Background"})

    async def edit(self, kind: str, namespace: str, name: str, patch: Manifest) -> None:
        """Change what is the operator's."""
        params = {"fieldManager": "intruder"}
        await self._client.patch(BY_KIND[kind].path(namespace, name), patch, params=params)

    async def scale(self, namespace: str, name: str, replicas: int) -> None:
        """Scale a pool, as an autoscaler does."""
        path = BY_KIND["InferencePool"].path(namespace, name, "scale")
        await self._client.patch(path, {"spec": {"replicas": replicas}}, params={"fieldManager": "scaler"})

    async def namespace(self, name: str, tier: str | None) -> None:
        """Have a namespace with this tier, or with none."""
        labels = {"tier": tier} if tier else {}
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        await self._client.patch(NAMESPACES.path(name=name), manifest, kind=APPLY, params=_USER)

    async def claim(self, namespace: str) -> None:
        """A claim `weights` and its volume, which nothing ties to a node."""
        for manifest in shared_claim(namespace):
            await self.apply(manifest)

    async def facts(self, node: str, jurisdiction: str | None, region: str | None) -> None:
        """Vouch for where a node is, or for it no more."""
        labels = {FACT_JURISDICTION: jurisdiction, FACT_REGION: region}
        await self._client.patch(NODES.path(name=node), {"metadata": {"labels": labels}})

    async def recreate(self, node: str) -> None:
        """Delete a node, and have it join again under its name once it may; the administrator vouches for it anew."""
        spec = self._nodes[node]
        try:
            await self._client.delete(NODES.path(name=node))
        except ApiError as error:
            if not error.not_found:
                raise
        while True:
            try:
                await self._client.create(NODES.path(), json.loads(json.dumps(objects.node(spec))))
                break
            except ApiError as error:
                if error.conflict:
                    break
                if error.status not in _REFUSED:
                    raise
                await asyncio.sleep(_RETRY)  # its name is still on an approved list
        labels = objects.facts(spec)["metadata"]["labels"]
        await self._client.patch(NODES.path(name=node), {"metadata": {"labels": labels}})

    async def bare_pod(self, namespace: str, name: str, node: str | None) -> None:
        """A tenant's own pod, which may ask for any node."""
        security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True}
        container = {
            "name": "c",
            "image": RUNTIME,
            "securityContext": security | {"seccompProfile": {"type": "RuntimeDefault"}},
        }
        spec: Manifest = {"containers": [container], "automountServiceAccountToken": False}
        if node:
            spec["nodeName"] = node
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}
        try:
            await self._client.create(PODS.path(namespace), pod)
        except ApiError as error:
            if not error.conflict:
                raise
