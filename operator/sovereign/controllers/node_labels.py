"""The labels of nodes that the operator keeps: which policy approves them, and which machine their facts are bound to."""

import asyncio
from collections.abc import Callable, Collection, Mapping

import msgspec

from sovereign.api.meta import ANNOTATION_WITHDRAWN, FACT_IDENTITY, approved_label
from sovereign.cluster.client import ApiError
from sovereign.cluster.resources import NODES
from sovereign.controllers.children import CONCURRENCY
from sovereign.controllers.context import Context
from sovereign.plan import identity
from sovereign.plan.inventory import Node

Labels = Mapping[str, str | None]
"""To be set, or taken off where the value is None."""


class NodeLabels:
    """Writes them: one request for a node, whatever is to be changed on it."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def keep(self, policy: str, nodes: Collection[str], outdated: Callable[[], bool]) -> None:
        """Make the labels of ``nodes`` what the approval of ``policy`` says; some of them where that is ``outdated`` meanwhile."""
        await self._all(nodes, lambda node: self._wanted(policy, node), outdated)

    async def clean_up(self, policy: str) -> None:
        """Take off what is there because of a policy that is gone. With the last policy the bindings go, for nobody asks for them."""
        store = self._context.store
        gone = {approved_label(policy)} | (set() if any(store.policies) else {FACT_IDENTITY})
        nodes = [node.name for node in store.nodes.values() if gone & node.labels.keys()]
        await self._all(nodes, lambda node: dict.fromkeys(sorted(gone & node.labels.keys())))

    def _wanted(self, policy: str, node: Node) -> Labels:
        """What is missing now: another policy's reconcile may have bound the node meanwhile."""
        label = approved_label(policy)
        if node.name not in self._context.store.approved.get(policy, ()):
            return {label: None} if label in node.labels else {}
        wanted = {label: "true"} if node.labels.get(label) != "true" else {}
        return wanted if identity.bound(node) else {**wanted, FACT_IDENTITY: identity.identity(node)}

    async def _all(
        self, names: Collection[str], wanted: Callable[[Node], Labels], outdated: Callable[[], bool] = lambda: False
    ) -> None:
        limit = asyncio.Semaphore(CONCURRENCY)
        tried = 0

        async def one(name: str) -> None:
            nonlocal tried
            async with limit:
                # Each pass gets on by some, however often nodes and policies change.
                tried += 1
                if tried > CONCURRENCY and outdated():
                    return
                node = self._context.store.nodes.get(name)
                labels = wanted(node) if node is not None else {}
                if node is not None and labels:
                    await self._write(node, labels)

        await asyncio.gather(*(one(name) for name in sorted(names)))

    async def _write(self, node: Node, labels: Labels) -> None:
        """Change the labels of this very node. What else has changed of it meanwhile is left to the watch, which tells everybody."""
        metadata: dict[str, object] = {"uid": node.uid, "labels": labels}
        if labels.get(FACT_IDENTITY):
            metadata["annotations"] = {ANNOTATION_WITHDRAWN: None}
        try:
            body = await self._context.client.patch(NODES.path(name=node.name), {"metadata": metadata})
        except ApiError as error:
            if error.not_found:
                self._context.store.drop_node(node.name)
            elif not error.conflict:
                raise
            return
        kept = {key: value for key, value in node.labels.items() if key not in labels}
        meant = kept | {key: value for key, value in labels.items() if value is not None}
        if Node.from_manifest(body) == msgspec.structs.replace(node, labels=meant):
            self._context.store.put_node(Node.from_manifest(body))
