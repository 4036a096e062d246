"""Bringing an object's children to what is planned, and reporting what came of it."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from sovereign.api.conditions import Reason
from sovereign.cluster import apply, status
from sovereign.cluster.client import ApiError
from sovereign.cluster.metrics import DRIFT
from sovereign.cluster.queue import Key
from sovereign.cluster.resources import BY_KIND
from sovereign.controllers import read_back
from sovereign.controllers.context import Context, Later, Outcome, Retry
from sovereign.controllers.objects import Object
from sovereign.plan.verdict import Verdict

CONCURRENCY = 8
_MAKES_PODS = ("Deployment", "Job")
POLICIES_SHOWN = 64
"""Policies that a status may name; a longer list would be refused with all the rest of the status."""
PAUSE = 1.0
"""Seconds between two writes of one status while no condition turns."""


async def bring_about(
    context: Context, item: Object, desired: Sequence[dict[str, Any]], *, keep: Sequence[str] = ()
) -> Verdict | None:
    """Write the children that differ, then remove those that are not wanted any more, except kinds in ``keep``.

    Returns the first child that could not be written, which is worth trying again.
    """
    failure: Verdict | None = None
    for wave in _waves(desired):
        results = await _write(context, wave)
        for result in results:
            if isinstance(result, apply.Written) and result.drifted:
                _tell_drift(context, item, result)
        failure = _failure(wave, results)
        if failure is not None:
            break
    else:
        await _prune(context, item.key, desired, keep)
    return failure


async def _write(context: Context, wave: Sequence[dict[str, Any]]) -> list[apply.Written | BaseException]:
    """What came of each child. Those with which nothing has to be done, mostly all of them, cost no task."""
    limit = asyncio.Semaphore(CONCURRENCY)

    async def one(manifest: dict[str, Any]) -> apply.Written:
        async with limit:
            return await apply.apply(context.client, context.caches, manifest)

    known = [apply.unchanged(context.caches, manifest) for manifest in wave]
    different = [manifest for manifest, found in zip(wave, known, strict=True) if found is None]
    written = iter(await asyncio.gather(*(one(manifest) for manifest in different), return_exceptions=True))
    return [next(written) if found is None else found for found in known]


def _tell_drift(context: Context, item: Object, written: apply.Written) -> None:
    DRIFT.labels(written.kind).inc()
    message = f"{written.kind} {written.name} was changed by somebody else and has been put back"
    context.tell(item, "Warning", Reason.DRIFT_REPAIRED, message)


def _waves(desired: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """What makes pods comes last: their network is closed, and their identity there, before they are."""
    surroundings = [manifest for manifest in desired if manifest["kind"] not in _MAKES_PODS]
    return [surroundings, [manifest for manifest in desired if manifest["kind"] in _MAKES_PODS]]


def _failure(desired: Sequence[dict[str, Any]], results: Sequence[object]) -> Verdict | None:
    for manifest, result in zip(desired, results, strict=True):
        if isinstance(result, apply.ChildConflict):
            return Verdict(False, "children", Reason.CHILD_CONFLICT, str(result))
        if isinstance(result, ApiError):
            where = f"{manifest['kind']} {manifest['metadata']['name']}"
            return Verdict(False, "children", Reason.APPLY_FAILED, f"{where}: {result.message or result.reason}")
        if isinstance(result, BaseException):
            raise result
    return next(
        (_not_stored(result) for result in results if isinstance(result, apply.Written) and result.pruned), None
    )


def _not_stored(written: apply.Written) -> Verdict:
    message = (
        f"{written.kind} {written.name}: the API server did not store {written.pruned} as it was written; it is older than the operator "
        "needs, or an admission policy or webhook changes what the operator writes"
    )
    return Verdict(False, "children", Reason.FIELD_PRUNED, message, written.pruned)


def outcome(failure: Verdict | None, later: Outcome) -> Outcome:
    """When to look again after children were brought about: what the API server does not store, it will not at once."""
    if failure is None:
        return later
    return Later(apply.PRUNED_AGAIN) if failure.reason is Reason.FIELD_PRUNED else Retry(failure.message)


async def _prune(context: Context, owner: Key, desired: Sequence[dict[str, Any]], keep: Sequence[str]) -> None:
    wanted = {(m["kind"], m["metadata"].get("namespace", ""), m["metadata"]["name"]) for m in desired}
    for name in sorted(context.store.children.get(owner, ())):
        if tuple(name) in wanted or name.kind in keep:
            continue
        row = context.caches[name.kind].rows.get((name.namespace, name.name))
        if row is not None and not row.deleting:
            await apply.delete(context.client, row)


async def owner(context: Context, key: Key) -> Object | None:
    """The object to reconcile; None when it is gone or going, or its namespace is."""
    item = context.store.objects.get(key)
    if key in context.vanished:
        lost = item is None or await _gone(context, item)
        context.vanished.discard(key)
        if lost:
            return None
    if item is None or item.deleting or key.namespace in context.store.terminating:
        return None
    return item


async def _gone(context: Context, item: Object) -> bool:
    """Whether the object itself is gone or going, asked because a child of it vanished: a deletion may not have been noticed.

    What is gone is forgotten.
    """
    try:
        body = await context.client.get(BY_KIND[item.owner.kind].path(item.owner.namespace, item.owner.name))
    except ApiError as error:
        if not error.not_found:
            raise
        context.store.drop(item.key)
        return True
    return bool(body["metadata"]["uid"] != item.owner.uid or "deletionTimestamp" in body["metadata"])


async def write_status(
    context: Context, item: Object, content: dict[str, Any], conditions: Sequence[status.Condition]
) -> Later | None:
    """Write the status, if it changed, and remember it.

    While only numbers and words change, and no condition turns, one write a second is enough: a rollout of many replicas would
    otherwise cost a write for each. The caller passes the returned delay on.
    """
    conditions = read_back.with_pruned(context.store, item, conditions)
    new = status.with_conditions(item.status, item.owner.generation, conditions, content)
    patch = status.changes(item.status, new)
    if not patch or read_back.answered(item, new):
        return None
    left = item.written_at + PAUSE - time.monotonic()
    if left > 0 and not status.turned(item.status, new):
        return Later(left)
    stored = await remember(context, item, patch)
    if stored is not None:
        read_back.compare(context, stored, new)
    return None


async def remember(context: Context, item: Object, patch: status.Status) -> Object | None:
    """Write these members of a status at once, and know them; returns the object as it is then, unless it is gone."""
    owner = item.owner
    try:
        body = await status.write(context.client, owner.kind, owner.namespace, owner.name, patch)
    except ApiError as error:
        if error.not_found:
            context.store.drop(item.key)
            return None
        raise
    known = context.store.objects.get(item.key)
    if known is None or known.owner.uid != body["metadata"]["uid"]:
        return None
    known.written_at = time.monotonic()
    known.status = body.get("status") or {}
    metadata = body["metadata"]
    # Else somebody changed it meanwhile: the event that tells what is still to come.
    if (metadata.get("generation", 0), metadata.get("labels") or {}) == (known.owner.generation, known.owner.labels):
        known.version = max(known.version, int(body["metadata"]["resourceVersion"]))
    return known
