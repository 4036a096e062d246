"""The PodDisruptionBudget of a pool."""

from sovereign.api.meta import LABEL_COMPONENT, LABEL_POOL
from sovereign.plan.children import child
from sovereign.plan.deployment import COMPONENT, selector
from sovereign.plan.inventory import InferencePool, Manifest


def disruption_budget(pool: InferencePool) -> Manifest:
    """One pod at a time may be evicted. Pods that are not ready always may: they serve nobody and would block a drain for ever."""
    return child(
        "policy/v1",
        "PodDisruptionBudget",
        pool.owner.name,
        pool.owner,
        component=COMPONENT,
        extra_labels={LABEL_POOL: pool.owner.name},
        spec={
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            # Pods that probe the pool's network have its label too.
            "selector": {"matchLabels": selector(pool) | {LABEL_COMPONENT: COMPONENT}},
        },
    )
