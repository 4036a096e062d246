"""What every controller works with."""

import asyncio
from dataclasses import dataclass, field

from sovereign.api.conditions import Reason
from sovereign.api.meta import API_VERSION
from sovereign.cluster.apply import Caches
from sovereign.cluster.client import Client
from sovereign.cluster.events import Events, Severity, Subject
from sovereign.cluster.evidence import Recorder
from sovereign.cluster.queue import Key, Queue
from sovereign.controllers.objects import Object
from sovereign.controllers.store import Store
from sovereign.plan.inventory import Settings


@dataclass(frozen=True)
class Pruned:
    """Status fields that the API server does not keep."""

    told: set[str] = field(default_factory=set)
    suspect: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when one was found: a CRD may be older than the operator."""


@dataclass(frozen=True)
class Context:
    """The operator's parts."""

    client: Client
    store: Store
    caches: Caches
    queue: Queue
    events: Events
    settings: Settings
    evidence: Recorder
    vanished: set[Key]
    """Owners of children that disappeared; they are looked up before the children are made again."""
    pruned: Pruned = field(default_factory=Pruned)

    def tell(self, item: Object, severity: Severity, reason: Reason, message: str) -> None:
        """Emit an Event about one of our objects."""
        owner = item.owner
        subject = Subject(API_VERSION, owner.kind, owner.namespace, owner.name, owner.uid)
        self.events.emit(subject, severity, reason, message)


@dataclass(frozen=True)
class Later:
    """A reconcile that wants to run again without anything having changed."""

    seconds: float


@dataclass(frozen=True)
class Retry:
    """A reconcile that did what it could, and wants to try the rest again after its back-off."""

    why: str


Outcome = Later | Retry | None
