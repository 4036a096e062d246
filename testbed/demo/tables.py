"""Tables made of what the API server says: pure, manifests in and rows out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from testbed.objects import FACT_PREFIX

Manifest = Mapping[str, Any]
Row = tuple[str, ...]

NODES = ("jurisdiction", "region", "provider", "node", "GPUs")
REJECTIONS = ("node", "rejected by the rule", "it has")
REPLICAS = ("model", "pool", "replica", "node", "region", "jurisdiction")


def fact(node: Manifest, name: str) -> str:
    """What an administrator vouches for; empty when nobody does."""
    found: str = node["metadata"].get("labels", {}).get(f"{FACT_PREFIX}/{name}", "")
    return found


def nodes(found: Iterable[Manifest]) -> list[Row]:
    """One row for each node, by jurisdiction; those that nobody vouches for last."""
    ordered = sorted(found, key=lambda node: (fact(node, "jurisdiction") or "~", node["metadata"]["name"]))
    return [
        (
            fact(node, "jurisdiction") or "(no facts)",
            fact(node, "region") or "-",
            fact(node, "provider") or "-",
            node["metadata"]["name"],
            _gpus(node),
        )
        for node in ordered
    ]


def rejections(policy: Manifest) -> list[Row]:
    """One row for each node that the policy's status rejects."""
    return [
        (entry["node"], entry["rule"], entry.get("found") or "no such fact") for entry in policy["status"]["rejections"]
    ]


def replicas(pools: Iterable[Manifest], pods: Sequence[Manifest], found: Iterable[Manifest]) -> list[Row]:
    """One row for each pod of each pool, with the facts of its node."""
    by_name = {node["metadata"]["name"]: node for node in found}
    rows: list[Row] = []
    for pool in pools:
        name = pool["metadata"]["name"]
        mine = [pod for pod in pods if pod["metadata"].get("labels", {}).get("sovereignai.io/pool") == name]
        for pod in sorted(mine, key=lambda pod: str(pod["metadata"]["name"])):
            node = by_name.get(node_of(pod), {"metadata": {}})
            place = (node_of(pod) or "(none)", fact(node, "region") or "-", fact(node, "jurisdiction") or "-")
            rows.append((pool["spec"]["modelRef"]["name"], name, pod["metadata"]["name"], *place))
    return rows


def node_of(pod: Manifest) -> str:
    """The node of a pod; empty while it has none."""
    found: str = pod["spec"].get("nodeName", "")
    return found


def staying(pods: Iterable[Manifest]) -> list[Manifest]:
    """The pods that are not ending."""
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def serving(slices: Iterable[Manifest]) -> set[str]:
    """Names of the pods that EndpointSlices send requests to."""
    endpoints = [endpoint for entry in slices for endpoint in entry.get("endpoints") or []]
    return {endpoint["targetRef"]["name"] for endpoint in endpoints if endpoint["conditions"].get("ready")}


def condition(found: Manifest | None, type_: str) -> Manifest:
    """One condition of an object; empty when it is not there."""
    conditions = ((found or {}).get("status") or {}).get("conditions") or []
    return next((entry for entry in conditions if entry["type"] == type_), {})


def telling(columns: Row, rows: Sequence[Row]) -> tuple[Row, list[Row]]:
    """A table without the columns in which no row has anything."""
    kept = [index for index in range(len(columns)) if any(row[index] != "-" for row in rows)]
    return tuple(columns[index] for index in kept), [tuple(row[index] for index in kept) for row in rows]


def _gpus(node: Manifest) -> str:
    labels = node["metadata"].get("labels", {})
    count, product = labels.get("nvidia.com/gpu.count"), labels.get("nvidia.com/gpu.product", "")
    return f"{count} x {product}" if count else "-"
