"""What is watched, and as what it is kept."""

from typing import Any, Final

from sovereign.api.meta import LABEL_MANAGED_BY, MANAGED_BY
from sovereign.cluster import nodes, rows
from sovereign.cluster.client import Client
from sovereign.cluster.nodes import NodeRow
from sovereign.cluster.reflector import Reflector
from sovereign.cluster.resources import BY_KIND, ENDPOINT_SLICES, MANY, NODES, PODS, VOLUMES, Resource
from sovereign.cluster.rows import Child, Pod
from sovereign.controllers.dispatch import Dispatcher
from sovereign.controllers.objects import OBJECTS, Object
from sovereign.residency.others import CONTROLLERS_SLICES, Other, other
from sovereign.residency.volumes import Volume, volume

GATHER: Final = 0.05
"""Seconds in which what a noisy watch brings is taken in together; the first word after a silence does not wait."""
_OTHERS: Final = (
    (BY_KIND["NetworkPolicy"], f"{LABEL_MANAGED_BY}!={MANAGED_BY}"),
    (BY_KIND["Service"], f"{LABEL_MANAGED_BY}!={MANAGED_BY}"),
    (ENDPOINT_SLICES, CONTROLLERS_SLICES),
)
"""What others make and policies may refuse, by selectors that leave out what is cached already, or changes all the time."""


def children(client: Client, resource: Resource, dispatcher: Dispatcher) -> Reflector[Child]:
    """The cache of children of one kind."""
    return Reflector(
        client,
        resource,
        lambda manifest: rows.child(manifest, resource.kind),
        dispatcher.child,
        selector=f"{LABEL_MANAGED_BY}={MANAGED_BY}",
        inherit=rows.inherit,
    )


def surroundings(client: Client, dispatcher: Dispatcher) -> list[Reflector[Any]]:
    """Caches of everything but children, and but what kopf watches."""
    models_and_pools: list[Reflector[Object]] = [
        Reflector(client, resource, OBJECTS, dispatcher.custom) for resource in MANY
    ]
    machines: Reflector[NodeRow] = Reflector(
        client, NODES, nodes.FORM, dispatcher.node, inherit=nodes.inherit, pace=GATHER
    )
    pods: Reflector[Pod] = Reflector(client, PODS, rows.pod, dispatcher.pod)
    volumes: Reflector[Volume] = Reflector(client, VOLUMES, volume, dispatcher.volume)
    others = (_others(client, resource, selector, dispatcher) for resource, selector in _OTHERS)
    return [machines, *models_and_pools, pods, volumes, *others]


def _others(client: Client, resource: Resource, selector: str, dispatcher: Dispatcher) -> Reflector[Other]:
    return Reflector(
        client, resource, lambda manifest: other(manifest, resource.kind), dispatcher.other, selector=selector
    )
