"""What all children have in common: names, labels and the owner reference."""

from typing import Any, Final

from sovereign.api.meta import (
    API_VERSION,
    COPIED_LABELS,
    LABEL_COMPONENT,
    LABEL_INSTANCE,
    LABEL_MANAGED_BY,
    LABEL_NAME,
    MANAGED_BY,
)
from sovereign.plan.inventory import Manifest, Owner

PRODUCT: Final = "sovereign-ai"
"""The recommended label ``app.kubernetes.io/name`` of every child."""


def labels(owner: Owner, component: str) -> dict[str, str]:
    """The labels of every child of ``owner``; ``component`` is what it is for, e.g. ``serving``."""
    copied = {key: owner.labels[key] for key in COPIED_LABELS if key in owner.labels}
    return copied | {
        LABEL_NAME: PRODUCT,
        LABEL_INSTANCE: owner.name,
        LABEL_COMPONENT: component,
        LABEL_MANAGED_BY: MANAGED_BY,
    }


def owner_reference(owner: Owner) -> dict[str, Any]:
    """The controller reference to ``owner``. It does not block the owner's deletion (invariant: deletion always finishes)."""
    return {
        "apiVersion": API_VERSION,
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def child(
    api_version: str,
    kind: str,
    name: str,
    owner: Owner,
    *,
    component: str,
    extra_labels: dict[str, str] | None = None,
    owned: bool = True,
    **content: Any,
) -> Manifest:
    """A child's manifest: metadata with labels and owner reference, then ``content`` (``spec=...``).

    ``owned=False`` leaves the owner reference out, for what must outlive its owner.
    """
    metadata: dict[str, Any] = {"name": name}
    if owner.namespace:
        metadata["namespace"] = owner.namespace
    metadata["labels"] = labels(owner, component) | (extra_labels or {})
    if owned:
        metadata["ownerReferences"] = [owner_reference(owner)]
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **content}
