"""A stock kopf operator that makes the same children: create, update, resume and delete handlers, with a status.

kopf with its defaults, for one namespace. Its children go through the ``kubernetes`` package in handlers that are plain functions, as
kopf's documentation shows it; or, with ``--lean``, through the same client as ours, so that kopf alone makes the difference. Both are
flattered by a delete handler that is optional, which saves the request that adds a finalizer.
``python -m bench.arms.stock NAMESPACE [--lean]``.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any, Final

import kopf
import kubernetes

from bench.arms import bodies
from sovereign.api.meta import FIELD_MANAGER
from sovereign.cluster.client import APPLY, Client
from sovereign.cluster.connection import from_kubeconfig
from sovereign.cluster.resources import BY_KIND

GROUP, VERSION = "sovereignai.io", "v1alpha1"
AGENT = "bench-stock"
AGENTS = (AGENT, "kopf")
"""Of the children's requests, and of kopf's own."""
LEAN: Final = "--lean"
READY = "the stock operator is ready"
_READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Ready",
    "message": "",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}
_APIS: Final = {
    "Deployment": ("AppsV1Api", "patch_namespaced_deployment"),
    "NetworkPolicy": ("NetworkingV1Api", "patch_namespaced_network_policy"),
    "PodDisruptionBudget": ("PolicyV1Api", "patch_namespaced_pod_disruption_budget"),
    "Service": ("CoreV1Api", "patch_namespaced_service"),
    "ServiceAccount": ("CoreV1Api", "patch_namespaced_service_account"),
}
"""By kind of child: where the ``kubernetes`` package applies it."""


def pool(name: str, namespace: str | None, uid: str, patch: kopf.Patch, **_: Any) -> None:
    """Apply the children of a pool, and say so in its status."""
    assert namespace is not None
    for child in bodies.children(namespace, name, uid):
        api, method = _APIS[child["kind"]]
        apply = getattr(getattr(kubernetes.client, api)(), method)
        which = child["metadata"]["name"], namespace
        apply(*which, child, field_manager=FIELD_MANAGER, force=True, _content_type=APPLY)
    patch.status["conditions"] = [_READY]


async def lean_pool(memo: kopf.Memo, name: str, namespace: str | None, uid: str, patch: kopf.Patch, **_: Any) -> None:
    """The same through our client."""
    assert namespace is not None
    for child in bodies.children(namespace, name, uid):
        path = BY_KIND[child["kind"]].path(namespace, child["metadata"]["name"])
        await memo.client.patch(path, child, kind=APPLY, params={"fieldManager": FIELD_MANAGER, "force": "true"})
    patch.status["conditions"] = [_READY]


async def model(patch: kopf.Patch, **_: Any) -> None:
    """A model whose weights are there has no children; its status says so."""
    patch.status["conditions"] = [_READY]


async def gone(**_: Any) -> None:
    """Owner references do the rest."""


async def connect(memo: kopf.Memo, **_: Any) -> None:
    """One client for all handlers."""
    memo.client = await Client(from_kubeconfig(Path(os.environ["KUBECONFIG"])), f"{AGENT}/1").__aenter__()


def connect_package(**_: Any) -> None:
    """One client of the ``kubernetes`` package for all handlers, with a name by which its requests are counted."""
    kubernetes.config.load_kube_config()  # type: ignore[no-untyped-call]
    client = kubernetes.client.ApiClient()
    client.user_agent = f"{AGENT}/1"
    kubernetes.client.ApiClient.set_default(client)  # type: ignore[no-untyped-call]


def _register(*, lean: bool) -> None:
    kopf.on.startup()(connect if lean else connect_package)
    for made in (kopf.on.create, kopf.on.update, kopf.on.resume):
        made(GROUP, VERSION, "inferencepools")(lean_pool if lean else pool)
        made(GROUP, VERSION, "sovereignmodels")(model)
    kopf.on.delete(GROUP, VERSION, "inferencepools", optional=True)(gone)


async def _run(namespace: str) -> None:
    ready = asyncio.Event()
    operator = asyncio.create_task(kopf.operator(standalone=True, namespaces=[namespace], ready_flag=ready))
    await ready.wait()
    print(READY, file=sys.stderr, flush=True)
    await operator


def main() -> None:
    """Run until a signal."""
    _register(lean=LEAN in sys.argv)
    asyncio.run(_run(sys.argv[1]))


if __name__ == "__main__":
    main()
