"""Writing children: server-side apply where there is a difference, nothing where there is none."""

import logging
import time
from dataclasses import dataclass
from typing import Any, Final

from sovereign.api.meta import FIELD_MANAGER, SCALE_MANAGER
from sovereign.cluster.client import APPLY, ApiError, Client
from sovereign.cluster.difference import Difference, difference, fingerprint, missing
from sovereign.cluster.reflector import Reflector
from sovereign.cluster.resources import BY_KIND
from sovereign.cluster.rows import Child, child, governed, owner_of

logger = logging.getLogger(__name__)
_PARAMS: Final = {"fieldManager": FIELD_MANAGER}
_FORCE: Final = {"fieldManager": FIELD_MANAGER, "force": "true"}
PRUNED_AGAIN: Final = 600.0
"""Seconds after which what the API server did not store as written is written again."""
Caches = dict[str, Reflector[Child]]


class ChildConflict(Exception):
    """An object with a child's name exists, and is not the operator's."""


@dataclass(frozen=True)
class Written:
    """What ``apply`` did to one child."""

    kind: str
    name: str
    did: Difference
    drifted: bool = False
    """Whether it had been as it is wanted before somebody else changed it."""
    pruned: str = ""
    """The field that the API server did not store as it was written."""


def unchanged(caches: Caches, desired: dict[str, Any]) -> Written | None:
    """What ``apply`` would say of a child with which nothing has to be done; None where something has."""
    metadata = desired["metadata"]
    row = caches[desired["kind"]].rows.get((metadata.get("namespace", ""), metadata["name"]))
    if row is None:
        return None
    todo = difference(desired, fingerprint(desired), row)
    if todo is not Difference.NONE or _worth_another_try(row):
        return None
    return Written(desired["kind"], metadata["name"], todo, pruned=row.pruned)


async def apply(client: Client, caches: Caches, desired: dict[str, Any]) -> Written:
    """Make one child what ``desired`` says, with the fewest requests.

    Raises:
        ChildConflict: somebody else's object has the child's name.
        ApiError: the API server refused.
    """
    kind = desired["kind"]
    metadata = desired["metadata"]
    cache = caches[kind]
    row = cache.rows.get((metadata.get("namespace", ""), metadata["name"]))
    wanted = fingerprint(desired)
    todo = difference(desired, wanted, row)
    again = todo is Difference.NONE and row is not None and _worth_another_try(row)
    if again:
        todo = Difference.APPLY
    if todo is Difference.NONE:
        return Written(kind, metadata["name"], todo, pruned=row.pruned if row is not None else "")
    if kind == "Job" and row is not None:
        # A Job cannot be changed. It is made anew when it is gone; an import resumes from what is on its volume.
        await delete(client, row)
        return Written(kind, metadata["name"], Difference.REPLACE, _had_agreed(row, wanted))
    path = BY_KIND[kind].path(metadata.get("namespace", ""), metadata["name"])
    if todo is Difference.CREATE:
        stored = await _create(client, path, desired)
    else:
        if row is not None and row.replicas is not None and "replicas" not in desired["spec"]:
            await _hand_over_replicas(client, path, desired, row.replicas)
        stored = await client.patch(path, desired, kind=APPLY, params=_FORCE)
        # What others had changed is the operator's again; only what they had added is still theirs.
        if row is not None and row.foreign and child(stored, kind, agreed=True).foreign:
            stored = await _without_foreign_fields(client, path, desired, stored)
    drifted = _had_agreed(row, wanted) and not again
    return Written(kind, metadata["name"], todo, drifted, _read_back(cache, desired, wanted, stored))


def _had_agreed(row: Child | None, wanted: bytes) -> bool:
    return row is not None and row.wanted == wanted


def _worth_another_try(row: Child) -> bool:
    """Whether an API server that dropped a field is asked again: it may have been upgraded, or another's rule taken away."""
    return bool(row.pruned) and time.monotonic() - row.written_at >= PRUNED_AGAIN


async def _create(client: Client, path: str, desired: dict[str, Any]) -> dict[str, Any]:
    """Apply without force, so that an object of somebody else is left alone."""
    try:
        return await client.patch(path, desired, kind=APPLY, params=_PARAMS)
    except ApiError as error:
        if not error.conflict:
            raise
    existing = await client.get(path)
    ours = owner_of(desired["metadata"])
    if ours is None or owner_of(existing["metadata"]) != ours:
        metadata = desired["metadata"]
        raise ChildConflict(
            f"{desired['kind']} {metadata.get('namespace', '')}/{metadata['name']} exists and was not made by this operator; "
            "rename or remove it"
        )
    return await client.patch(path, desired, kind=APPLY, params=_FORCE)


async def _hand_over_replicas(client: Client, path: str, desired: dict[str, Any], replicas: int) -> None:
    """Let another manager own the replicas before the operator gives them up, or they would be reset to one."""
    body = {
        "apiVersion": desired["apiVersion"],
        "kind": desired["kind"],
        "metadata": {"name": desired["metadata"]["name"]},
    }
    body["spec"] = {"replicas": replicas}
    await client.patch(path, body, kind=APPLY, params={"fieldManager": SCALE_MANAGER, "force": "true"})


async def _without_foreign_fields(
    client: Client, path: str, desired: dict[str, Any], stored: dict[str, Any]
) -> dict[str, Any]:
    """Replace the object by what is planned. Applying cannot take away what another writer added.

    Everything that is planned is in place already, so the replacement only removes: no field gets a second owner.
    """
    replacement = {key: value for key, value in desired.items() if key != "metadata"}
    replacement["metadata"] = {
        key: value for key, value in stored["metadata"].items() if key not in ("generation", "creationTimestamp")
    }
    live_spec = stored.get("spec") or {}
    spec = dict(replacement.get("spec") or {})
    for kept in ("replicas", "clusterIP", "clusterIPs"):
        if kept in live_spec and kept not in spec:
            spec[kept] = live_spec[kept]
    replacement["spec"] = spec
    return await client.replace(path, replacement, params=_PARAMS)


def _read_back(cache: Reflector[Child], desired: dict[str, Any], wanted: bytes, stored: dict[str, Any]) -> str:
    """Compare the API server's answer with what was meant; returns the first field that it dropped or changed.

    The answer is remembered as agreed upon all the same: to write it again would not change it.
    """
    kind, name = desired["kind"], desired["metadata"]["name"]
    pruned = missing(governed(stored), governed(desired))
    if pruned:
        logger.warning("The API server did not store %s of %s %s as written", pruned, kind, name)
    row = child(stored, kind, agreed=True)
    _agree(row, wanted, pruned)
    cache.put(row)
    known = cache.rows.get((row.namespace, name))
    if known is not None and known is not row and known.digest == row.digest:
        _agree(known, wanted, pruned)  # its event was faster than the answer
    return pruned


def _agree(row: Child, wanted: bytes, pruned: str) -> None:
    row.agree(wanted)
    row.pruned, row.written_at = pruned, time.monotonic()


async def delete(client: Client, row: Child) -> None:
    """Delete one child, unless it has been replaced by another of the same name; what depends on it goes in the background."""
    path = BY_KIND[row.kind].path(row.namespace, row.name)
    try:
        await client.delete(path, {"propagationPolicy": "Background", "preconditions": {"uid": row.uid}})
    except ApiError as error:
        if not (error.not_found or error.conflict):
            raise
