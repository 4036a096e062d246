"""A policy is applied: the approved nodes, and the rule that rejects each of the others."""

import time

import yaml

from testbed.demo import tables
from testbed.demo.claims import StepFailed, hold
from testbed.demo.stage import MANIFESTS, NAMESPACE, TENANT, Stage
from testbed.demo.steps.nodes import LAWFUL
from testbed.demo.tables import Manifest

_PROBE = MANIFESTS / "bypasses" / "node-name.yaml"


def show(stage: Stage) -> None:
    """Apply the policy, and show what the operator says of each node."""
    screen = stage.screen
    screen.say(f"A team gets a namespace, {NAMESPACE}, in which {TENANT} works; the policy governs it by its label.")
    stage.do("apply", "-f", MANIFESTS / "tenant.yaml")
    started = time.monotonic()
    stage.policy = _name(stage)
    stage.do("apply", "-f", stage.policy_file)
    stage.await_condition("sovereigntypolicies", stage.policy, "Enforced", "True")
    nodes = _lawful(stage)
    stage.await_("the API server to refuse", lambda: _refused(stage))
    screen.holds(f"{time.monotonic() - started:.1f} s after the policy was applied, the API server refuses by it")
    stage.do("get", "sovpol", stage.policy)
    verdicts(stage, nodes)


def _name(stage: Stage) -> str:
    try:
        document = yaml.safe_load(stage.policy_file.read_text())
        return str(document["metadata"]["name"])
    except (OSError, yaml.YAMLError, TypeError, KeyError) as error:
        raise StepFailed(f"{stage.policy_file} is no manifest with a metadata.name: {error}") from error


def _refused(stage: Stage) -> bool:
    """Whether a pod on a node in the US would be refused now."""
    return f"policy {stage.policy}: " in stage.api.would_refuse("pods", yaml.safe_load(_PROBE.read_text()))


def _lawful(stage: Stage) -> list[Manifest]:
    """The approved nodes, which must be where the demonstration's policy wants them."""
    approved = stage.approved()
    nodes = [node for node in stage.items("nodes") if node["metadata"]["name"] in approved]
    places = {tables.fact(node, "jurisdiction") for node in nodes}
    hold(nodes, "no node is approved")
    hold(places <= {*LAWFUL}, f"nodes in {', '.join(sorted(places - {*LAWFUL}))} are approved, and must not be")
    return nodes


def verdicts(stage: Stage, approved: list[Manifest]) -> None:
    """Show the approved nodes, and why each of the others is rejected.

    Raises:
        StepFailed: they are not all nodes.
    """
    screen = stage.screen
    screen.say("The approved nodes carry the policy's label, which the workloads select:")
    screen.command("kubectl", "get", "nodes", "-l", f"{stage.label}=true")
    screen.table(*tables.telling(tables.NODES, tables.nodes(approved)))
    screen.say("The others are rejected, each by a rule that the policy's status names:")
    found = stage.get("sovereigntypolicies", stage.policy)
    assert found is not None
    screen.table(tables.REJECTIONS, tables.rejections(found))
    rejected, count = found["status"]["rejectedNodes"], len(stage.items("nodes"))
    hold(len(approved) + rejected == count, f"{len(approved)} nodes are approved and {rejected} rejected, of {count}")
    screen.holds(f"{len(approved)} nodes are approved, all of them in {' or '.join(LAWFUL)}")
