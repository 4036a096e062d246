"""The page of labels. What each is for stands here, because only here is all of it in one place."""

from collections.abc import Sequence
from typing import Final

from sovereign.api import meta
from sovereign.cli.reference.markdown import code, plain, table
from sovereign.plan.gpus import MEMORY_LABEL

Row = tuple[str, str, str]
"""Key, who writes it, what it says."""

ADMINISTRATOR: Final = "administrators"
OPERATOR: Final = "the operator"
USER: Final = "whoever writes the object"

ON_NODES: Final[tuple[Row, ...]] = (
    (
        meta.FACT_JURISDICTION,
        ADMINISTRATOR,
        "Where the machine is, as a two-letter ISO 3166-1 code. A node without it is approved by no policy.",
    ),
    (meta.FACT_REGION, ADMINISTRATOR, "The region it is in; what placement.regions names."),
    (meta.FACT_PROVIDER, ADMINISTRATOR, "Who runs it; what placement.providers names."),
    (
        meta.FACT_IDENTITY,
        OPERATOR,
        "Which machine the facts were set for, as hashes of UID, providerID and systemUUID; on another they are withdrawn.",
    ),
    (
        meta.approved_label("<policy>"),
        OPERATOR,
        "true on exactly the nodes that the policy approves; workloads select it. Put back when somebody changes it.",
    ),
    (
        meta.TOPOLOGY_REGION,
        "the kubelet",
        "Not trusted. When it contradicts the region fact, an Event NodeFactMismatch and doctor say so.",
    ),
    (MEMORY_LABEL, "GPU feature discovery", "MiB of one GPU; what GPU counts are planned with."),
)
ON_CHILDREN: Final[tuple[Row, ...]] = (
    (meta.LABEL_MANAGED_BY, OPERATOR, f"{meta.MANAGED_BY}: by this the operator finds its own objects."),
    (meta.LABEL_NAME, OPERATOR, "sovereign-ai."),
    (meta.LABEL_INSTANCE, OPERATOR, "Name of the object that the child belongs to."),
    (
        meta.LABEL_COMPONENT,
        OPERATOR,
        "What the child is for, for example serving, import, weights, admission or probe.",
    ),
    (meta.LABEL_POLICY, OPERATOR, "The SovereigntyPolicy that an admission object or NetworkPolicy is of."),
    (meta.LABEL_MODEL, OPERATOR, "The SovereignModel that a claim, an import or a pod is about."),
    (meta.LABEL_POOL, OPERATOR, "The InferencePool that a pod serves, or whose network it probes."),
    (
        meta.LABEL_COMPLIANT,
        OPERATOR,
        (
            "true on serving pods; the Service selects it. Taken off a pod in the wrong place: no more requests reach it. "
            "This label and the two above mark pods with weights: on pods and in pod templates nobody else writes them."
        ),
    ),
)
COPIED: Final[tuple[Row, ...]] = tuple(
    (key, USER, "Copied from our objects to their children.") for key in meta.COPIED_LABELS
)


def page() -> str:
    """Every label that is read or written, by where it stands."""
    return (
        "# Labels\n\n"
        "## On nodes\n\n"
        "Facts stand under `node-restriction.kubernetes.io`, because a kubelet can set any other label on itself.\n\n"
        + _table(ON_NODES)
        + "\n## On what the operator makes\n\n"
        + _table(ON_CHILDREN)
        + "\n## Copied\n\nThe only labels of users' objects that their children get too.\n\n"
        + _table(COPIED)
    )


def _table(rows: Sequence[Row]) -> str:
    return table(("Label", "Written by", "Meaning"), [(code(key), who, plain(what)) for key, who, what in rows])
