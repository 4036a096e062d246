"""Failover: the leader is killed, or stands still; how long after its lease has run out does the standby put right what changed meanwhile.

The lease runs out when it says itself (``renewTime`` and ``leaseDurationSeconds``). Between that and the answer to the first correct
write, by the audit log, lie noticing it, taking the lease, and whatever the standby does first. All clocks are this machine's.
"""

import signal
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from bench.ground import Ground, NotInTimeError, wait
from bench.loaded import asked, loaded
from bench.results import Result
from bench.stats import result
from bench.suite import Work
from charts import sync
from sovereign.cluster.client import Client
from sovereign.cluster.resources import BY_KIND, LEASES
from testbed.chaos.operator import Process

_LEASE: Final = {"SOVEREIGN_LEASE_DURATION": "4"}
_FIELD: Final = {"maxNumSeqs": 77}
_ARGUMENT: Final = "--max-num-seqs=77"
"""What the changed field becomes in the child."""
_PATIENCE: Final = 120.0


class Failovers:
    """Failovers on one ground."""

    def __init__(self, ground: Ground, place: str, leader: Process) -> None:
        self._ground = ground
        self._place = place
        self._leader = leader

    def fail(self, name: str, number: int) -> float:
        """Seconds from the expiry of the leader's lease to the standby's write, after the pool ``name`` was changed between them."""
        standby = self._ground.program(**_LEASE)
        wait("the standby to be ready", lambda: standby.get("/readyz") == "ok", _PATIENCE)
        since = self._ground.position()
        self._leader.popen.send_signal(number)
        path = BY_KIND["InferencePool"].path(self._place, name)
        self._ground.run(lambda client: client.patch(path, {"spec": _FIELD}))
        expires = self._ground.run(self._expiry)
        wait("the standby to lead", lambda: standby.leads, _PATIENCE)
        wait("the child to be right", lambda: self._ground.run(lambda client: self._right(client, name)), _PATIENCE)
        written = self._written(since, name)
        self._end(number)
        self._leader = standby
        return written - expires

    async def _expiry(self, client: Client) -> float:
        return expiry(await client.get(LEASES.path(sync.NAMESPACE, sync.RELEASE)))

    async def _right(self, client: Client, name: str) -> bool:
        deployment = await client.get(BY_KIND["Deployment"].path(self._place, name))
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        return _ARGUMENT in [*container.get("command", ()), *container.get("args", ())]

    def _written(self, since: int, name: str) -> float:
        """When the write that made the child right was answered."""
        return min(
            one.answered
            for one in asked(self._ground, since)
            if one.writes and (one.resource, one.name) == ("deployments", name) and one.code < 300
        )

    def end(self) -> None:
        """Stop whoever leads."""
        if self._leader.runs:
            self._leader.stop()

    def _end(self, number: int) -> None:
        """See the old leader end: one that stood still does so by itself when it goes on."""
        self._leader.popen.send_signal(signal.SIGCONT)
        code = self._leader.popen.wait(30)
        wanted = 1 if number == signal.SIGSTOP else -number
        if code != wanted:
            raise NotInTimeError(f"the old leader ended with {code}, not with {wanted}")


def expiry(lease: dict[str, Any]) -> float:
    """When a lease runs out unless it is renewed, in seconds since the epoch, by the clock of its holder."""
    spec = lease["spec"]
    return datetime.fromisoformat(spec["renewTime"]).timestamp() + float(spec["leaseDurationSeconds"])


def run(ground: Ground, work: Work) -> Iterator[Result]:
    """Failovers with so many models in place, killed and stopped in turn."""
    place = f"failover-{work.size}"
    with loaded(ground, place, work.size) as operator:
        operator.stop()
        failovers = Failovers(ground, place, ground.leading(**_LEASE))
        signals = (signal.SIGKILL, signal.SIGSTOP)
        try:
            samples = [
                failovers.fail(f"m{turn % work.size}", signals[turn % len(signals)])
                for turn in range(max(2, work.turns))
            ]
        finally:
            failovers.end()
        yield result("failover.seconds", samples, "s", work.size)
