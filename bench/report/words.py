"""What a metric is, in words; which bench finds it; and what the arms are that benches compare."""

from importlib import import_module
from inspect import cleandoc
from typing import Final

_BENCHES: Final = {"import": "weights"}
"""By the first part of a metric's name, where that is not the bench's own name."""

METRICS: Final = {
    "storm.over_bare": "objects per second, over the bare writer's",
    "storm.over_go": "objects per second, over those of the bare writer in Go",
    "storm.over_stock": "objects per second, over a stock kopf operator's",
    "storm.over_lean": "objects per second, over those of a stock kopf operator with our client",
    "storm.stock_cpu": "a stock kopf operator's CPU for a model with its pool",
    "storm.lean_cpu": "the same, with our client",
    "storm.over_peer": "objects per second, over the peer's",
    "storm.peer_requests": "the peer's requests for an object of its kind",
    "storm.peer_cpu": "the peer's CPU for an object of its kind",
    "storm.objects_per_second": "objects written per second",
    "storm.cpu_per_model": "the operator's CPU for a model with its pool",
    "storm.cpu_over_apiserver": "the operator's CPU, as a share of the API server's",
    "storm.apiserver_cpu": "the API server's CPU for a model with its pool",
    "storm.bare_apiserver_cpu": "the same, when the bare writer writes",
    "storm.etcd_cpu": "etcd's CPU for a model with its pool",
    "storm.slope": "the operator's CPU for a model, over that at a tenth of the size",
    "requests.create": "requests for a new model with its pool",
    "requests.change": "requests for the change of one field",
    "requests.delete": "requests for a deletion",
    "requests.rest": "requests at rest",
    "requests.events": "Events, which are not counted above",
    "first_child.p50_over_bare": "time to a new model's first child (median), over the bare writer's",
    "restart.writes": "writes of an operator that finds all in place",
    "restart.over_lists": "time until caught up, over raw lists of the same",
    "restart.seconds": "time until caught up",
    "restart.lists_seconds": "raw lists of the same",
    "failover.seconds": "from the end of the lease to the standby's first correct write",
    "drift.p99": "from a node's change to the request that repairs a pod, 99th percentile",
    "drift.cost_slope": "CPU for an affected pod, over that in a tenth of the cluster",
    "policy.seconds": "from a policy's change to the last write of admission",
    "policy.touched": "writes about pods and pools that the change does not affect",
    "heartbeat.cpu": "CPU for a node's status update that changes nothing",
    "heartbeat.requests": "requests about it",
    "memory.base": "resident, with nothing there",
    "memory.rss": "resident (RSS)",
    "memory.pss": "proportional (PSS)",
    "memory.over_budget": "peak RSS, over 60 MiB and 10 MiB for each thousand models",
    "memory.churn_growth": "growth over a simulated day of changes, after its first two hours",
    "admission.create_added": "added to the creation of a pod",
    "admission.create_cpu_added": "the API server's CPU, added to the creation of a pod",
    "admission.unpinned_added": "added to the creation of a pod that has to be pinned",
    "admission.unpinned_cpu_added": "the API server's CPU, added to that",
    "admission.bind_added": "added to a binding",
    "admission.bind_cpu_added": "the API server's CPU, added to a binding",
    "start.seconds": "from the start of the process to ready",
    "start.imports": "of that, importing Python's modules",
    "import.over_curl": "throughput, over curl's of the same bytes with the hash checked",
    "import.rate": "throughput",
    "import.cpu_per_gib": "the importer's CPU for a GiB",
    "import.curl_cpu_per_gib": "curl's CPU for a GiB",
    "import.fixed": "a file of a few bytes: what each import takes",
    "import.memory": "peak RSS with a large file",
    "import.memory_growth": "peak RSS with a large file, less that with a small one",
    "planner.pool": "`plan` of one pool",
    "planner.files": "`kubectl sovereign plan` of as many pools as nodes, from files",
}

ARMS: Final = {
    "bare writer": "the requests that the operator sends, sent by its own client with no operator around it: "
    "nothing is watched, planned or compared",
    "bare writer in Go": "the same requests, sent by client-go",
    "ours": "the operator, as the chart installs it, with canaries left out",
    "stock kopf operator": "`on.create`, `on.update` and `on.resume` handlers that write the same children and a status, "
    "with the `kubernetes` package, as kopf's documentation shows it",
    "stock kopf operator with our client": "the same, but its children are written through this project's client, "
    "which shows what kopf's part is",
    "peer": "another operator, given its manager's binary, its CRDs and a template of its custom resource; "
    "none ships here, and no figure of one is claimed",
}
"""Each arm of `storm`, and what it is."""


def bench(metric: str) -> str:
    """The bench that finds a metric."""
    first = metric.partition(".")[0]
    return _BENCHES.get(first, first)


def told(metric: str) -> str:
    """What a metric is; nothing where its name says it, as that of a rule."""
    return METRICS.get(metric, "")


def place(metric: str) -> int:
    """Where a metric stands among others: in the order in which they are listed here, unknown ones last."""
    return list(METRICS).index(metric) if metric in METRICS else len(METRICS)


def method(name: str) -> str:
    """How a bench measures: what its module says of itself."""
    return cleandoc(import_module(f"bench.benches.{name}").__doc__ or "")
