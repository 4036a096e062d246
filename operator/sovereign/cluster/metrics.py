"""Prometheus metrics; names after controller-runtime's conventions where the meaning is the same."""

import contextlib
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

RECONCILES: Final = Counter(
    "controller_runtime_reconcile_total",
    "Reconciliations by controller and result.",
    ["controller", "result"],
    registry=REGISTRY,
)
RECONCILE_ERRORS: Final = Counter(
    "controller_runtime_reconcile_errors_total",
    "Failed reconciliations by controller.",
    ["controller"],
    registry=REGISTRY,
)
RECONCILE_SECONDS: Final = Histogram(
    "controller_runtime_reconcile_time_seconds",
    "Seconds per reconciliation by controller.",
    ["controller"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
LAST_RECONCILE: Final = Gauge(
    "sovereign_last_reconcile_timestamp_seconds", "When a reconciliation ended last.", registry=REGISTRY
)
ACTIVE_WORKERS: Final = Gauge(
    "controller_runtime_active_workers", "Workers that are busy.", ["controller"], registry=REGISTRY
)
QUEUE_DEPTH: Final = Gauge("workqueue_depth", "Keys that wait.", ["name"], registry=REGISTRY)
QUEUE_ADDS: Final = Counter(
    "workqueue_adds_total", "Keys that were added since the start.", ["name"], registry=REGISTRY
)
QUEUE_RETRIES: Final = Counter(
    "workqueue_retries_total", "Keys that were added again after an error.", ["name"], registry=REGISTRY
)
REQUESTS: Final = Counter(
    "rest_client_requests_total", "Requests to the API server.", ["method", "code"], registry=REGISTRY
)
LEADING: Final = Gauge("leader_election_master_status", "1 on the leader, 0 on standbys.", ["name"], registry=REGISTRY)
TASKS: Final = Gauge(
    "sovereign_asyncio_tasks",
    "Tasks of the operator's event loop: more on the leader, and otherwise as many as before whenever it is quiet.",
    registry=REGISTRY,
)
APPROVED_NODES: Final = Gauge(
    "sovereign_approved_nodes", "Nodes that a policy approves.", ["policy"], registry=REGISTRY
)
VIOLATIONS: Final = Gauge(
    "sovereign_violations",
    "Pods and other objects that are there and a policy does not admit.",
    ["policy"],
    registry=REGISTRY,
)
UNLAWFUL_OBJECTS: Final = Gauge(
    "sovereign_unlawful_objects",
    "Objects besides pods that are there and that a policy's rules would refuse, by kind.",
    ["policy", "kind"],
    registry=REGISTRY,
)
STATIC_PODS: Final = Gauge(
    "sovereign_static_pods",
    "Static pods in a policy's namespaces, by their mirror pods and by what kubelets said while the API server keeps it "
    "(1 h by default); on the leader, once it has read that.",
    ["policy"],
    registry=REGISTRY,
)
ENFORCEMENT: Final = Gauge(
    "sovereign_enforcement_state",
    "1 when the policy's Enforced is True: its admission objects are in place and, with canaries on, were seen to refuse.",
    ["policy"],
    registry=REGISTRY,
)
REPAIRS: Final = Counter(
    "sovereign_repairs_total",
    "Steps of repair by action: endpoints, wait, scale, evict, delete, shorten, blocked, remake.",
    ["action"],
    registry=REGISTRY,
)
DRIFT: Final = Counter(
    "sovereign_drift_repairs_total", "Children that were put back, by kind.", ["kind"], registry=REGISTRY
)
CANARY_RULES: Final = Gauge(
    "sovereign_canary_rules",
    "Rules of a policy by what their last canary has shown: refused, accepted, elsewhere, unanswered, untried (there is nothing "
    "to try them on).",
    ["policy", "outcome"],
    registry=REGISTRY,
)
CANARIES: Final = Counter(
    "sovereign_canaries_total",
    "Requests that a rule must refuse, sent as the canaries' account, by outcome: refused, accepted, elsewhere (refused, and not "
    "in the rule's name), unanswered.",
    ["outcome"],
    registry=REGISTRY,
)
IDENTITY_CHANGES: Final = Counter(
    "sovereign_identity_changes_total",
    "Nodes that turned out to be other machines than their facts were set for.",
    registry=REGISTRY,
)
NETWORK_PROBES: Final = Counter(
    "sovereign_network_probes_total",
    "Network probes by outcome: refused, reached, unknown.",
    ["outcome"],
    registry=REGISTRY,
)
REPAIR_SECONDS: Final = Histogram(
    "sovereign_repair_seconds",
    "Seconds from noticing an unlawful pod until it was out of the endpoints.",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60, 300),
    registry=REGISTRY,
)
REPAIR_GONE_SECONDS: Final = Histogram(
    "sovereign_repair_gone_seconds",
    "Seconds from noticing an unlawful pod that is to be removed until it was gone.",
    buckets=(0.1, 0.5, 1, 2.5, 5, 15, 30, 60, 120, 300, 900, 3600),
    registry=REGISTRY,
)


def forget(metric: Gauge, *labels: str) -> None:
    """Show a gauge no more for what is gone; nothing where it never was shown."""
    with contextlib.suppress(KeyError):
        metric.remove(*labels)


def observe_request(method: str, status: int) -> None:
    """Count one request to the API server."""
    REQUESTS.labels(method, str(status)).inc()
