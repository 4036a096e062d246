"""How the operator is installed on real nodes."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from charts import sync

API = "kubernetes.io/service-name=kubernetes"
"""The label of the EndpointSlice, in the namespace default, that has the API server's addresses."""

Manifest = Mapping[str, Any]


def place() -> Sequence[str]:
    """Where the release goes, and that helm is to wait for it."""
    return (f"--namespace={sync.NAMESPACE}", "--create-namespace", "--wait", "--timeout=120s")


def values(image: str, api: Manifest) -> Sequence[str]:
    """The chart's values for an image by digest, and the API server's EndpointSlice: where the operator may connect to."""
    repository, _, digest = image.partition("@")
    return (
        f"--set=image.repository={repository},image.digest={digest}",
        f"--set-json=networkPolicy.egress={json.dumps(_egress(api))}",
        "--set=resources.requests.cpu=50m,log.format=text",
    )


def _egress(api: Manifest) -> list[dict[str, object]]:
    peers = [{"ipBlock": {"cidr": f"{address}/32"}} for entry in api["endpoints"] for address in entry["addresses"]]
    return [{"to": peers, "ports": [{"port": port["port"], "protocol": "TCP"} for port in api["ports"]]}]
