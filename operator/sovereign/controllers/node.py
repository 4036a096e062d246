"""Reconciling a node: facts are withdrawn from a machine that they were not set for, and contradictions are told."""

import json
import logging
from typing import Any, Final

from sovereign.api.conditions import Reason
from sovereign.api.meta import ANNOTATION_WITHDRAWN, FACT_IDENTITY, TOPOLOGY_REGION, approving_policy
from sovereign.cluster.client import ApiError
from sovereign.cluster.events import Subject
from sovereign.cluster.metrics import IDENTITY_CHANGES
from sovereign.cluster.queue import Key
from sovereign.cluster.resources import NODES
from sovereign.controllers.context import Context, Outcome, Retry
from sovereign.controllers.objects import POLICY
from sovereign.plan import identity
from sovereign.plan.inventory import Node
from sovereign.plan.placement import contradiction, rejection

logger = logging.getLogger(__name__)
CONTRADICTIONS_TOLD: Final = 100
"""Nodes that are told of a contradiction. Beyond, regions have other names in the cluster than in the facts, and doctor lists them."""


class NodeController:
    """One reconcile of one node."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._told: dict[str, tuple[str, ...]] = {}
        """By node: the contradiction it was told of last."""

    async def reconcile(self, key: Key) -> Outcome:
        """Say what contradicts its facts, and withdraw them where it is another machine."""
        node = self._context.store.nodes.get(key.name)
        if node is None:
            return None
        self._contradict(node)
        return await self._withdraw(key.name) if identity.other_machine(node) else None

    def _contradict(self, node: Node) -> None:
        message = contradiction(node)
        found = (node.uid, node.region, node.labels.get(TOPOLOGY_REGION, ""))
        for name in [name for name in self._told if name not in self._context.store.nodes]:
            del self._told[name]
        if not message:
            self._told.pop(node.name, None)
            return
        if self._told.get(node.name) == found or len(self._told) >= CONTRADICTIONS_TOLD:
            return
        self._told[node.name] = found
        self._tell(node, Reason.NODE_FACT_MISMATCH, message)

    async def _withdraw(self, name: str) -> Outcome:
        """Take the facts off, if the API server too has another machine there, and nobody sets them in this moment."""
        client, path = self._context.client, NODES.path(name=name)
        try:
            live = await client.get(path)
            node = Node.from_manifest(live)
            if not identity.other_machine(node):
                return None
            await client.patch(path, {"metadata": _withdrawal(node, live["metadata"]["resourceVersion"])})
        except ApiError as error:
            if error.not_found:
                return None
            if error.conflict:
                return Retry(f"node {name} was changed while its facts were being withdrawn")
            raise
        self._report(node)
        return None

    def _report(self, node: Node) -> None:
        facts = identity.facts(node)
        again = f"; if it may have them, set them again: {identity.command(node.name, facts)}" if facts else ""
        message = (
            f"node {node.name} is another machine than its facts were set for (another {', '.join(identity.differences(node))}), so "
            f"they were withdrawn and no policy approves it{again}"
        )
        logger.warning(message)
        IDENTITY_CHANGES.inc()
        self._tell(node, Reason.IDENTITY_CHANGED, message)
        store = self._context.store
        # Not by the labels: a policy's own reconcile may have taken its label off before.
        machine = identity.rebound(node)
        for policy in store.policies:
            item = store.objects.get(Key(POLICY, "", policy.name))
            if item is not None and rejection(machine, policy) is None:
                self._context.tell(item, "Warning", Reason.IDENTITY_CHANGED, message)

    def _tell(self, node: Node, reason: Reason, message: str) -> None:
        self._context.events.emit(Subject("v1", "Node", "", node.name, node.uid), "Warning", reason, message)


def _withdrawal(node: Node, version: str) -> dict[str, Any]:
    """The metadata that takes away what was granted to the machine before; what it was is kept for people."""
    facts = identity.facts(node)
    approved = [label for label in node.labels if approving_policy(label)]
    metadata: dict[str, Any] = {
        "resourceVersion": version,
        "labels": dict.fromkeys([*facts, *approved, FACT_IDENTITY]),
    }
    if facts:
        metadata["annotations"] = {ANNOTATION_WITHDRAWN: json.dumps(facts)}
    return metadata
