"""Names that are part of the API: group, labels, annotations and node facts."""

from typing import Final

GROUP: Final = "sovereignai.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

FIELD_MANAGER: Final = "sovereign-operator"
"""The server-side apply field manager of every child."""

SCALE_MANAGER: Final = "sovereign-operator-scale"
"""Holds a Deployment's replicas from the moment an autoscaler takes over: a field without an owner would be reset."""

# --- node facts -------------------------------------------------------------------------------------
# Only labels under node-restriction.kubernetes.io: a kubelet may not set them on itself.
FACT_DOMAIN: Final = "sovereignai.node-restriction.kubernetes.io"
FACT_JURISDICTION: Final = f"{FACT_DOMAIN}/jurisdiction"
FACT_REGION: Final = f"{FACT_DOMAIN}/region"
FACT_PROVIDER: Final = f"{FACT_DOMAIN}/provider"
FACT_IDENTITY: Final = f"{FACT_DOMAIN}/identity"
"""Written by the operator: which machine the facts were set for."""

TOPOLOGY_REGION: Final = "topology.kubernetes.io/region"
"""What a node says of itself; never trusted."""
ANNOTATION_WITHDRAWN: Final = f"{GROUP}/withdrawn-facts"
"""On a node that turned out to be another machine: the facts that it had, as JSON."""


def approved_label(policy: str) -> str:
    """The node label that the operator keeps on the nodes which ``policy`` approves (value ``"true"``)."""
    return f"{policy}.{FACT_DOMAIN}/approved"


def approving_policy(label: str) -> str:
    """The policy whose approved label ``label`` is; nothing when it is none."""
    return label.removesuffix(_APPROVED) if label.endswith(_APPROVED) else ""


_APPROVED: Final = f".{FACT_DOMAIN}/approved"

# --- labels on children -----------------------------------------------------------------------------
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_INSTANCE: Final = "app.kubernetes.io/instance"
LABEL_COMPONENT: Final = "app.kubernetes.io/component"
LABEL_POLICY: Final = f"{GROUP}/policy"
LABEL_MODEL: Final = f"{GROUP}/model"
LABEL_POOL: Final = f"{GROUP}/pool"
LABEL_COMPLIANT: Final = f"{GROUP}/compliant"
"""On serving pods; the Service selects ``"true"``, the verifier removes it from a pod in the wrong place."""

RESERVED_LABELS: Final = (LABEL_POOL, LABEL_MODEL, LABEL_COMPLIANT)
"""Labels by which Services and NetworkPolicies know pods with weights; only the operator and what acts for it sets them."""

ANNOTATION_EVIDENCE: Final = f"{GROUP}/evidence-head"
"""On the operator's Lease: how far the evidence ledger goes, as ``SEQ:DIGEST``."""

MANAGED_BY: Final = "sovereign-operator"

COMPONENT_PROBE: Final = "probe"
"""The component of network probes. Their pods carry their pool's label, so that its network policies hold for them, and
serve nobody."""
PROBE_BANNER: Final = b"sovereign-operator: network probe\n"
"""What the operator's probe listener says to everybody, so that a probe can tell that it was reached."""

POOL_OWNERS: Final = ("ReplicaSet",)
"""Kinds that control the pods of a pool."""

COPIED_LABELS: Final = (
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/version",
    f"{GROUP}/tenant",
    f"{GROUP}/cost-center",
)
"""The only label keys that are copied from our kinds to their children. Copying all of them would make
Argo CD believe that the children are its own, and prune them."""
