"""The steps, in the order in which they are shown."""

from testbed.demo.level import Step
from testbed.demo.steps import bypasses, control_plane, drift, models, nodes, nowhere, policy, relocation, stopped

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
