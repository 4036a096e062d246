"""A busy day, compressed: what happens around an operator in an hour, one hour after the other without waiting in between.

A simulated hour has

- so many new models with pools, of which each gets a pod; each pool changed twice; and the models and pools of the hour before deleted;
- a heartbeat of each node every five minutes (the kubelet's nodeStatusReportFrequency), twelve in an hour;
- one gap: all watches break and the API server says that their versions are too old (410), so everything is listed again.

Nothing that a clock brings is sped up: what the operator does by the hour (evidence, its lease) it does as often as the minutes that
the day really takes have it.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from aiohttp import web

from bench import objects
from bench.ground import Ground, many, wait
from sovereign.api.meta import LABEL_POOL
from sovereign.cluster.client import MERGE, Client
from sovereign.cluster.resources import BY_KIND, NODES, PODS
from testbed.chaos import proxy
from testbed.chaos.operator import Process
from testbed.chaos.proxy import Proxy

HEARTBEATS: Final = 12
MODELS: Final = BY_KIND["SovereignModel"]
POOLS: Final = BY_KIND["InferencePool"]
STRATEGIC: Final = "application/strategic-merge-patch+json"
_CHANGES: Final = ({"replicas": 1}, {"runtime": {"env": [{"name": "OMP_NUM_THREADS", "value": "2"}]}})
"""Of each pool, one after the other: a pod, and another template for it."""


class Day:
    """Hours around one operator, in a namespace that has weights."""

    def __init__(self, ground: Ground, place: str, models: int) -> None:
        self._ground = ground
        self._place = place
        self._models = models
        self._hour = 0
        self._clock = datetime.now(UTC)

    @contextmanager
    def operator(self) -> Iterator[Process]:
        """An operator that leads, and reaches the API server through a proxy which can break its watches."""
        with Proxy(self._ground.kubeconfig, Path(self._ground.folder)) as self._proxy:
            program = self._ground.leading(KUBECONFIG=str(self._proxy.kubeconfig))
            try:
                yield program
            finally:
                program.stop()

    def hour(self, program: Process) -> None:
        """Have an hour pass, and the operator come to rest."""
        self._hour += 1
        self._ground.run(self._changes)
        self._gap()
        self._ground.settle(program, quiet=0.3)

    async def _changes(self, client: Client) -> None:
        names = self._names(self._hour)
        await many(self._create(client, name) for name in names)
        for change in _CHANGES:
            await many(client.patch(POOLS.path(self._place, name), {"spec": change}, kind=MERGE) for name in names)
        await self._heartbeats(client)
        await self._have_pods(client, names)
        before = self._names(self._hour - 1)
        for resource in (POOLS, MODELS):
            await many(client.delete(resource.path(self._place, name)) for name in before)

    async def _create(self, client: Client, name: str) -> None:
        await client.create(MODELS.path(self._place), objects.model(self._place, name))
        await client.create(POOLS.path(self._place), objects.pool(self._place, name))

    def _names(self, hour: int) -> list[str]:
        return [f"h{hour}-{number}" for number in range(self._models)] if hour else []

    async def _heartbeats(self, client: Client) -> None:
        nodes = [node["metadata"]["name"] for node in (await client.get(NODES.path()))["items"]]
        for _ in range(HEARTBEATS):
            self._clock += timedelta(minutes=5)
            now = self._clock.strftime("%Y-%m-%dT%H:%M:%SZ")
            beat = {"status": {"conditions": [{"type": "Ready", "lastHeartbeatTime": now}]}}
            await many(client.patch(NODES.path("", name, "status"), beat, kind=STRATEGIC) for name in nodes)

    async def _have_pods(self, client: Client, names: list[str]) -> None:
        """Wait until each pool has a pod on a node."""
        lacking = set(names)
        while lacking:
            async for page in client.pages(PODS.path(self._place), {"labelSelector": LABEL_POOL}):
                placed = (pod for pod in page["items"] if pod["spec"].get("nodeName"))
                lacking -= {pod["metadata"]["labels"][LABEL_POOL] for pod in placed}
            await asyncio.sleep(0.1)

    def _gap(self) -> None:
        """Break all watches, and refuse the next of each collection."""
        refused: set[tuple[str, ...]] = set()

        def fault(request: web.Request) -> web.Response | None:
            collection = (request.path, request.query.get("labelSelector", ""), request.query.get("fieldSelector", ""))
            if not proxy.watches(request) or collection in refused:
                return None
            refused.add(collection)
            return proxy.status(410, "Expired")

        before = self._proxy.watching
        self._proxy.fault = fault
        self._proxy.cut()
        wait("all watches to be refused once", lambda: len(refused) >= before, patience=60.0)
        self._proxy.heal()
