"""What is told about static pods in governed namespaces. They cannot be refused or removed through the API; they can be told."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from sovereign.api.conditions import Reason
from sovereign.cluster import metrics
from sovereign.cluster.queue import Key
from sovereign.cluster.reflector import Reflector
from sovereign.cluster.resources import EVENTS
from sovereign.controllers.context import Context
from sovereign.controllers.dispatch import Dispatcher
from sovereign.controllers.hourly import HOUR, Hourly
from sovereign.controllers.objects import POLICY, Object
from sovereign.residency.static_pods import EVENT_FIELDS, Sighting, StaticPod, sighting

logger = logging.getLogger(__name__)
TOLD_PER_HOUR: Final = 20
"""Static pods that are told one by one of a policy: anybody who may write Events in a namespace can make them up."""
WATCH_SECONDS: Final = (3600, 5400)
"""Events have no bookmarks (the API server does not cache them), so a quiet watch that ends has to list anew: let it last."""


async def watch_events(context: Context, dispatcher: Dispatcher) -> None:
    """Follow what kubelets say about static pods, until cancelled."""
    events: Reflector[Sighting] = Reflector(
        context.client, EVENTS, sighting, dispatcher.sighting, fields=EVENT_FIELDS, lasts=WATCH_SECONDS
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(events.run())
        await events.synced.wait()
        context.store.static_pods.known = True
        for policy in context.store.policies:
            context.queue.add(Key(POLICY, "", policy.name))


class StaticPodReport:
    """Tells each static pod once of each policy of its namespace, and once more when it starts."""

    def __init__(self, context: Context, clock: Callable[[], float] = time.monotonic) -> None:
        self._context = context
        self._clock = clock
        self._seen: defaultdict[str, dict[tuple[str, str], tuple[float, bool]]] = defaultdict(dict)
        """By policy, namespace and name: when last, and whether it was told as started."""
        self._hourly = Hourly(TOLD_PER_HOUR, clock)

    def look(self, item: Object) -> None:
        """Tell what is new in the namespaces of this policy, and count."""
        name = item.owner.name
        static_pods = self._context.store.static_pods
        pods = static_pods.of(set(self._context.store.governed_namespaces(name)))
        if static_pods.known:
            metrics.STATIC_PODS.labels(name).set(len(pods))
        now, seen = self._clock(), self._seen[name]
        for pod in pods:
            known = seen.get((pod.namespace, pod.name))
            told_as_started = known is not None and known[1]
            seen[(pod.namespace, pod.name)] = (now, told_as_started or pod.started)
            if known is None or (pod.started and not told_as_started):
                self._tell(item, pod)
        for key in [key for key, (when, _) in seen.items() if now - when > HOUR]:
            del seen[key]

    def forget(self, policy: str) -> None:
        """A policy is gone."""
        self._seen.pop(policy, None)
        self._hourly.forget(policy)

    def _tell(self, item: Object, pod: StaticPod) -> None:
        if self._hourly.allows(item.owner.name):
            message = pod.message
            logger.warning("Policy %s: %s: %s", item.owner.name, Reason.STATIC_POD, message)
        else:
            message = f"more than {TOLD_PER_HOUR} static pods within an hour: kubectl get events -A --field-selector {EVENT_FIELDS}"
        self._context.tell(item, "Warning", Reason.STATIC_POD, message)
