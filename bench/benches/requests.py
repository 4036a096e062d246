"""requests: what the operator asks of the API server for a model and its pool, counted in the audit log by user agent.

Without watches and leases; Events are counted apart. Controllers run, as they do in a cluster.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from bench import places
from bench.ground import Ground, Manifest, many, wait
from bench.places import MODELS, POOLS
from bench.results import Result
from bench.stats import result
from bench.suite import Work
from sovereign.api.meta import LABEL_POOL
from sovereign.cluster.client import Client
from sovereign.cluster.resources import BY_KIND
from testbed.chaos.operator import Process

_AGENT: Final = "sovereign-operator"
_DEPLOYMENTS: Final = BY_KIND["Deployment"]
_REST: Final = 10.0
_SHORT_REST: Final = 3.0
_FEW: Final = 100


class Requests:
    """One set of models with pools, from its creation to its end."""

    def __init__(self, ground: Ground, size: int) -> None:
        self.ground = ground
        self.names = places.names(size)
        self.place = places.make(ground, f"requests-{size}")
        self.events = 0

    def counted(self, metric: str, program: Process, act: Callable[[], object], note: str = "") -> Result:
        """How many requests the operator sends while and after ``act`` happens, for each model; and which."""
        since = self.ground.position()
        act()
        self.ground.settle(program)
        found = self.ground.requests(since, _AGENT)
        kinds = Counter(f"{one.verb} {one.resource}" for one in found if one.resource != "events")
        self.events += len(found) - kinds.total()
        which = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        return result(metric, [kinds.total() / len(self.names)], "requests", len(self.names), note=note or which)

    def create(self) -> None:
        """All models with their pools; returns when they are ready."""

        async def work(client: Client) -> None:
            await places.load(client, self.place, self.names)
            for resource in (MODELS, POOLS):
                await places.all_seen(client, resource.path(self.place), places.READY, len(self.names))

        self.ground.run(work)

    def change(self) -> None:
        """One field of each pool; returns when each Deployment is another."""

        async def work(client: Client) -> None:
            patch = {"spec": {"maxNumSeqs": 32}}
            await many(client.patch(POOLS.path(self.place, name), patch) for name in self.names)
            await places.all_seen(client, _DEPLOYMENTS.path(self.place), _changed, len(self.names))

        self.ground.run(work)

    def delete(self) -> None:
        """All pools, then all models; returns when the garbage collector has removed the children."""

        async def work(client: Client) -> None:
            for resource in (POOLS, MODELS):
                await client.delete(resource.path(self.place))

        async def gone(client: Client) -> bool:
            few = {"limit": "1", "labelSelector": LABEL_POOL}
            kinds = (BY_KIND[kind] for kind in ("Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget"))
            return not any([(await client.get(kind.path(self.place), few))["items"] for kind in kinds])

        self.ground.run(work)
        wait("the children to go", lambda: self.ground.run(gone), pause=0.5)


def _changed(deployment: Manifest) -> str:
    return str(deployment["metadata"]["name"]) if deployment["metadata"]["generation"] > 1 else ""


def run(ground: Ground, work: Work) -> Iterator[Result]:
    """Creation, rest, a change, deletion of so many models with pools."""
    size = work.size
    requests = Requests(ground, size)
    program = ground.leading()
    try:
        yield requests.counted("requests.create", program, requests.create)
        pause = _REST if size >= _FEW else _SHORT_REST
        yield requests.counted("requests.rest", program, lambda: time.sleep(pause), note=f"for {pause:.0f} s")
        yield requests.counted("requests.change", program, requests.change)
        yield requests.counted("requests.delete", program, requests.delete)
        yield result("requests.events", [requests.events / size], "requests", size)
    finally:
        program.stop()
        ground.run(lambda client: places.empty(client, requests.place))
