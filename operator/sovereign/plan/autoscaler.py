"""The HorizontalPodAutoscaler of a pool."""

from typing import Any, Final

from sovereign.api.conditions import Reason
from sovereign.api.meta import LABEL_POOL
from sovereign.api.pool import Autoscaling
from sovereign.plan.children import child
from sovereign.plan.deployment import COMPONENT
from sovereign.plan.inventory import InferencePool, Manifest, Runtime
from sovereign.plan.quantity import canonical
from sovereign.plan.verdict import Verdict

SCALE_DOWN_SECONDS: Final = 600
"""How long the load must be low before a replica goes: loading a model again takes minutes."""


def metric_verdict(pool: InferencePool, runtime: Runtime) -> Verdict:
    """Whether the engine has the metric that the pool wants to follow."""
    rule, wanted = "autoscaling.metric", pool.spec.autoscaling
    if wanted is None or wanted.metric == "CPU" or _gauge(wanted, runtime):
        return Verdict(True, rule, Reason.POLICY_ACCEPTED)
    message = f"runtime {runtime.name} names no metric for {wanted.metric}; use CPU, or set replicas"
    return Verdict(False, rule, Reason.INVALID_SPEC, message, wanted.metric)


def autoscaler(pool: InferencePool, runtime: Runtime, wanted: Autoscaling) -> Manifest:
    """The HorizontalPodAutoscaler that follows ``wanted``. Up at once, down by one pod in two minutes."""
    return child(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        pool.owner.name,
        pool.owner,
        component=COMPONENT,
        extra_labels={LABEL_POOL: pool.owner.name},
        spec={
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": pool.owner.name},
            "minReplicas": wanted.min_replicas,
            "maxReplicas": wanted.max_replicas,
            "metrics": [_metric(wanted, runtime)],
            "behavior": {
                "scaleUp": {
                    "stabilizationWindowSeconds": 0,
                    "selectPolicy": "Max",
                    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 60}],
                },
                "scaleDown": {
                    "stabilizationWindowSeconds": SCALE_DOWN_SECONDS,
                    "selectPolicy": "Max",
                    "policies": [{"type": "Pods", "value": 1, "periodSeconds": 120}],
                },
            },
        },
    )


def _metric(wanted: Autoscaling, runtime: Runtime) -> dict[str, Any]:
    if wanted.metric == "CPU":
        target = {"type": "Utilization", "averageUtilization": wanted.target}
        return {"type": "Resource", "resource": {"name": "cpu", "target": target}}
    # prometheus-adapter serves vllm:num_requests_waiting as vllm_num_requests_waiting.
    metric = {"name": _gauge(wanted, runtime).replace(":", "_")}
    return {
        "type": "Pods",
        "pods": {"metric": metric, "target": {"type": "AverageValue", "averageValue": canonical(str(wanted.target))}},
    }


def _gauge(wanted: Autoscaling, runtime: Runtime) -> str:
    metrics = runtime.spec.metrics
    waiting = wanted.metric == "RequestsWaiting"
    return (metrics.requests_waiting if waiting else metrics.requests_running) or ""
