"""The steps, in the order in which they are shown."""

from collections.abc import Callable
from dataclasses import dataclass

from testbed.demo.stage import Stage
from testbed.demo.steps import bypasses, control_plane, drift, models, nodes, nowhere, policy, relocation, stopped


@dataclass(frozen=True)
class Step:
    """One thing that is shown. It raises when what it shows does not hold."""

    title: str
    show: Callable[[Stage], None]


STEPS = (
    Step("A control plane, and the operator installed", control_plane.show),
    Step("Nodes by jurisdiction", nodes.show),
    Step("A policy: which nodes are approved, and which rule rejects the others", policy.show),
    Step("Models imported and verified, pools placed", models.show),
    Step("Five bypasses, tried by a tenant", bypasses.show),
    Step("A node changes jurisdiction", relocation.show),
    Step("Somebody changes what the operator made", drift.show),
    Step("No lawful node is left", nowhere.show),
    Step("The operator is stopped", stopped.show),
)
