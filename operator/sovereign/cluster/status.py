"""Status: computed whole, written as one merge patch, and only when something changed."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sovereign.api.conditions import RECONCILING, STALLED, Reason
from sovereign.api.meta import FIELD_MANAGER
from sovereign.cluster.client import Client
from sovereign.cluster.resources import BY_KIND

Condition = dict[str, Any]
Status = dict[str, Any]


def now() -> str:
    """The time as Kubernetes writes it: RFC 3339 in UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(kind: str, status: bool | None, reason: Reason, message: str = "") -> Condition:
    """One condition; ``status`` None is Unknown. Generation and time are filled in by ``with_conditions``."""
    return {
        "type": kind,
        "status": "Unknown" if status is None else str(status),
        "reason": reason.value,
        "message": message[:4096],
    }


def by_type(status: Status) -> dict[str, Condition]:
    """The conditions of a status."""
    return {entry["type"]: entry for entry in status.get("conditions") or ()}


def with_conditions(old: Status, generation: int, conditions: Iterable[Condition], content: Status) -> Status:
    """The new status. A condition whose status is as before keeps its time.

    kstatus reads Reconciling and Stalled as abnormal when True; they are left out when they are not.
    """
    before = by_type(old)
    stamped = []
    for entry in conditions:
        if entry["type"] in (RECONCILING, STALLED) and entry["status"] != "True":
            continue
        previous = before.get(entry["type"])
        same = previous is not None and previous.get("status") == entry["status"]
        # What is there may be somebody else's, and lack the time.
        time = (previous.get("lastTransitionTime") if same and previous else None) or now()
        stamped.append(entry | {"observedGeneration": generation, "lastTransitionTime": time})
    return {**content, "observedGeneration": generation, "conditions": stamped}


def turned(old: Status, new: Status) -> bool:
    """Whether a condition turned, appeared or went, or another generation is judged."""
    return old.get("observedGeneration") != new.get("observedGeneration") or _states(old) != _states(new)


def _states(status: Status) -> dict[str, tuple[str, str]]:
    return {type_: (entry["status"], entry["reason"]) for type_, entry in by_type(status).items()}


def changes(old: Status, new: Status) -> Status:
    """The merge patch from ``old`` to ``new``: changed fields, and None for those that are gone."""
    patch: Status = {key: _pruned(old.get(key), value) for key, value in new.items() if old.get(key) != value}
    patch.update({key: None for key in old if key not in new})
    return patch


def _pruned(old: Any, new: Any) -> Any:
    """A merge patch keeps members of a map that it does not name, so those that are gone are named as None."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**{key: None for key in old if key not in new}, **{k: _pruned(old.get(k), v) for k, v in new.items()}}
    return new


async def write(client: Client, kind: str, namespace: str, name: str, patch: Status) -> dict[str, Any]:
    """Send the patch to the status subresource; returns the object.

    Raises:
        ApiError: 404 when the object is gone.
    """
    path = BY_KIND[kind].path(namespace, name, "status")
    return await client.patch(path, {"status": patch}, params={"fieldManager": FIELD_MANAGER})
