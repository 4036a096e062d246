"""Trying the rules: requests that they must refuse, at each interval and when the rules changed, on the leader.

It has a queue and a worker of its own: an API server that does not answer canaries holds up nothing else. What was seen
is kept in memory and stands in the policies' `Enforced`; a new leader tries anew, and leaves the condition as it is
until it knows better.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import aiohttp

from sovereign.api.conditions import Reason
from sovereign.cluster.account import Account
from sovereign.cluster.client import ApiError
from sovereign.cluster.events import Subject
from sovereign.cluster.metrics import CANARIES, CANARY_RULES, forget
from sovereign.cluster.queue import Key, Queue
from sovereign.controllers.context import Context
from sovereign.controllers.objects import POLICY, POOL, Object
from sovereign.plan.canaries import PREFIX, Canary, Ground, Trial, create, named
from sovereign.plan.policy import PolicyPlan
from sovereign.plan.proof import Answer, Finding, Outcome, Proof, judge

logger = logging.getLogger(__name__)
CONCURRENCY: Final = 4
"""Canaries at once in the whole cluster."""
PATIENCE: Final = 5.0
"""Seconds that one canary waits for its answer."""
SETTLE: Final = 5.0
"""Seconds that the API server has to take in an admission object. It looks for changes once a second."""
PAUSE: Final = 0.5
"""Seconds until a canary is sent again that was not refused, while the API server settles."""
_ADMISSION: Final = "AdmissionPolicy"
_GUARD: Final = Key("Guard", "", "")


@dataclass
class _Watched:
    """A policy that is enforced."""

    uid: str
    generation: int
    trials: tuple[tuple[str, Trial], ...]
    namespaces: tuple[str, ...]
    objects: tuple[tuple[str, str, int], ...]
    """Its admission objects as they were last seen: kind, name, resourceVersion."""
    began: float = 0.0
    """When its round began, by the monotonic clock."""
    settled_at: float = 0.0
    """When the API server must have taken them in."""
    rounds: int = 0
    findings: dict[str, Finding] = field(default_factory=dict)
    doubtful: tuple[str, ...] = ()
    """What is to be tried again before the round is over."""
    proof: Proof | None = None


class Canaries:
    """Level-triggered: each round tries what there is, and the last of them counts."""

    def __init__(self, context: Context, account: Account, interval: float) -> None:
        self._context = context
        self._account = account
        self._interval = interval
        self._queue = Queue()
        self._policies: dict[str, _Watched] = {}
        self._limit = asyncio.Semaphore(CONCURRENCY)
        self._guarded = True
        self._unguarded_at = 0.0
        """Since when the guard lets through what it must refuse, by the monotonic clock; 0: it does not."""

    # --- for the controller of policies -------------------------------------------------------------

    def renew(self, item: Object, plan: PolicyPlan) -> Proof | None:
        """Take in what is planned and was written; what is known about it, None before the first round.

        Other objects, or another generation, are tried at once.
        """
        owner, known = item.owner, self._policies.get(item.owner.name)
        objects = self._objects(owner.name)
        if known is None or (known.uid, known.generation) != (owner.uid, owner.generation):
            known = _Watched(owner.uid, owner.generation, plan.trials, (), ())
            self._policies[owner.name] = known
        first = not known.namespaces and bool(plan.namespaces)
        known.trials, known.namespaces = plan.trials, plan.namespaces
        if objects != known.objects or first:
            known.objects, known.doubtful = objects, ()
            known.settled_at = time.monotonic() + SETTLE
            self._queue.add(Key(POLICY, "", owner.name))
        return known.proof

    def forget(self, policy: str) -> None:
        """Try a policy no more."""
        if self._policies.pop(policy, None) is not None:
            for outcome in Outcome:
                forget(CANARY_RULES, policy, outcome.value)

    def _objects(self, policy: str) -> tuple[tuple[str, str, int], ...]:
        caches, children = self._context.caches, self._context.store.children.get(Key(POLICY, "", policy), ())
        rows = (
            caches[child.kind].rows.get((child.namespace, child.name)) for child in children if _ADMISSION in child.kind
        )
        return tuple(sorted((row.kind, row.name, row.version) for row in rows if row is not None))

    # --- the loop -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Send canaries until cancelled."""
        self._queue.add(_GUARD)
        while True:
            key = await self._queue.get()
            try:
                await (self._try_guard() if key == _GUARD else self._round(key))
            except Exception:
                logger.exception("Trying the rules of %s failed", key)
                self._queue.add_after(key, self._interval)
            finally:
                self._queue.done(key)

    async def _round(self, key: Key) -> None:
        watched = self._policies.get(key.name)
        if watched is None or not watched.trials:
            return
        started = time.monotonic()
        if not watched.doubtful:
            watched.findings, watched.began = {}, started
        ground = self._ground(key.name, watched)
        chosen = [(rule, trial) for rule, trial in watched.trials if not watched.doubtful or rule in watched.doubtful]
        found = await asyncio.gather(*(self._try(rule, trial(ground)) for rule, trial in chosen))
        if watched is not self._policies.get(key.name):
            return
        watched.findings |= dict(zip((rule for rule, _ in chosen), found, strict=True))
        watched.doubtful = _doubtful(watched, started)
        if watched.doubtful:
            self._queue.add_after(key, PAUSE)
        else:
            self._conclude(key, watched)

    def _conclude(self, key: Key, watched: _Watched) -> None:
        """Take down what was seen."""
        proof = Proof.of(watched.findings)
        # What accepted a canary is asked the same again, so that another namespace's refusal does not hide it.
        watched.rounds += not proof.accepted
        self._queue.add_after(key, self._interval)
        if proof.accepted:
            self._context.queue.add(key)  # whatever has to be put back is tried again now, and not after its back-off
        if proof == watched.proof:
            return
        enforced, reason, _ = proof.enforced()
        logger.log(
            logging.INFO if enforced else logging.WARNING, "Policy %s: %s: %s", key.name, reason, proof.summary()
        )
        for outcome in Outcome:
            CANARY_RULES.labels(key.name, outcome.value).set(len(getattr(proof, outcome.value)))
        watched.proof = proof
        self._context.queue.add(key)

    def _ground(self, policy: str, watched: _Watched) -> Ground:
        """What the rules of a policy are tried on in this round: by turns, and best where no other policy refuses first."""
        store, turn = self._context.store, watched.rounds
        living = [name for name in watched.namespaces if name not in store.terminating]
        alone = [name for name in living if store.governance(name).names == (policy,)]
        approved = sorted(store.approved.get(policy, ()))
        return Ground(
            name=f"{PREFIX}{secrets.token_hex(5)}",
            namespace=_by_turns(alone or living, turn),
            pod=next((place for namespace in living for place in self._with_weights(namespace)), None),
            pool=next((place for namespace in living for place in self._pools(namespace)), None),
            node=_by_turns(approved, turn),
            stranger=_by_turns(self._strangers(), turn),
        )

    def _with_weights(self, namespace: str) -> Iterator[tuple[str, str]]:
        store = self._context.store
        for place in store.pods_by_namespace.get(namespace, ()):
            pod = store.pods[place]
            if (pod.pool or pod.model) and not pod.deleting:
                yield place

    def _pools(self, namespace: str) -> Iterator[tuple[str, str]]:
        """Pools of a namespace whose Deployment is there, which has the pool's name."""
        deployments = self._context.caches["Deployment"].rows
        for key in self._context.store.in_namespace(namespace, POOL):
            row = deployments.get((namespace, key.name))
            if row is not None and not row.deleting and row.owner is not None and row.owner.kind == POOL:
                yield namespace, key.name

    def _strangers(self) -> list[str]:
        store = self._context.store
        exempt = {*store.settings.ungoverned_namespaces, *store.terminating}
        return [name for name in sorted(store.namespaces) if name not in exempt and not store.governance(name).names]

    # --- one canary ---------------------------------------------------------------------------------

    async def _try(self, rule: str, canary: Canary | None) -> Finding:
        if canary is None:
            return Finding(Outcome.UNTRIED)
        finding = judge(rule, canary, await self._answer(canary))
        CANARIES.labels(finding.outcome.value).inc()
        if finding.outcome is not Outcome.REFUSED:
            logger.debug("%s %s, of %s: %s %s", canary.method, canary.path, rule, finding.outcome, finding.detail)
        return finding

    async def _answer(self, canary: Canary) -> Answer:
        params = {"dryRun": "All"} if canary.dry_run else {}
        try:
            async with self._limit, asyncio.timeout(PATIENCE):
                body = await self._account.request(
                    canary.method, canary.path, canary.body, content_type=canary.content_type, params=params
                )
        except ApiError as error:
            return Answer(error.status, error.message or error.reason)
        except TimeoutError:
            return Answer(0, f"no answer within {PATIENCE:.0f} s")
        except (aiohttp.ClientError, OSError) as error:
            return Answer(0, f"no answer: {type(error).__name__}")
        return Answer(200, body=body)

    # --- the account's guard ------------------------------------------------------------------------

    async def _try_guard(self) -> None:
        """The account may send dry runs alone: this is none, about a pod that does not exist in a namespace that nothing governs."""
        finding = await self._try(self._account.name, _unguarded(self._account.namespace))
        guarded, now = finding.outcome is not Outcome.ACCEPTED, time.monotonic()
        self._unguarded_at = 0.0 if guarded else self._unguarded_at or now
        settling = not guarded and now < self._unguarded_at + SETTLE
        self._queue.add_after(_GUARD, PAUSE if settling else self._interval)
        if settling or guarded == self._guarded:
            return
        self._guarded = guarded
        self._tell_guard()

    def _tell_guard(self) -> None:
        account = Subject("v1", "ServiceAccount", self._account.namespace, self._account.name, "")
        name = self._account.name
        if self._guarded:
            logger.info("ServiceAccount %s may send dry runs alone again", name)
            return
        message = (
            f"ValidatingAdmissionPolicy {name} and its binding do not hold this account to dry runs; install the chart "
            "again, or the manifests, to have them back"
        )
        logger.warning("ServiceAccount %s: %s", name, message)
        self._context.events.emit(account, "Warning", Reason.CANARY_UNGUARDED, message)


def _by_turns(names: Sequence[str], turn: int) -> str:
    return names[turn % len(names)] if names else ""


def _unguarded(namespace: str) -> Canary:
    """A Binding of no pod to no node, in earnest."""
    pod = f"{PREFIX}{secrets.token_hex(5)}"
    target = {"apiVersion": "v1", "kind": "Node", "name": pod}
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": named(pod, namespace), "target": target}
    return replace(create(namespace, f"pods/{pod}/binding", binding, absent=pod), dry_run=False)


def _doubtful(watched: _Watched, started: float) -> tuple[str, ...]:
    """What may be refused in a moment: what was not, while the API server settles; and what it did not answer, for a while."""
    again = set()
    if started < watched.settled_at:
        again = {Outcome.ACCEPTED, Outcome.ELSEWHERE}
    if time.monotonic() < watched.began + SETTLE:
        again.add(Outcome.UNANSWERED)
    return tuple(rule for rule, finding in watched.findings.items() if finding.outcome in again)
