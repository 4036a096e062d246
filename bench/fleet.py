"""Many nodes with governed pods that nobody runs, under a policy of their own: what a fact or a policy moves.

The pods are made by hand, bound and marked lawful, while the policy only reports; the controllers that would remove them stand still.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from bench import objects
from bench.ground import Ground, Manifest, many, wait
from bench.tail import Tail
from sovereign.api.meta import FACT_JURISDICTION, FACT_REGION, LABEL_COMPLIANT
from sovereign.cluster.client import Client
from sovereign.cluster.resources import BY_KIND, NAMESPACES, NODES, PODS, VOLUMES
from testbed.audit import Request
from testbed.chaos.operator import Process
from testbed.objects import shared_claim

AGENT: Final = "sovereign-operator"
HERE: Final = "IE"
"""The jurisdiction of these nodes, which no other policy or node of the benches has."""
_QUIET: Final = ("kube-controller-manager", "kube-scheduler", "kwok")
_POLICIES: Final = BY_KIND["SovereigntyPolicy"]
_POOLS: Final = BY_KIND["InferencePool"]
_MODELS: Final = BY_KIND["SovereignModel"]
_DEPLOYMENTS: Final = BY_KIND["Deployment"]
_CLAIMS: Final = BY_KIND["PersistentVolumeClaim"]
_NOW: Final = {"gracePeriodSeconds": 0}


class Fleet:
    """As many pools as nodes; each pool has ``per_node`` pods, on as many nodes, and each node as many, of as many pools."""

    def __init__(self, ground: Ground, name: str, per_node: int, regions: int) -> None:
        self.ground = ground
        self.name = name
        self.size = 0
        self._per_node = per_node
        self._regions = regions
        self._pods: dict[str, set[str]] = {}

    def node(self, number: int) -> str:
        """The name of a node."""
        return f"{self.name}-{number}"

    def region(self, number: int) -> str:
        """The region of a node."""
        return f"{self.name}-{number % self._regions}"

    def pods(self, number: int) -> set[str]:
        """The names of a node's pods."""
        return self._pods[self.node(number)]

    def pool_of(self, pod: str) -> str:
        """The name of a pod's pool."""
        return pod.partition("-")[0]

    # --- making -------------------------------------------------------------------------------------

    def found(self, **spec: Any) -> None:
        """Make the namespace, the claim and the model that all pools share, and the policy, which only reports."""
        labels = {"fleet": self.name}
        placement = {"jurisdictions": [HERE]}
        policy = objects.policy(
            self.name, namespaceSelector={"matchLabels": labels}, placement=placement, enforcement="Audit", **spec
        )
        volume, claim = shared_claim(self.name)

        async def make(client: Client) -> None:
            await client.create(_POLICIES.path(), policy)
            await client.create(
                NAMESPACES.path(),
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}},
            )
            await client.create(VOLUMES.path(), volume)
            await client.create(_CLAIMS.path(self.name), claim)
            await client.create(_MODELS.path(self.name), objects.model(self.name, "m"))

        async def bound(client: Client) -> bool:
            found = await client.get(_CLAIMS.path(self.name, "weights"))
            return bool(found.get("status", {}).get("phase") == "Bound")

        self.ground.run(make)
        wait("the claim to be bound", lambda: self.ground.run(bound))

    def grow(self, size: int, tail: Tail) -> None:
        """Have so many nodes and pools, with their pods; the policy only reports meanwhile, and enforces afterwards."""
        numbers = range(self.size, size)
        if self.size:
            self.change(enforcement="Audit")
            tail.quiet()

        async def nodes_and_pools(client: Client) -> None:
            await many(client.create(NODES.path(), self._node(number)) for number in numbers)
            await many(client.create(_POOLS.path(self.name), self._pool(number)) for number in numbers)

        async def pods(client: Client) -> None:
            templates = {
                item["metadata"]["name"]: item["spec"]["template"]
                async for page in client.pages(_DEPLOYMENTS.path(self.name))
                for item in page["items"]
            }
            await many(client.create(PODS.path(self.name), one) for one in self._new_pods(numbers, templates))

        self.ground.run(nodes_and_pools)
        tail.until("all Deployments", lambda: len(written(tail.seen, "deployments")) >= size)
        tail.quiet()
        self.ground.run(pods)
        self.size = size
        tail.quiet()
        self.change(enforcement="Enforce")
        tail.quiet()

    def _node(self, number: int) -> Manifest:
        node = objects.node(self.node(number), HERE)
        node["metadata"]["labels"] |= {FACT_REGION: self.region(number), "fleet": self.name}
        return node

    def _pool(self, number: int) -> Manifest:
        pool = objects.pool(self.name, f"p{number}")
        pool["spec"]["modelRef"] = {"name": "m"}
        return pool

    def _new_pods(self, numbers: range, templates: dict[str, Manifest]) -> Iterator[Manifest]:
        width = self._per_node
        for number in numbers:
            first = number - number % width
            pools = [f"p{pool}" for pool in range(first, first + width) if f"p{pool}" in templates]
            self._pods[self.node(number)] = {f"{pool}-{number}" for pool in pools}
            for pool in pools:
                yield _pod(f"{pool}-{number}", pool, self.node(number), templates[pool])

    # --- changing -----------------------------------------------------------------------------------

    def change(self, **spec: Any) -> None:
        """Change the policy."""
        self.ground.run(lambda client: client.patch(_POLICIES.path(name=self.name), {"spec": spec}))

    def place(self, number: int, jurisdiction: str) -> None:
        """Change where a node is said to be."""
        body = {"metadata": {"labels": {FACT_JURISDICTION: jurisdiction}}}
        self.ground.run(lambda client: client.patch(NODES.path(name=self.node(number)), body))

    def remove_pods(self, number: int) -> None:
        """Have the pods of a node end, as its kubelet would."""
        names = self._pods.pop(self.node(number))
        self.ground.run(lambda client: many(client.delete(PODS.path(self.name, name), _NOW) for name in names))

    def clear(self) -> None:
        """Remove pods, pools and nodes; the rest goes with namespace and policy."""

        async def remove(client: Client) -> None:
            pods = [name for names in self._pods.values() for name in names]
            await many(client.delete(PODS.path(self.name, name), _NOW) for name in pods)
            await client.delete(_POLICIES.path(name=self.name))
            await many(client.delete(NODES.path(name=self.node(number))) for number in range(self.size))

        self.ground.run(remove)

    def leave(self) -> None:
        """Remove the namespace, and wait until no rule of the policy is left."""
        rules = BY_KIND["ValidatingAdmissionPolicyBinding"]

        async def remove(client: Client) -> None:
            await client.delete(NAMESPACES.path(name=self.name))
            await client.delete(VOLUMES.path(name=f"shared-{self.name}"))

        async def gone(client: Client) -> bool:
            items = (await client.get(rules.path()))["items"]
            return not any(item["metadata"]["name"].startswith(f"sovereign-{self.name}-") for item in items)

        self.ground.run(remove)
        wait("the rules to go", lambda: self.ground.run(gone), pause=0.5)


def written(requests: list[Request], *resources: str) -> set[str]:
    """The names of the objects of these resources that were written."""
    return {one.name for one in requests if one.writes and one.resource in resources}


def _pod(name: str, pool: str, node: str, template: Manifest) -> Manifest:
    """A pod as the Deployment's would be, bound to ``node``."""
    replicas = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{pool}-bench", "uid": f"{pool}-bench"}
    labels = template["metadata"]["labels"] | {LABEL_COMPLIANT: "true", "pod-template-hash": "bench"}
    metadata = {"name": name, "labels": labels, "ownerReferences": [replicas | {"controller": True}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"] | {"nodeName": node}}


@contextmanager
def fleet(
    ground: Ground, name: str, *, per_node: int, regions: int = 1, **spec: Any
) -> Iterator[tuple[Fleet, Process]]:
    """An empty fleet under a policy of this ``spec``, and the operator that leads; all is removed at the end."""
    made = Fleet(ground, name, per_node, regions)
    made.found(**spec)
    try:
        with ground.stopped(*_QUIET):
            program = ground.leading()
            try:
                yield made, program
            finally:
                program.stop()
                made.clear()
    finally:
        made.leave()
