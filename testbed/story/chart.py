"""How the operator is installed on real nodes."""

import json
from collections.abc import Sequence

from charts import sync


def place() -> Sequence[str]:
    """Where the release goes, and that helm is to wait for it."""
    return (f"--namespace={sync.NAMESPACE}", "--create-namespace", "--wait", "--timeout=120s")


def values(image: str, server: str) -> Sequence[str]:
    """The chart's values for an image by digest and the API server's URL."""
    repository, _, digest = image.partition("@")
    return (
        f"--set=image.repository={repository},image.digest={digest}",
        f"--set-json=networkPolicy.egress={json.dumps(_egress(server))}",
        "--set=resources.requests.cpu=50m,log.format=text",
    )


def _egress(server: str) -> list[dict[str, object]]:
    """The API server, wherever this cluster has it."""
    host, _, port = server.removeprefix("https://").rpartition(":")
    return [{"to": [{"ipBlock": {"cidr": f"{host}/32"}}], "ports": [{"port": int(port), "protocol": "TCP"}]}]
