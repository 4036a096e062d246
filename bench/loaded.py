"""A cluster in which an operator has made all there is to make: models with pools, and the children of each."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bench import objects
from bench.ground import Ground, many, wait
from charts import sync
from sovereign.cluster.client import Client
from sovereign.cluster.resources import BY_KIND, NAMESPACES
from testbed import audit
from testbed.chaos.operator import Process
from testbed.objects import shared_claim

USER: Final = f"system:serviceaccount:{sync.NAMESPACE}:{sync.RELEASE}"
"""The operator's account: what any part of it asks is asked as this."""
QUIET: Final = ("kube-controller-manager", "kube-scheduler", "kwok")
_MODELS: Final = BY_KIND["SovereignModel"]
_POOLS: Final = BY_KIND["InferencePool"]


@contextmanager
def loaded(ground: Ground, place: str, size: int) -> Iterator[Process]:
    """So many models in a namespace, and the operator that has just brought their children about; controllers stand still."""
    _make(ground, place)
    with ground.stopped(*QUIET):
        operator = ground.leading()

        async def load(client: Client) -> None:
            await many(_one(client, place, f"m{number}") for number in range(size))

        def done() -> bool:
            if not operator.runs:
                raise RuntimeError(operator.log.read_text()[-2000:])
            return ground.run(lambda client: _unready(client, place)) == 0

        ground.run(load)
        wait("all pools to be ready", done, pause=0.5)
        ground.settle(operator)
        yield operator


def asked(ground: Ground, since: int) -> list[audit.Request]:
    """All that operators asked the API server since then, whatever part of them it was."""
    return [one for one in ground.cluster.requests(since) if one.user == USER]


def _make(ground: Ground, place: str) -> None:
    claims = BY_KIND["PersistentVolumeClaim"]

    async def create(client: Client) -> None:
        await client.create(NAMESPACES.path(), objects.namespace(place))
        for one in shared_claim(place):
            await client.create(BY_KIND[one["kind"]].path(place), one)

    async def bound(client: Client) -> bool:
        claim = await client.get(claims.path(place, "weights"))
        return bool(claim.get("status", {}).get("phase") == "Bound")

    ground.run(create)
    wait("the claim to be bound", lambda: ground.run(bound))


async def _one(client: Client, place: str, name: str) -> None:
    await client.create(_MODELS.path(place), objects.model(place, name))
    await client.create(_POOLS.path(place), objects.pool(place, name))


async def _unready(client: Client, place: str) -> int:
    """Pools that are not ready."""
    found = 0
    async for page in client.pages(_POOLS.path(place)):
        for pool in page["items"]:
            conditions = (pool.get("status") or {}).get("conditions") or ()
            found += not any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return found
