"""Forgetting what was deleted while nobody watched. Of what kopf watches only: the caches notice by themselves."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Final

import aiohttp

from sovereign.cluster.client import ApiError, Client
from sovereign.cluster.resources import NAMESPACES, SELDOM, Resource
from sovereign.controllers.dispatch import Dispatcher
from sovereign.controllers.store import Store

logger = logging.getLogger(__name__)
GATHER: Final = 0.5
"""Seconds in which further kinds may be listed again: a gap is one of all watches as a rule."""
RETRY: Final = 2.0
_BY_PATH: Final = {resource.path(): resource for resource in SELDOM}
Name = tuple[str, str]


class Sweep:
    """Looks for what is gone when a collection was listed again."""

    def __init__(self, client: Client, store: Store, dispatcher: Dispatcher) -> None:
        self._client = client
        self._store = store
        self._dispatcher = dispatcher
        self._due: set[Resource] = set()
        self._wake = asyncio.Event()
        self.paths: Final = frozenset(_BY_PATH)
        """Of the collections that are looked after."""

    def listed_again(self, path: str) -> None:
        """The collection at ``path`` was listed, and not for the first time."""
        self._due.add(_BY_PATH[path])
        self._wake.set()

    async def run(self) -> None:
        """Sweep when there is reason to, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(GATHER)
            for resource in tuple(self._due):
                try:
                    await self._sweep(resource)
                except (ApiError, aiohttp.ClientError, OSError, TimeoutError) as error:
                    logger.warning("Cannot see which %s are gone, trying again: %s", resource.plural, error)
                    self._wake.set()
                    await asyncio.sleep(RETRY)
                else:
                    self._due.discard(resource)

    async def _sweep(self, resource: Resource) -> None:
        known = set(self._known(resource))
        for namespace, name in sorted(known - await self._listed(resource)):
            if await self._gone(resource, namespace, name):
                logger.info(
                    "%s %s was deleted while nobody watched", resource.kind, "/".join((namespace, name)).strip("/")
                )
                self._forget(resource, namespace, name)

    def _known(self, resource: Resource) -> Iterable[Name]:
        if resource is NAMESPACES:
            return (("", name) for name in self._store.namespaces)
        return ((key.namespace, key.name) for key in self._store.objects if key.kind == resource.kind)

    async def _listed(self, resource: Resource) -> set[Name]:
        return {
            (item["metadata"].get("namespace", ""), item["metadata"]["name"])
            async for page in self._client.pages(resource.path())
            for item in page["items"]
        }

    async def _gone(self, resource: Resource, namespace: str, name: str) -> bool:
        """Asked once more: it may have been made since the listing."""
        try:
            await self._client.get(resource.path(namespace, name))
        except ApiError as error:
            if not error.not_found:
                raise
            return True
        return False

    def _forget(self, resource: Resource, namespace: str, name: str) -> None:
        metadata = {"name": name, "uid": "", "resourceVersion": "0"} | ({"namespace": namespace} if namespace else {})
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "spec": {}}
        take = self._dispatcher.namespace if resource is NAMESPACES else self._dispatcher.ours
        take(True, body)
