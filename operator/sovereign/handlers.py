"""kopf registrations, and nothing else: what kopf watches goes to the dispatcher.

``on.event`` alone is used: no finalizers, annotations or progress are ever written to users' objects.
"""

from typing import Any

from sovereign.cluster.connection import Connection
from sovereign.cluster.framework import kopf
from sovereign.cluster.resources import NAMESPACES, SELDOM
from sovereign.cluster.session import Watching, session
from sovereign.controllers.dispatch import Dispatcher


def registry(dispatcher: Dispatcher, connection: Connection, watching: Watching) -> kopf.OperatorRegistry:
    """A kopf registry that feeds ``dispatcher``; ``watching`` sees its requests pass."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    async def login(**_: Any) -> kopf.AiohttpSession:
        connection.forget_token()
        return session(connection, watching)

    async def ours(event: kopf.RawEvent, **_: Any) -> None:
        dispatcher.ours(event["type"] == "DELETED", event["object"])

    async def namespace(event: kopf.RawEvent, **_: Any) -> None:
        dispatcher.namespace(event["type"] == "DELETED", event["object"])

    for resource in SELDOM:
        group, _, version = resource.api_version.rpartition("/")
        take = namespace if resource is NAMESPACES else ours
        kopf.on.event(group, version, resource.plural, registry=handlers)(take)
    return handlers


def settings() -> kopf.OperatorSettings:
    """kopf as a watcher only: no posting, no scanning, no peering, no storage on objects."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.scanning.disabled = True
    chosen.peering.standalone = True
    chosen.queueing.idle_timeout = 0.1
    chosen.queueing.exit_timeout = 0.5
    chosen.watching.inactivity_timeout = 900
    chosen.watching.server_timeout = 600
    chosen.watching.reconnect_backoff = 0.1
    chosen.networking.request_timeout = 30
    chosen.networking.error_backoffs = (0.5, 1, 2)
    return chosen
