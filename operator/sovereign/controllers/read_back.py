"""What the API server dropped of what was written: status fields of an older CRD, and fields of a spec that users write in vain.

Of a spec, the operator sees only what the API server kept. So it compares the schema that is served with its own: when it starts, and
again when something is known to be missing.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import aiohttp

from sovereign.api.conditions import READY, STALLED, Reason
from sovereign.api.crd import definition
from sovereign.api.kinds import KINDS
from sovereign.api.meta import API_VERSION
from sovereign.cluster import status
from sovereign.cluster.client import ApiError
from sovereign.cluster.difference import missing
from sovereign.controllers.context import Context
from sovereign.controllers.objects import POOL, RUNTIME, Object
from sovereign.controllers.store import Store

logger = logging.getLogger(__name__)
AGAIN: Final = 60.0
"""Seconds from one look at the served schema to the next, while it lacks something."""
_SHOWN: Final = 5
_ADVICE: Final = (
    "upgrade the CRDs (helm upgrade, or kubectl apply --server-side -f crds/), then apply the objects again"
)


# --- status -------------------------------------------------------------------------------------------


def answered(item: Object, new: status.Status) -> bool:
    """Whether just this was written before and came back changed, as it would again."""
    return item.answer is not None and item.answer == (new, item.status)


def compare(context: Context, item: Object, meant: status.Status) -> None:
    """Remember and tell what the API server did not store of a status."""
    pruned = missing(item.status, meant)
    item.answer = (meant, item.status) if pruned else None
    if not pruned:
        return
    field = f"status.{pruned}"
    if field not in context.pruned.told:
        context.pruned.told.add(field)
        message = f"the API server did not store {field} of {item.owner.kind} as it was written; {_ADVICE}"
        logger.warning("%s %s: %s", item.owner.kind, item.owner.name, message)
        context.tell(item, "Warning", Reason.FIELD_PRUNED, message)
    context.pruned.suspect.set()


# --- spec ---------------------------------------------------------------------------------------------


def with_pruned(store: Store, item: Object, conditions: Sequence[status.Condition]) -> Sequence[status.Condition]:
    """The conditions of an object, which is not Ready while fields of its spec may have been dropped."""
    kinds = (POOL, RUNTIME) if item.owner.kind == POOL else (item.owner.kind,)
    fields = {kind: [path for path in store.lacking.get(kind, ()) if path.startswith("spec")] for kind in kinds}
    lacking = [f"{kind} {path}" for kind in kinds for path in fields[kind]]
    if not lacking:
        return conditions
    more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
    message = (
        f"the installed CRDs are older than the operator: whatever is written there is dropped without a word: "
        f"{', '.join(lacking[:_SHOWN])}{more}; {_ADVICE}"
    )
    others = [entry for entry in conditions if entry["type"] not in (READY, STALLED)]
    stalled = next((entry for entry in conditions if entry["type"] == STALLED and entry["status"] == "True"), None)
    return [
        status.condition(READY, False, Reason.FIELD_PRUNED, message),
        stalled or status.condition(STALLED, True, Reason.FIELD_PRUNED, message),
        *others,
    ]


class Schemas:
    """Compares the schema that the API server serves with the operator's own."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def look(self) -> bool:
        """Ask once; whether something else is missing than was known."""
        group, version = API_VERSION.split("/")
        try:
            served = await self._context.client.get(f"/openapi/v3/apis/{group}/{version}")
        except (ApiError, aiohttp.ClientError, OSError, TimeoutError) as error:
            logger.warning("The API server does not tell the schema of the kinds, so it is not compared: %s", error)
            return False
        found = lacking(served)
        before, self._context.store.lacking = self._context.store.lacking, found
        for kind, fields in found.items():
            if fields != before.get(kind):
                logger.warning("The CRD of %s lacks %s; %s", kind, ", ".join(fields), _ADVICE)
        return found != before

    async def run(self) -> None:
        """Look again while something is missing, or is suspected to be; until cancelled."""
        suspect = self._context.pruned.suspect
        while True:
            patience = AGAIN if self._context.store.lacking else None
            try:
                await asyncio.wait_for(suspect.wait(), patience)
                await asyncio.sleep(1.0)  # many statuses may say so at once
            except TimeoutError:
                pass
            suspect.clear()
            if await self.look():
                self._context.pruned.told.clear()
                for key, item in self._context.store.objects.items():
                    item.answer = None
                    self._context.queue.add(key)


def lacking(served: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """By kind: the fields of the operator's own schema that the served OpenAPI document does not have.

    A kind that is not in it is left out: then its CRD is not installed, or not served yet.
    """
    by_kind = {}
    for schema in (served.get("components") or {}).get("schemas", {}).values():
        for which in schema.get("x-kubernetes-group-version-kind") or ():
            by_kind[which["kind"]] = schema
    result = {}
    for kind in KINDS:
        wanted = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        if kind.kind in by_kind and (fields := tuple(_absent(wanted, by_kind[kind.kind], ""))):
            result[kind.kind] = fields
    return result


def _absent(wanted: Mapping[str, Any], served: Mapping[str, Any], path: str) -> Iterator[str]:
    """Paths of properties that ``served`` does not have."""
    for name, schema in (wanted.get("properties") or {}).items():
        place = f"{path}.{name}" if path else name
        there = (served.get("properties") or {}).get(name)
        if there is None:
            yield place
        elif place.startswith(("spec", "status")):
            yield from _absent(schema, there, place)
    for inner in ("items", "additionalProperties"):
        below = wanted.get(inner)
        if isinstance(below, Mapping) and isinstance(served.get(inner), Mapping):
            yield from _absent(below, served[inner], f"{path}[]")
