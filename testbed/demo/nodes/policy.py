"""A policy is applied: the nodes it approves, and the rule that rejects each of the others."""

from testbed.demo.claims import hold
from testbed.demo.nodes.stage import MANIFESTS, NodeStage
from testbed.demo.stage import NAMESPACE, TENANT
from testbed.demo.steps.policy import verdicts


def show(stage: NodeStage) -> None:
    """Apply the policy, and show what the operator says of each node."""
    screen = stage.screen
    screen.say(
        f"A team gets a namespace, {NAMESPACE}, of which {TENANT} is the administrator. The policy governs it by its label:"
    )
    stage.do("apply", "-f", MANIFESTS / "tenant.yaml")
    stage.policy = "eu"
    stage.do("apply", "-f", stage.policy_file)
    stage.await_condition("sovereigntypolicies", stage.policy, "Enforced", "True")
    approved = [node for node in stage.items("nodes") if node["metadata"]["name"] in stage.approved()]
    stage.do("get", "sovpol", stage.policy)
    verdicts(stage, approved)
    names = {node["metadata"]["name"] for node in approved}
    hold(names == {"fr-1", "fr-2", "de-1"}, f"the approved nodes are {', '.join(sorted(names))}")
