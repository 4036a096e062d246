"""The Jobs of network probes: made, read and removed."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from sovereign.api.meta import FIELD_MANAGER
from sovereign.cluster import apply
from sovereign.cluster.client import ApiError
from sovereign.cluster.queue import Key
from sovereign.cluster.resources import BY_KIND
from sovereign.cluster.rows import PROBE_KIND, JobState, Pod, child
from sovereign.controllers.context import Context
from sovereign.controllers.store import PROBES
from sovereign.plan.enforcement import Ended, read
from sovereign.plan.inventory import Manifest
from sovereign.residency.verdicts import FINISHED

PATIENCE: Final = 20.0
"""Seconds after which a pod that says why it does not start is not waited for any more."""


@dataclass(frozen=True)
class Made:
    """A Job that this process made."""

    namespace: str = ""
    name: str = ""
    uid: str = ""
    problem: str = ""
    """Why it could not be made."""


class ProbeJobs:
    """What the API server holds of probes."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._removed: set[str] = set()

    async def make(self, manifest: Manifest) -> Made:
        """Make a Job under a new name, which no earlier one stands in the way of."""
        path = BY_KIND["Job"].path(manifest["metadata"]["namespace"])
        try:
            stored = await self._context.client.create(path, manifest, {"fieldManager": FIELD_MANAGER})
        except ApiError as error:
            return Made(problem=f"its Job was refused: {error.message or error.reason}")
        self._context.caches["Job"].put(child(stored, "Job"))
        metadata = stored["metadata"]
        return Made(metadata["namespace"], metadata["name"], metadata["uid"])

    def ended(self, job: Made, waited: float, limit: float) -> Ended | None:
        """How a Job's pod ended; None while it has not, and ``limit`` seconds are not over."""
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
        return _unfinished(pods[0] if pods else None, failure, waited, limit)

    async def sweep(self, kept: Collection[str]) -> None:
        """Remove the Jobs of all probes but those with the uids ``kept``; an operator that was killed leaves some behind."""
        jobs = self._context.caches["Job"].rows
        found = [jobs.get((name.namespace, name.name)) for name in self._context.store.children.get(PROBES, ())]
        rows = {row.uid: row for row in found if row is not None and row.uid not in kept}
        self._removed &= rows.keys()
        for uid, row in rows.items():
            if uid not in self._removed and not row.deleting:
                await apply.delete(self._context.client, row)
                self._removed.add(uid)


def _unfinished(pod: Pod | None, failure: str, waited: float, limit: float) -> Ended | None:
    """Why a pod that has not ended is not waited for any more; None while it is."""
    if pod is None and (failure or waited > limit):
        return Ended(problem="no pod was made for its Job; Events FailedCreate in its namespace say why")
    if pod is not None and failure and pod.deleting:
        return Ended(problem=f"{pod.message}; {failure}" if pod.message else failure)
    if pod is not None and pod.message and waited > PATIENCE:
        return Ended(problem=f"its pod does not start: {pod.message}")
    return Ended(problem=f"it did not end within {limit:.0f} s") if waited > limit else None
