"""What a run takes place on: a control plane with the chart installed, its processes, and an API client with full rights."""

import base64
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from charts import sync
from sovereign.cluster.client import ApiError, Client
from testbed import Cluster, process, services, state
from testbed.chaos.replica import Replica
from testbed.helm import Helm
from testbed.services import Service

Manifest = dict[str, Any]
GONE = (HTTPStatus.NOT_FOUND,)


def install(cluster: Cluster, home: Path) -> Path:
    """Install the chart with no operator pods (fake nodes run nothing); the kubeconfig of its service account."""
    values = sync.CHART / "ci" / "digest-values.yaml"
    place = [f"--namespace={sync.NAMESPACE}", "--create-namespace", "--wait"]
    helm = Helm(home, cluster.kubeconfig)
    helm("upgrade", "--install", sync.RELEASE, sync.CHART, *place, "--values", values, "--set=replicas=0")
    return cluster.service_account_kubeconfig(sync.NAMESPACE, "sovereign-operator")


@dataclass
class Stage:
    """All that faults and operations act upon."""

    cluster: Cluster
    client: Client
    replicas: tuple[Replica, Replica]

    async def leader(self) -> Replica:
        """The replica that leads; the first when none does."""
        for replica in self.replicas:
            if await replica.leads():
                return replica
        return self.replicas[0]

    async def standby(self) -> Replica:
        """The other one."""
        leader = await self.leader()
        return next(replica for replica in self.replicas if replica is not leader)

    # --- the control plane's own processes -------------------------------------------------------------

    def kill_api_server(self) -> None:
        """As a machine that loses power: at once."""
        process.stop([self._api_server.pidfile(self.cluster.dir)])

    def start_api_server(self) -> None:
        """Start it and wait until it is ready.

        Raises:
            TestbedError: it does not get ready.
        """
        services.ensure_ready(self.cluster.dir, [self._api_server])

    @property
    def _api_server(self) -> Service:
        return next(service for service in self.cluster.services() if service.name == "kube-apiserver")

    async def compact(self) -> None:
        """Have etcd forget all that is older than now."""
        known = state.load(self.cluster.dir)
        assert known is not None
        url = f"http://127.0.0.1:{known.ports['etcd']}/v3/kv"
        async with aiohttp.ClientSession() as session:
            key = {"key": base64.b64encode(b"/").decode()}
            async with session.post(f"{url}/range", json=key) as answer:
                revision = (await answer.json())["header"]["revision"]
            async with session.post(f"{url}/compaction", json={"revision": revision, "physical": True}) as answer:
                assert answer.status == HTTPStatus.OK, await answer.text()

    # --- objects ---------------------------------------------------------------------------------------

    async def forget(self, path: str) -> None:
        """Delete an object, if it is there."""
        try:
            await self.client.delete(path, {"propagationPolicy": "Background"})
        except ApiError as error:
            if error.status not in GONE:
                raise


Work = Callable[[], Coroutine[Any, Any, None]]
