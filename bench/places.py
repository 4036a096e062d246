"""Namespaces to load, to watch and to empty again.

What an arm leaves behind would make the next one slower (a ClusterIP costs the API server as many steps as there are Services), and
would be work for the next operator: so each place is emptied before the next arm starts, while no controller runs.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Final, Protocol, cast

from bench import objects
from bench.arms import bodies
from bench.ground import Ground, Manifest, NotInTimeError, many, wait
from sovereign.api.meta import LABEL_POOL
from sovereign.cluster.client import Client
from sovereign.cluster.resources import BY_KIND, EVENTS, NAMESPACES
from testbed.objects import shared_claim

MODELS: Final = BY_KIND["SovereignModel"]
POOLS: Final = BY_KIND["InferencePool"]
_LOADED: Final = (POOLS, MODELS, EVENTS)
_CHILDREN: Final = tuple(BY_KIND[kind] for kind in objects.CHILDREN)
WATCH: Final = {"resourceVersion": "0", "timeoutSeconds": "7200"}
"""Options of a watch that is not ended before its bench."""
_AT_ONCE: Final = 100
"""Objects deleted by one request: more would take longer than a request may."""
Tell = Callable[[Manifest], object]
Seen = Callable[[Manifest], str]


class Runs(Protocol):
    """A child process."""

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""


def make(ground: Ground, place: str) -> str:
    """A governed namespace with the claim that models lie on, bound; controllers must run meanwhile."""

    async def create(client: Client) -> None:
        await client.create(NAMESPACES.path(), objects.namespace(place))
        for one in shared_claim(place):
            await client.create(BY_KIND[one["kind"]].path(place), one)

    async def bound(client: Client) -> bool:
        claim = await client.get(BY_KIND["PersistentVolumeClaim"].path(place, "weights"))
        return bool(claim.get("status", {}).get("phase") == "Bound")

    ground.run(create)
    wait("the claim to be bound", lambda: ground.run(bound))
    return place


def example(ground: Ground, place: str) -> tuple[Manifest, Manifest]:
    """A model and a pool called `bodies.NAME` with the statuses that the operator writes."""

    async def read(client: Client) -> tuple[Manifest, Manifest]:
        await load(client, place, [bodies.NAME])
        for resource in (MODELS, POOLS):
            await all_seen(client, resource.path(place), READY, 1)
        return await client.get(MODELS.path(place, bodies.NAME)), await client.get(POOLS.path(place, bodies.NAME))

    program = ground.leading()
    try:
        found = ground.run(read)
    finally:
        program.stop()
    ground.run(lambda client: empty(client, place))
    return found


def names(size: int) -> list[str]:
    """Of so many models."""
    return [f"m{number}" for number in range(size)]


async def load(client: Client, place: str, models: Sequence[str], tell: Tell | None = None) -> None:
    """Create these models, each with its pool; ``tell`` hears of each pool as it was stored."""

    async def one(name: str) -> None:
        await client.create(MODELS.path(place), objects.model(place, name))
        pool = await client.create(POOLS.path(place), objects.pool(place, name))
        if tell is not None:
            tell(pool)

    await many(one(name) for name in models)


async def all_seen(client: Client, path: str, seen: Seen, size: int) -> None:
    """Watch until ``seen`` has named so many different objects; it names none with an empty string."""
    names: set[str] = set()
    watching = cast("AsyncGenerator[Manifest, None]", client.watch(path, WATCH))
    async with aclosing(watching) as events:
        async for event in events:
            if event["type"] != "DELETED" and (name := seen(event["object"])):
                names.add(name)
            if len(names) >= size:
                return
    raise NotInTimeError(f"{path}: {len(names)} of {size} were seen when the watch ended")


async def while_runs(program: Runs, work: Awaitable[object]) -> None:
    """Await ``work``, as long as the program runs that brings it about.

    Raises:
        RuntimeError: it ended before.
    """
    task = asyncio.ensure_future(work)
    while not (await asyncio.wait([task], timeout=1.0))[0]:
        if not program.runs:
            task.cancel()
            raise RuntimeError("the program ended before everything was there")
    await task


def true(condition: str) -> Seen:
    """What names an object that has this condition."""

    def seen(manifest: Manifest) -> str:
        conditions = (manifest.get("status") or {}).get("conditions") or ()
        met = any(entry["type"] == condition and entry["status"] == "True" for entry in conditions)
        return str(manifest["metadata"]["name"]) if met else ""

    return seen


READY: Final = true("Ready")


async def empty(client: Client, place: str, *, models: bool = True) -> None:
    """Delete all models (unless they are to stay), pools, their children and Events; return when they are gone."""
    loaded = (_empty(client, resource.path(place), {}) for resource in _LOADED if models or resource is not MODELS)
    # What is no pool's is the policy's own, as the NetworkPolicy that closes the namespace, which nobody may delete.
    children = (_empty(client, resource.path(place), {"labelSelector": LABEL_POOL}) for resource in _CHILDREN)
    await asyncio.gather(*loaded, *children)


async def _empty(client: Client, path: str, those: dict[str, str]) -> None:
    while (await client.get(path, those | {"limit": "1"}))["items"]:
        options = {"limit": str(_AT_ONCE), "propagationPolicy": "Background"}
        await client.request("DELETE", path, params=those | options)
