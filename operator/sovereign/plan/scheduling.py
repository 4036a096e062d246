"""Where a pool's pods may be put.

Only names of policies are in the pod template, never what they list: the operator keeps a label on the nodes that each policy approves, and
the pods select it. So a policy can change without any pod being restarted that is still where it may be.
"""

from typing import Any, Final

from sovereign.api.meta import FACT_JURISDICTION, FACT_REGION, LABEL_POOL, approved_label
from sovereign.api.pool import PoolPlacement, Spread
from sovereign.plan.governance import Governance
from sovereign.plan.inventory import InferencePool
from sovereign.plan.jurisdictions import expand

_DOMAINS: Final = {
    "node": "kubernetes.io/hostname",
    "region": FACT_REGION,
    "jurisdiction": FACT_JURISDICTION,
}
_BY_NODE: Final = Spread()


def scheduling(pool: InferencePool, governance: Governance, gpus: int) -> dict[str, Any]:
    """The fields of a pod's spec that decide where it may be put."""
    spec: dict[str, Any] = {"nodeSelector": node_selector(pool, governance)}
    if terms := _narrowing(pool.spec.placement):
        required = {"nodeSelectorTerms": [{"matchExpressions": terms}]}
        spec["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    spec["topologySpreadConstraints"] = [_spread(pool)]
    if gpus:
        resource = pool.spec.accelerator.resource_name
        spec["tolerations"] = [{"key": resource, "operator": "Exists", "effect": "NoSchedule"}]
    return spec


def node_selector(pool: InferencePool, governance: Governance) -> dict[str, str]:
    """The labels a node must carry: what the pool asks for, and the approval of every policy, which the pool cannot change."""
    approved = {approved_label(name): "true" for name in governance.names}
    return pool.spec.accelerator.node_selector | approved


def _narrowing(placement: PoolPlacement) -> list[dict[str, Any]]:
    facts = (
        (FACT_JURISDICTION, expand(placement.jurisdictions) if placement.jurisdictions else ()),
        (FACT_REGION, sorted(placement.regions)),
    )
    return [{"key": key, "operator": "In", "values": list(values)} for key, values in facts if values]


def _spread(pool: InferencePool) -> dict[str, Any]:
    spread = pool.spec.placement.spread or _BY_NODE
    constraint: dict[str, Any] = {
        "maxSkew": 1,
        "topologyKey": _DOMAINS[spread.by],
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {LABEL_POOL: pool.owner.name}},
        # Else the pods of the old version count while the new one is put in place.
        "matchLabelKeys": ["pod-template-hash"],
        "nodeTaintsPolicy": "Honor",
    }
    if spread.min_domains is not None:
        constraint |= {"whenUnsatisfiable": "DoNotSchedule", "minDomains": spread.min_domains}
    return constraint
