"""What a run takes place on: a control plane with the chart installed, its processes, and an API client with full rights."""

import base64
import contextlib
import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from charts import sync
from sovereign.cluster.client import ApiError, Client
from testbed import Cluster, process, services, state
from testbed.chaos.replica import Replica
from testbed.errors import TestbedError
from testbed.helm import Helm
from testbed.services import Service

Manifest = dict[str, Any]


def install(cluster: Cluster, home: Path) -> Path:
    """Install the chart with no operator pods (fake nodes run nothing); the kubeconfig of its service account."""
    values = sync.CHART / "ci" / "digest-values.yaml"
    place = [f"--namespace={sync.NAMESPACE}", "--create-namespace", "--wait"]
    helm = Helm(home, cluster.kubeconfig)
    helm("upgrade", "--install", sync.RELEASE, sync.CHART, *place, "--values", values, "--set=replicas=0")
    return cluster.service_account_kubeconfig(sync.NAMESPACE, "sovereign-operator")


def kill_api_server(cluster: Cluster) -> None:
    """As a machine that loses power: at once."""
    process.stop([_api_server(cluster).pidfile(cluster.dir)])


def start_api_server(cluster: Cluster) -> None:
    """Start it and wait until it is ready.

    Raises:
        TestbedError: it does not get ready.
    """
    services.ensure_ready(cluster.dir, [_api_server(cluster)])


def compact(cluster: Cluster) -> None:
    """Have etcd forget all that is older than now, through its JSON gateway."""
    known = state.load(cluster.dir)
    assert known is not None
    address = f"127.0.0.1:{known.ports['etcd']}"
    revision = _etcd(address, "range", {"key": base64.b64encode(b"/").decode()})["header"]["revision"]
    _etcd(address, "compaction", {"revision": revision, "physical": True})


def _etcd(address: str, method: str, body: Manifest) -> Manifest:
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        connection.request("POST", f"/v3/kv/{method}", json.dumps(body))
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise TestbedError(f"etcd: {method}: {text.decode()}")
    found: Manifest = json.loads(text)
    return found


def _api_server(cluster: Cluster) -> Service:
    return next(service for service in cluster.services() if service.name == "kube-apiserver")


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

    # --- objects ---------------------------------------------------------------------------------------

    async def forget(self, path: str) -> None:
        """Delete an object, if it is there and the API server lets it."""
        with contextlib.suppress(ApiError, aiohttp.ClientError, OSError, TimeoutError):
            await self.client.delete(path, {"propagationPolicy": "Background"})
