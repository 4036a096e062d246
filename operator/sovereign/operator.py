"""The running operator: watches, caches, workers and the lease, put together and taken apart in order."""

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import msgspec

from sovereign import __version__, handlers
from sovereign.cluster import allocator, metrics
from sovereign.cluster.account import Account
from sovereign.cluster.client import ApiError, Client
from sovereign.cluster.connection import Connection
from sovereign.cluster.endpoints import serve
from sovereign.cluster.events import Events
from sovereign.cluster.evidence import Recorder
from sovereign.cluster.framework import kopf
from sovereign.cluster.lease import DURATION, Lease, Timing
from sovereign.cluster.listener import listen
from sovereign.cluster.queue import Key, Queue
from sovereign.cluster.reflector import Reflector
from sovereign.cluster.resources import CHILDREN, MUTATING, NAMESPACES, SELDOM, Resource
from sovereign.cluster.session import Watching
from sovereign.controllers.canary import Canaries
from sovereign.controllers.context import Context
from sovereign.controllers.dispatch import Dispatcher
from sovereign.controllers.engine import Engine
from sovereign.controllers.heartbeat import beat
from sovereign.controllers.model import ModelController
from sovereign.controllers.node import NodeController
from sovereign.controllers.objects import MODEL, POLICY, POOL, RUNTIME
from sovereign.controllers.policy import PolicyController
from sovereign.controllers.pool import PoolController
from sovereign.controllers.probe import Prober
from sovereign.controllers.read_back import Schemas
from sovereign.controllers.repair import PodRepair
from sovereign.controllers.static_pods import watch_events
from sovereign.controllers.store import NODE, POD, PROBES, Store
from sovereign.controllers.sweep import Sweep
from sovereign.evidence.signature import private_key
from sovereign.plan.inventory import Settings
from sovereign.watches import children, surroundings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

logger = logging.getLogger(__name__)
CONNECT_RETRY: Final = 2.0


@dataclass(frozen=True)
class Options:
    """How the process runs."""

    settings: Settings
    identity: str
    lease_name: str
    workers: int
    listen: str
    probe_listen: str = ""
    """Where network probes are answered; empty: nowhere."""
    canary_account: str = ""
    """The service account that canaries are sent as; empty: none are."""
    canary_interval: int = 0
    """Seconds from one round of canaries to the next; 0: none are sent."""
    evidence_interval: int = 300
    """Seconds from one heartbeat of the evidence ledger to the next."""
    evidence_key: str = ""
    """File with the Ed25519 key that signs the ledger; empty: it is not signed."""
    lease_duration: float = DURATION
    """Seconds."""


class Operator:
    """One operator process."""

    def __init__(self, connection: Connection, options: Options) -> None:
        self._connection = connection
        self._options = options
        self._stop = asyncio.Event()
        self._synced = asyncio.Event()
        self._failed = ""

    async def run(self) -> int:
        """Run until stopped; returns the exit code."""
        client, election = self._client(), self._client()
        metrics.TASKS.set_function(lambda: len(asyncio.all_tasks()))
        async with contextlib.AsyncExitStack() as stack:
            endpoints = await serve(self._options.listen, lambda: self._failed, self._readiness)
            stack.push_async_callback(endpoints.cleanup)
            if self._options.probe_listen:
                stack.callback((await listen(self._options.probe_listen)).close)
            await stack.enter_async_context(client)
            await stack.enter_async_context(election)
            return await self._run(client, election)

    def _client(self) -> Client:
        return Client(self._connection, f"sovereign-operator/{__version__}", metrics.observe_request)

    def _readiness(self) -> str:
        return "" if self._synced.is_set() else "caches are not synced yet"

    async def _run(self, client: Client, election: Client) -> int:
        settings = await self._discover(client)
        store, queue = Store(settings), Queue(standby=True)
        dispatcher = Dispatcher(store, queue)
        caches = {resource.kind: children(client, resource, dispatcher) for resource in self._served(settings)}
        watched = [*surroundings(client, dispatcher), *caches.values()]
        evidence = Recorder(self._options.identity, _print, self._signing_key())
        events = Events(client, evidence.record)
        context = Context(client, store, caches, queue, events, settings, evidence, dispatcher.vanished)
        lease = self._lease(election, evidence)
        client.may_write = lambda: lease.held
        metrics.LEADING.labels(self._options.lease_name).set_function(lambda: float(lease.leading.is_set()))
        ready = asyncio.Event()
        sweep = Sweep(client, store, dispatcher)
        kopf_task = asyncio.create_task(
            self._watch(dispatcher, Watching(sweep.paths, sweep.listed_again), ready), name="kopf"
        )
        tasks = [
            kopf_task,
            asyncio.create_task(sweep.run(), name="sweep"),
            *(asyncio.create_task(one.run(), name=one.resource.plural) for one in watched),
            asyncio.create_task(self._lead(context, dispatcher, lease, watched, ready), name="lead"),
        ]
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        done, _ = await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        code = self._report(done - {stopping})
        await _cancel([*(task for task in tasks if task is not kopf_task), stopping])
        await context.events.drain()
        await lease.release()
        await _cancel([kopf_task])
        logger.info("Stopped")
        return code

    def _lease(self, client: Client, evidence: Recorder) -> Lease:
        options = self._options
        timing = Timing.of(options.lease_duration)
        namespace = options.settings.operator_namespace
        return Lease(client, namespace, options.lease_name, options.identity, evidence, timing)

    def _report(self, ended: Iterable[asyncio.Task[Any]]) -> int:
        """Why it ended: 0 when asked to."""
        for task in ended:
            error = task.exception() if not task.cancelled() else None
            if error is not None:
                logger.error("%s failed", task.get_name(), exc_info=error)
                return 1
        return 1 if self._failed else 0

    def _signing_key(self) -> "Ed25519PrivateKey | None":
        return private_key(Path(self._options.evidence_key)) if self._options.evidence_key else None

    async def _discover(self, client: Client) -> Settings:
        """Wait for the API server, and see what it serves."""
        while True:
            try:
                served = await client.get("/apis/admissionregistration.k8s.io/v1")
                break
            except (aiohttp.ClientError, OSError, TimeoutError, ApiError) as error:
                logger.warning("The API server at %s does not answer yet: %s", self._connection.server, error)
                await asyncio.sleep(CONNECT_RETRY)
        names = {resource["kind"] for resource in served["resources"]}
        return msgspec.structs.replace(
            self._options.settings,
            mutating_admission=names.issuperset(MUTATING),
            operator_user=await _own_user(client) or self._options.settings.operator_user,
        )

    def _served(self, settings: Settings) -> list[Resource]:
        return [resource for resource in CHILDREN if settings.mutating_admission or resource.kind not in MUTATING]

    async def _watch(self, dispatcher: Dispatcher, watching: Watching, ready: asyncio.Event) -> None:
        """Run kopf until it is told to stop by a signal, or fails."""
        await kopf.operator(
            registry=handlers.registry(dispatcher, self._connection, watching),
            settings=handlers.settings(),
            standalone=True,
            clusterwide=True,
            ready_flag=ready,
        )
        self._stop.set()

    def _take_signals(self) -> None:
        """Stop on signals in our own order. kopf, told first, would wait 5 s for tasks that are ours."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)

    async def _lead(
        self,
        context: Context,
        dispatcher: Dispatcher,
        lease: Lease,
        caches: Sequence[Reflector[Any]],
        ready: asyncio.Event,
    ) -> None:
        """Sync, then take the lease and work."""
        started = time.monotonic()
        await ready.wait()
        self._take_signals()
        # The schema is compared while lists are on their way.
        await asyncio.gather(Schemas(context).look(), *(cache.synced.wait() for cache in caches))
        await self._first_look(context, dispatcher)
        self._synced.set()
        allocator.map_from(2 * allocator.BUFFER)
        logger.info("Caches are synced after %.1f s", time.monotonic() - started)
        async with contextlib.AsyncExitStack() as stack:
            canaries = await self._canaries(context, stack)
            await self._work(context, dispatcher, lease, canaries)

    async def _canaries(self, context: Context, stack: contextlib.AsyncExitStack) -> Canaries | None:
        account, interval = self._options.canary_account, self._options.canary_interval
        if not account or not interval:
            return None
        agent = f"sovereign-canary/{__version__}"
        made = Account(context.client, context.settings.operator_namespace, account, agent)
        return Canaries(context, await stack.enter_async_context(made), interval)

    async def _work(self, context: Context, dispatcher: Dispatcher, lease: Lease, canaries: Canaries | None) -> None:
        """Take the lease, then work as long as it is held."""
        repair, prober = PodRepair(context), Prober(context)
        reconcilers = {
            POLICY: PolicyController(context, canaries).reconcile,
            MODEL: ModelController(context).reconcile,
            POOL: PoolController(context, prober).reconcile,
            POD: repair.reconcile,
            NODE: NodeController(context).reconcile,
            PROBES.kind: prober.reconcile,
            RUNTIME: _nothing,
        }
        engine = Engine(context.queue, reconcilers, self._options.workers)
        election = asyncio.create_task(lease.run(self._lost), name="lease")
        try:
            await lease.leading.wait()
            working = [
                asyncio.create_task(engine.run(), name="workers"),
                asyncio.create_task(watch_events(context, dispatcher), name="static pods"),
                asyncio.create_task(Schemas(context).run(), name="schemas"),
                *([asyncio.create_task(canaries.run(), name="canaries")] if canaries is not None else []),
                asyncio.create_task(beat(context, self._options.evidence_interval), name="heartbeat"),
            ]
            try:
                await asyncio.wait([*working, election], return_when=asyncio.FIRST_COMPLETED)
            finally:
                await _cancel(working)
        finally:
            await _cancel([election])

    async def _first_look(self, context: Context, dispatcher: Dispatcher) -> None:
        """Read what kopf watches once: its handlers run per object and do not tell when the first listing is through."""
        for resource in SELDOM:
            listing = await context.client.get(resource.path(), {"resourceVersion": "0"})
            for item in listing["items"]:
                body = {"apiVersion": resource.api_version, "kind": resource.kind, **item}
                if resource is NAMESPACES:
                    dispatcher.namespace(False, body)
                else:
                    dispatcher.ours(False, body)
        for policy in context.store.labelled_policies():
            context.queue.add(Key(POLICY, "", policy))
        dispatcher.everything()

    def _lost(self) -> None:
        self._failed = "the lease was lost"
        self._stop.set()


def _print(line: bytes) -> None:
    """Write a line of evidence to standard output, beside the log on standard error."""
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


async def _own_user(client: Client) -> str:
    """As whom the API server knows the operator, so that rules about others leave it alone; nothing where it does not tell."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = await client.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
    except ApiError as error:
        logger.warning("The API server does not say who this is, so it is taken to be what was configured: %s", error)
        return ""
    return str(answer["status"]["userInfo"]["username"])


async def _nothing(_: Key) -> None:
    """A runtime has no children and no status; its pools are reconciled."""


async def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in (running := list(tasks)):
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
