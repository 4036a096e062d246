"""A stand-in for a peer's operator: for each Widget it makes a ConfigMap that the Widget owns, and sets a condition. Nobody's figure."""

import asyncio
import sys
from pathlib import Path

from sovereign.cluster.client import Client
from sovereign.cluster.connection import from_kubeconfig

WIDGETS = "/apis/standin.example.eu/v1/widgets"
CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.standin.example.eu}
spec:
  group: standin.example.eu
  scope: Namespaced
  names: {kind: Widget, listKind: WidgetList, plural: widgets, singular: widget}
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}}
      schema:
        openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
"""
TEMPLATE = """\
apiVersion: standin.example.eu/v1
kind: Widget
metadata:
  name: {{name}}
  namespace: {{namespace}}
spec: {size: 1}
"""


async def main(kubeconfig: Path) -> None:
    """Run until a signal."""
    async with Client(from_kubeconfig(kubeconfig), "standin/1") as client:
        async for event in client.watch(WIDGETS, {"resourceVersion": "0", "timeoutSeconds": "3600"}):
            if event["type"] == "ADDED":
                await _make(client, event["object"]["metadata"])


async def _make(client: Client, metadata: dict[str, str]) -> None:
    name, place = metadata["name"], metadata["namespace"]
    owner = {"apiVersion": "standin.example.eu/v1", "kind": "Widget", "name": name, "uid": metadata["uid"]}
    await client.create(
        f"/api/v1/namespaces/{place}/configmaps",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "ownerReferences": [owner]}},
    )
    await client.patch(
        f"/apis/standin.example.eu/v1/namespaces/{place}/widgets/{name}/status",
        {"status": {"conditions": [{"type": "Ready", "status": "True"}]}},
    )


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
