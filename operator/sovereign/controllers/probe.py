"""Probing the network: which pool is probed next on which node, and what came of it.

One key of the queue does it all, so what probes may cost is counted for the whole cluster. What was seen stands in the
pools' statuses; everything else is forgotten when the operator ends, and Jobs that it leaves behind are removed by the next,
unread: their listener may have been gone while they ran.
"""

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from sovereign.api.conditions import Reason
from sovereign.api.pool import NodeProbe
from sovereign.cluster.metrics import NETWORK_PROBES
from sovereign.cluster.queue import Key
from sovereign.cluster.status import now
from sovereign.controllers.context import Context, Later, Outcome
from sovereign.controllers.objects import Object
from sovereign.controllers.probe_jobs import PATIENCE, Made, ProbeJobs
from sovereign.controllers.store import PROBES
from sovereign.plan.enforcement import Ended, Finding, age, judge, recorded
from sovereign.plan.inventory import InferencePool, NetworkProbes
from sovereign.plan.probe import control_job, deadline, probe_job

logger = logging.getLogger(__name__)
SETTLE: Final = 10.0
"""Seconds that the network plugin has to take in a network policy, before it is probed."""
MARGIN: Final = 15.0
"""Seconds beyond the Jobs' own deadline after which a probe is given up whatever the cluster says."""
BACKOFF: Final = 30.0
"""Seconds until a probe that showed nothing is tried again; doubled each time, up to the interval."""


@dataclass
class _Place:
    """One node that runs a pod of one pool."""

    uid: str
    policy: str
    """Hash of the network policy that was last seen."""
    due: float
    """When it is probed next, by the monotonic clock."""
    known: NodeProbe | None
    failures: int = 0
    running: bool = False
    wanted: bool = True
    """Whether a pod of the pool is there now. It may be back in a moment, as in a rollout."""


@dataclass(frozen=True)
class _Probe:
    """A probe under way."""

    pool: Key
    owner_uid: str
    node: str
    place: _Place
    policy: str
    started: float
    probe: Made
    control: Made


class Prober:
    """Level-triggered: each pass looks at the Jobs as they are, and at what is due."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._jobs = ProbeJobs(context)
        self._pools: dict[Key, dict[str, _Place]] = {}
        self._running: list[_Probe] = []

    # --- for the controller of pools ----------------------------------------------------------------

    def forget(self, pool: Key) -> None:
        """Probe a pool no more."""
        if self._pools.pop(pool, None) is not None:
            self._context.queue.add(PROBES)

    def known(self, item: Object, nodes: Mapping[str, str], policy: str) -> list[NodeProbe]:
        """What probes have shown on the nodes (uids by name) that run a pod of a pool; what is missing is probed soon.

        ``policy`` is a hash of the pool's network policy: another one is probed soon, too.
        """
        probes = self._context.settings.probes
        assert probes is not None
        places = self._pools.setdefault(item.key, {})
        self._leave(places, nodes, probes)
        written = {probe.node: probe for probe in _written(item.status)}
        clock, settle = time.monotonic(), min(SETTLE, probes.interval / 4)
        for node, uid in nodes.items():
            place = places.get(node)
            if place is None:
                seen = written.get(node)
                seen = seen if seen is not None and seen.node_uid == uid else None
                place = places[node] = _Place(uid, policy, clock + _wait(seen, policy, probes, settle), seen)
            elif place.policy != policy:
                place.policy, place.failures, place.due = policy, 0, clock + settle
            elif place.wanted:
                continue
            place.wanted = True
            self._context.queue.add_after(PROBES, max(place.due - clock, 0.0))
        return [places[node].known for node in sorted(nodes) if places[node].known is not None]  # type: ignore[misc]

    def _leave(self, places: dict[str, _Place], nodes: Mapping[str, str], probes: NetworkProbes) -> None:
        """Take note of nodes that run no pod any more, and forget those that have not for long, or are other machines now."""
        for node, place in list(places.items()):
            place.wanted = place.wanted and node in nodes
            if nodes.get(node, place.uid) != place.uid or (
                not place.wanted and node not in nodes and place.due + probes.interval < time.monotonic()
            ):
                del places[node]

    # --- the pass -----------------------------------------------------------------------------------

    async def reconcile(self, _: Key) -> Outcome:
        """Read probes that have ended, remove their Jobs, begin those that are due."""
        probes = self._context.settings.probes
        if probes is None:
            await self._jobs.sweep(())
            return None
        for probe in list(self._running):
            self._conclude(probe, probes)
        await self._sweep()
        while len(self._running) < probes.concurrency and (following := self._next()) is not None:
            await self._begin(*following, probes)
        return self._later(probes)

    async def _sweep(self) -> None:
        await self._jobs.sweep({job.uid for probe in self._running for job in (probe.probe, probe.control)})

    def _waiting(self) -> Iterator[tuple[float, Key, str]]:
        for key, places in self._pools.items():
            for node, place in places.items():
                if place.wanted and not place.running:
                    yield place.due, key, node

    def _next(self) -> tuple[Object, str, _Place] | None:
        """The pool and node that have waited longest, of those whose turn has come."""
        clock = time.monotonic()
        for due, key, node in sorted(self._waiting()):
            if due > clock:
                break
            item = self._item(key)
            if item is not None:
                return item, node, self._pools[key][node]
            self._pools.pop(key, None)
        return None

    def _item(self, key: Key) -> Object | None:
        store = self._context.store
        item = store.objects.get(key)
        if item is None or item.spec is None or item.deleting or key.namespace in store.terminating:
            return None
        return item

    async def _begin(self, item: Object, node: str, place: _Place, probes: NetworkProbes) -> None:
        settings, started = self._context.settings, time.monotonic()
        pool = InferencePool(item.owner, item.spec)
        governance = self._context.store.governance(item.owner.namespace)
        # Both at once: what the control reaches must be there while the probe fails to reach it.
        probe, control = await asyncio.gather(
            self._jobs.make(probe_job(pool, node, governance, settings, probes)),
            self._jobs.make(control_job(pool, node, settings, probes)),
        )
        place.running = True
        running = _Probe(item.key, item.owner.uid, node, place, place.policy, started, probe, control)
        self._running.append(running)
        if probe.problem or control.problem:
            self._conclude(running, probes)
            await self._sweep()

    def _later(self, probes: NetworkProbes) -> Later | None:
        """When to look again although nothing has happened."""
        clock = time.monotonic()
        times = []
        for probe in self._running:
            early = probe.started + PATIENCE
            times.append(early if clock < early else probe.started + deadline(probes) + MARGIN)
        if len(self._running) < probes.concurrency:
            times += [due for due, _, _ in self._waiting()]
        return Later(max(min(times) - clock, 0.0)) if times else None

    # --- what came of it ----------------------------------------------------------------------------

    def _conclude(self, probe: _Probe, probes: NetworkProbes) -> None:
        """Take down what a probe has shown, if it is through, or nobody wants to know any more."""
        item = self._item(probe.pool)
        here = self._pools.get(probe.pool, {}).get(probe.node) is probe.place
        if item is None or item.owner.uid != probe.owner_uid or not here:
            self._end(probe)
            return
        waited, limit = time.monotonic() - probe.started, deadline(probes) + MARGIN
        ended = [self._jobs.ended(job, waited, limit) for job in (probe.probe, probe.control)]
        if None in ended and not any(one is not None and one.problem for one in ended):
            return
        self._end(probe)
        of_probe, of_control = (one or Ended() for one in ended)
        self._take(item, probe, judge(probe.node, probes.targets, of_probe, of_control), probes)

    def _end(self, probe: _Probe) -> None:
        self._running.remove(probe)
        probe.place.running = False

    def _take(self, item: Object, probe: _Probe, finding: Finding, probes: NetworkProbes) -> None:
        place = probe.place
        place.known = recorded(place.known, finding, probe.node, place.uid, probe.policy, now())
        unknown = finding.outcome == "Unknown"
        delay = min(BACKOFF * 2.0 ** min(place.failures, 20), probes.interval) if unknown else probes.interval
        place.failures = place.failures + 1 if unknown else 0
        if place.policy == probe.policy:
            place.due = time.monotonic() + delay
        NETWORK_PROBES.labels(finding.outcome.lower()).inc()
        if finding.outcome == "Reached":
            self._context.tell(item, "Warning", Reason.EGRESS_REACHABLE, finding.message)
        if finding.outcome != "Refused":
            logger.warning("Pool %s/%s: %s", item.owner.namespace, item.owner.name, finding.message)
        self._context.queue.add(probe.pool)


def _wait(seen: NodeProbe | None, policy: str, probes: NetworkProbes, settle: float) -> float:
    """Seconds until a node that comes into sight is probed; ``seen`` is what its pool's status says of it."""
    old = age(seen, time.time()) if seen is not None else None
    if seen is None or old is None or seen.policy != policy or seen.outcome == "Unknown":
        return settle
    return max(probes.interval - old, settle)


def _written(status: Mapping[str, Any]) -> list[NodeProbe]:
    """The probes that a status records; what is not as the operator writes it counts as not there."""
    network = status.get("network")
    entries = network.get("probes") if isinstance(network, Mapping) else None
    found = []
    for entry in entries or ():
        try:
            found.append(NodeProbe.model_validate(entry))
        except ValidationError:
            continue
    return found
