"""The faults themselves: each is begun at its time, and most of them end by themselves."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from sovereign.api.crd import definition
from sovereign.api.kinds import KINDS
from sovereign.cluster.client import APPLY
from sovereign.cluster.resources import CHILDREN
from testbed.chaos.hands import persist
from testbed.chaos.proxy import Treatment, leases, lists, status, watches, writes
from testbed.chaos.replica import Replica, Trap
from testbed.chaos.schedule import HOLD, Fault, Kind
from testbed.chaos.stage import Stage, compact, kill_api_server, start_api_server

_CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_ANSWERS: Final = {
    Kind.THROTTLED: (429, "TooManyRequests", {"Retry-After": "1"}),
    Kind.ERROR: (500, "InternalError", {}),
    Kind.UNAVAILABLE: (503, "ServiceUnavailable", {}),
}


class Injector:
    """Begins faults, and puts everything right again."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._under_way: set[asyncio.Task[None]] = set()
        self._upgrades = 0
        self._doomed: list[Replica] = []
        """Those that are to be killed at a write that may never come."""
        self.compacted = 0

    async def begin(self, fault: Fault) -> None:
        """Do what the fault says; what takes longer goes on in the background until `heal`."""
        replica = self._stage.replicas[fault.replica]
        if fault.kind in _ANSWERS:
            self._answer_wrongly(replica, fault)
        elif fault.kind in _TRAPS:
            replica.traps.set(_TRAPS[fault.kind](fault))
        elif fault.kind in _ON_WATCHES:
            _ON_WATCHES[fault.kind](replica)
        elif fault.kind is Kind.CLOCK:
            replica.clock.set(fault.seconds)
        else:
            self._spawn(self._others[fault.kind](fault))

    async def heal(self) -> None:
        """End all faults; returns when everything runs that should."""
        if self._under_way:
            await asyncio.gather(*self._under_way)
        for replica in self._stage.replicas:
            replica.traps.clear()
            replica.proxy.mend()
        while self._doomed:  # no write came: they are killed all the same
            self._doomed.pop().signal(signal.SIGKILL)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    @property
    def _others(self) -> dict[Kind, Callable[[Fault], Awaitable[None]]]:
        return {
            Kind.CHILD: self._child,
            Kind.KILL_BEFORE: self._kill_at_write,
            Kind.KILL_AFTER: self._kill_at_write,
            Kind.KILL_LEADER: self._end,
            Kind.KILL_STANDBY: self._end,
            Kind.TERM_LEADER: self._end,
            Kind.TERM_STANDBY: self._end,
            Kind.FREEZE: self._freeze,
            Kind.PARTITION: self._partition,
            Kind.API_SERVER: self._restart,
            Kind.COMPACT: self._compact,
            Kind.CRDS: self._upgrade,
        }

    def _answer_wrongly(self, replica: Replica, fault: Fault) -> None:
        code, reason, headers = _ANSWERS[fault.kind]
        replica.traps.set(Trap(_not_lease, lambda _: status(code, reason, **headers), left=fault.count))

    async def _child(self, fault: Fault) -> None:
        """Whatever child is written next is deleted before the operator hears that it was written."""
        leader, loop = await self._stage.leader(), asyncio.get_running_loop()

        def treat(request: web.Request) -> Treatment:
            def delete() -> None:
                asyncio.run_coroutine_threadsafe(self._stage.forget(request.path), loop).result(10)

            return Treatment(after=delete)

        leader.traps.set(Trap(_applies_child, treat))

    async def _kill_at_write(self, fault: Fault) -> None:
        leader = await self._stage.leader()

        def kill() -> None:
            leader.signal(signal.SIGKILL, new_pod=_new_pod(fault))
            if leader in self._doomed:
                self._doomed.remove(leader)

        before = fault.kind is Kind.KILL_BEFORE
        treatment = Treatment(forward=False, before=kill) if before else Treatment(answer=False, after=kill)
        self._doomed.append(leader)
        leader.traps.set(Trap(writes, lambda _: treatment, skip=fault.count - 1))

    async def _end(self, fault: Fault) -> None:
        leads = fault.kind in (Kind.KILL_LEADER, Kind.TERM_LEADER)
        replica = await (self._stage.leader() if leads else self._stage.standby())
        kills = fault.kind in (Kind.KILL_LEADER, Kind.KILL_STANDBY)
        replica.signal(signal.SIGKILL if kills else signal.SIGTERM, new_pod=_new_pod(fault))

    async def _freeze(self, _: Fault) -> None:
        leader = await self._stage.leader()
        leader.signal(signal.SIGSTOP)
        await asyncio.sleep(HOLD)
        leader.signal(signal.SIGCONT)

    async def _partition(self, _: Fault) -> None:
        leader = await self._stage.leader()
        leader.proxy.sever()
        await asyncio.sleep(HOLD)
        leader.proxy.mend()

    async def _restart(self, _: Fault) -> None:
        await asyncio.to_thread(kill_api_server, self._stage.cluster)
        await asyncio.to_thread(start_api_server, self._stage.cluster)

    async def _compact(self, fault: Fault) -> None:
        """What the watches saw last is older than anything that is left, for etcd and for the API server's own cache."""
        for replica in self._stage.replicas:
            replica.proxy.sever()
        await asyncio.sleep(fault.seconds)  # the workload goes on, unseen
        await asyncio.to_thread(compact, self._stage.cluster)
        self.compacted += 1
        await self._restart(fault)
        for replica in self._stage.replicas:
            replica.proxy.mend()

    async def _upgrade(self, _: Fault) -> None:
        self._upgrades += 1
        for kind in KINDS:
            crd = definition(kind)
            schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
            if self._upgrades % 2:
                status_schema = schema["properties"].setdefault("status", {"type": "object"})
                field = {"type": "string", "description": "Of no meaning."}
                status_schema.setdefault("properties", {})["chaos"] = field
            path = f"{_CRDS}/{crd['metadata']['name']}"
            await persist(lambda p=path, c=crd: self._put(p, c))  # type: ignore[misc]

    async def _put(self, path: str, crd: dict[str, Any]) -> None:
        await self._stage.client.patch(path, crd, kind=APPLY, params={"fieldManager": "chaos", "force": "true"})


def _new_pod(fault: Fault) -> bool:
    """Whether another pod takes its place; else its container is started again, and may take its own lease at once."""
    return fault.count % 2 == 0


def _not_lease(request: web.Request) -> bool:
    return not leases(request)


def _answered_once(request: web.Request) -> bool:
    return not leases(request) and not watches(request)


_PLURALS: Final = frozenset(resource.plural for resource in CHILDREN)


def _applies_child(request: web.Request) -> bool:
    parts = request.path.split("/")
    return request.method == "PATCH" and len(parts) > 1 and parts[-2] in _PLURALS


_TRAPS: Final[dict[Kind, Callable[[Fault], Trap]]] = {
    Kind.SLOW: lambda fault: Trap(_answered_once, lambda _: Treatment(delay=fault.seconds), left=fault.count),
    Kind.RESET: lambda fault: Trap(_not_lease, lambda _: Treatment(forward=False), left=fault.count),
    Kind.LOST: lambda _: Trap(writes, lambda _: Treatment(answer=False)),
}


def _expire(replica: Replica) -> None:
    again = Trap(lambda r: watches(r) or lists(r), lambda _: status(410, "Expired"), left=30)
    replica.traps.set(again)
    replica.proxy.cut()


_ON_WATCHES: Final[dict[Kind, Callable[[Replica], object]]] = {
    Kind.CUT: lambda replica: replica.proxy.cut(),
    Kind.TORN: lambda replica: replica.proxy.tear(),
    Kind.EXPIRED: _expire,
}
