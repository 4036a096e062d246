"""Probing the network: which pool is probed next on which node, and what came of it.

One key of the queue does it all, so what probes may cost is counted for the whole cluster. What was seen stands in the
pools' statuses; everything else is forgotten when the operator ends, and Jobs that it leaves behind are removed by the next,
unread: their listener may have been gone while they ran.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from sovereign.api.conditions import Reason
from sovereign.api.meta import FIELD_MANAGER
from sovereign.api.pool import NodeProbe
from sovereign.cluster import apply
from sovereign.cluster.client import ApiError
from sovereign.cluster.metrics import NETWORK_PROBES
from sovereign.cluster.queue import Key
from sovereign.cluster.resources import BY_KIND
from sovereign.cluster.rows import PROBE_KIND, JobState, Pod
from sovereign.cluster.status import now
from sovereign.controllers.context import Context, Later, Outcome
from sovereign.controllers.store import PROBES, Object
from sovereign.plan.enforcement import Ended, Finding, age, judge, read, recorded
from sovereign.plan.inventory import InferencePool, Manifest, NetworkProbes
from sovereign.plan.probe import control_job, deadline, probe_job
from sovereign.residency.verdicts import FINISHED

logger = logging.getLogger(__name__)
SETTLE: Final = 10.0
"""Seconds that the network plugin has to take in a network policy, before it is probed."""
PATIENCE: Final = 20.0
"""Seconds after which a pod that says why it does not start is not waited for any more."""
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


@dataclass(frozen=True)
class _Made:
    """A Job that this process made."""

    namespace: str = ""
    name: str = ""
    uid: str = ""
    problem: str = ""
    """Why it could not be made."""


@dataclass
class _Probe:
    """A probe under way."""

    pool: Key
    owner_uid: str
    node: str
    place: _Place
    policy: str
    started: float
    jobs: list[_Made] = field(default_factory=list)
    """The probe, and its control."""


class Prober:
    """Level-triggered: each pass looks at the Jobs as they are, and at what is due."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pools: dict[Key, dict[str, _Place]] = {}
        self._running: list[_Probe] = []
        self._removed: set[str] = set()

    # --- for the controller of pools ----------------------------------------------------------------

    def forget(self, pool: Key) -> None:
        """Probe a pool no more."""
        if self._pools.pop(pool, None) is not None:
            self._context.queue.add(PROBES)

    def known(self, item: Object, nodes: Mapping[str, str], policy: str) -> list[NodeProbe]:
        """What probes have shown on the nodes (uids by name) that run a pod of a pool; what is missing is probed soon."""
        probes = self._context.settings.probes
        assert probes is not None
        places = self._pools.setdefault(item.key, {})
        for gone in places.keys() - nodes.keys():
            del places[gone]
        written = {probe.node: probe for probe in _written(item.status)}
        clock = time.monotonic()
        settle = min(SETTLE, probes.interval / 4)
        for node, uid in nodes.items():
            if not uid:
                places.pop(node, None)
                continue
            place = places.get(node)
            if place is None or place.uid != uid:
                seen = written.get(node)
                places[node] = place = _first(
                    seen if seen and seen.node_uid == uid else None, uid, policy, probes, settle
                )
                self._wake(place.due)
            elif place.policy != policy:
                place.policy, place.failures, place.due = policy, 0, clock + settle
                self._wake(place.due)
        return [place.known for _, place in sorted(places.items()) if place.known is not None]

    def _wake(self, due: float) -> None:
        self._context.queue.add_after(PROBES, max(due - time.monotonic(), 0.0))

    # --- the pass -----------------------------------------------------------------------------------

    async def reconcile(self, _: Key) -> Outcome:
        """Read probes that have ended, remove their Jobs, begin those that are due."""
        for probe in list(self._running):
            self._conclude(probe)
        await self._sweep()
        probes = self._context.settings.probes
        if probes is None:
            return None
        while len(self._running) < probes.concurrency and (following := self._next()) is not None:
            await self._begin(*following, probes)
        return self._later(probes)

    def _next(self) -> tuple[Object, str, _Place] | None:
        """The pool and node that have waited longest, of those whose turn has come."""
        clock = time.monotonic()
        due = [
            (place.due, key, node)
            for key, places in self._pools.items()
            for node, place in places.items()
            if place.due <= clock and not place.running
        ]
        for _, key, node in sorted(due):
            item = self._item(key)
            if item is None:
                self._pools.pop(key, None)
            else:
                return item, node, self._pools[key][node]
        return None

    def _item(self, key: Key) -> Object | None:
        store = self._context.store
        item = store.objects.get(key)
        if item is None or item.spec is None or item.deleting or key.namespace in store.terminating:
            return None
        return item

    async def _begin(self, item: Object, node: str, place: _Place, probes: NetworkProbes) -> None:
        settings = self._context.settings
        pool = InferencePool(item.owner, item.spec)
        governance = self._context.store.governance(item.owner.namespace)
        probe = _Probe(item.key, item.owner.uid, node, place, place.policy, time.monotonic())
        jobs = (probe_job(pool, node, governance, settings, probes), control_job(pool, node, settings, probes))
        probe.jobs = list(await asyncio.gather(*(self._make(job) for job in jobs)))
        place.running = True
        self._running.append(probe)
        if any(job.problem for job in probe.jobs):
            self._conclude(probe)
            await self._sweep()

    async def _make(self, manifest: Manifest) -> _Made:
        path = BY_KIND["Job"].path(manifest["metadata"]["namespace"])
        try:
            stored = await self._context.client.create(path, manifest, {"fieldManager": FIELD_MANAGER})
        except ApiError as error:
            return _Made(problem=f"its Job was refused: {error.message or error.reason}")
        self._context.caches["Job"].put(stored)
        metadata = stored["metadata"]
        return _Made(metadata["namespace"], metadata["name"], metadata["uid"])

    def _later(self, probes: NetworkProbes) -> Later | None:
        """When to look again although nothing has happened."""
        clock = time.monotonic()
        times = [self._give_up(probe, clock, probes) for probe in self._running]
        if len(self._running) < probes.concurrency:
            times += [place.due for places in self._pools.values() for place in places.values() if not place.running]
        return Later(max(min(times) - clock, 0.0)) if times else None

    def _give_up(self, probe: _Probe, clock: float, probes: NetworkProbes) -> float:
        early = probe.started + PATIENCE
        return early if clock < early else probe.started + deadline(probes) + MARGIN

    # --- what came of it ----------------------------------------------------------------------------

    def _conclude(self, probe: _Probe) -> None:
        """Take down what a probe has shown, if it is through."""
        probes = self._context.settings.probes
        assert probes is not None
        item = self._item(probe.pool)
        wanted = self._pools.get(probe.pool, {}).get(probe.node) is probe.place
        if item is None or item.owner.uid != probe.owner_uid or not wanted:
            self._end(probe)
            return
        waited = time.monotonic() - probe.started
        ended = [self._ended(job, waited, probes) for job in probe.jobs]
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

    def _ended(self, job: _Made, waited: float, probes: NetworkProbes) -> Ended | None:
        """How a Job's pod ended; None while it has not."""
        if job.problem:
            return Ended(problem=job.problem)
        row = self._context.caches["Job"].rows.get((job.namespace, job.name))
        if row is None or row.uid != job.uid:
            return Ended(problem="its Job was deleted by somebody else")
        found = self._context.store.pods_of(Key(PROBE_KIND, job.namespace, job.name))
        pods = [pod for pod in found if pod.owner is not None and pod.owner.uid == job.uid]
        if len(pods) > 1:
            return Ended(problem="more than one pod says that it is the probe")
        for pod in pods:
            if pod.phase in FINISHED:
                return Ended(pod.node, read(pod.termination))
        failure = row.state.failure if isinstance(row.state, JobState) else ""
        return _unfinished(pods[0] if pods else None, failure, waited, deadline(probes) + MARGIN)

    async def _sweep(self) -> None:
        """Remove the Jobs of all probes that are not under way; an operator that was killed leaves some behind."""
        mine = {job.uid for probe in self._running for job in probe.jobs}
        jobs = self._context.caches["Job"].rows
        found = [jobs.get((name.namespace, name.name)) for name in self._context.store.children.get(PROBES, ())]
        rows = {row.uid: row for row in found if row is not None and row.uid not in mine}
        self._removed &= rows.keys()
        for uid, row in rows.items():
            if uid not in self._removed and not row.deleting:
                await apply.delete(self._context.client, row)
                self._removed.add(uid)


def _first(seen: NodeProbe | None, uid: str, policy: str, probes: NetworkProbes, settle: float) -> _Place:
    """A node that comes into sight; ``seen`` is what its pool's status says of it."""
    old = age(seen, time.time()) if seen is not None else None
    fresh = seen is not None and old is not None and seen.policy == policy and seen.outcome != "Unknown"
    wait = max(probes.interval - old, settle) if fresh and old is not None else settle
    return _Place(uid, policy, time.monotonic() + wait, seen)


def _unfinished(pod: Pod | None, failure: str, waited: float, limit: float) -> Ended | None:
    """Why a pod that has not ended is not waited for any more; None while it is."""
    if failure and (pod is None or pod.deleting):
        return Ended(problem=(f"{pod.message}; " if pod is not None and pod.message else "") + failure)
    if pod is not None and pod.message and waited > PATIENCE:
        return Ended(problem=f"its pod does not start: {pod.message}")
    if waited > limit:
        return Ended(
            problem=f"it did not end within {limit:.0f} s" if pod is not None else "no pod was made for its Job"
        )
    return None


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
