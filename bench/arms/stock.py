"""A stock kopf operator that makes the same children: create, update, resume and delete handlers, with a status.

kopf as its documentation shows it, with its defaults, for one namespace. Two things flatter it: the children go through the same
client as ours, which is faster than the ``kubernetes`` package that such operators use; and its delete handler is optional, which
saves the request that adds a finalizer. ``python -m bench.arms.stock NAMESPACE``.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import kopf

from bench.arms import bodies
from sovereign.api.meta import FIELD_MANAGER
from sovereign.cluster.client import APPLY, Client
from sovereign.cluster.connection import from_kubeconfig
from sovereign.cluster.resources import BY_KIND

GROUP, VERSION = "sovereignai.io", "v1alpha1"
AGENT = "bench-stock"
AGENTS = (AGENT, "kopf")
"""Of the children's requests, and of kopf's own."""
READY = "the stock operator is ready"
_READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Ready",
    "message": "",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


@kopf.on.startup()
async def connect(memo: kopf.Memo, **_: Any) -> None:
    """One client for all handlers."""
    memo.client = await Client(from_kubeconfig(Path(os.environ["KUBECONFIG"])), f"{AGENT}/1").__aenter__()


@kopf.on.create(GROUP, VERSION, "inferencepools")
@kopf.on.update(GROUP, VERSION, "inferencepools")
@kopf.on.resume(GROUP, VERSION, "inferencepools")
async def pool(memo: kopf.Memo, name: str, namespace: str | None, uid: str, patch: kopf.Patch, **_: Any) -> None:
    """Apply the children of a pool, and say so in its status."""
    assert namespace is not None
    for child in bodies.children(namespace, name, uid):
        path = BY_KIND[child["kind"]].path(namespace, child["metadata"]["name"])
        await memo.client.patch(path, child, kind=APPLY, params={"fieldManager": FIELD_MANAGER, "force": "true"})
    patch.status["conditions"] = [_READY]


@kopf.on.create(GROUP, VERSION, "sovereignmodels")
@kopf.on.update(GROUP, VERSION, "sovereignmodels")
@kopf.on.resume(GROUP, VERSION, "sovereignmodels")
async def model(patch: kopf.Patch, **_: Any) -> None:
    """A model whose weights are there has no children; its status says so."""
    patch.status["conditions"] = [_READY]


@kopf.on.delete(GROUP, VERSION, "inferencepools", optional=True)
async def gone(**_: Any) -> None:
    """Owner references do the rest."""


async def _run(namespace: str) -> None:
    ready = asyncio.Event()
    operator = asyncio.create_task(kopf.operator(standalone=True, namespaces=[namespace], ready_flag=ready))
    await ready.wait()
    print(READY, file=sys.stderr, flush=True)
    await operator


def main() -> None:
    """Run until a signal."""
    asyncio.run(_run(sys.argv[1]))


if __name__ == "__main__":
    main()
