"""The network is closed: a serving pod reaches nothing, and each thing it does not reach is there."""

import yaml

from testbed.demo import tables
from testbed.demo.claims import hold
from testbed.demo.nodes.stage import CALLERS, FRENCH, MANIFESTS, STRANGERS, NodeStage
from testbed.demo.stage import NAMESPACE, TENANT
from testbed.story import chat, reach

_COLUMNS = ("what", "address", "from a pod without the policy", "from the serving pod")


def show(stage: NodeStage) -> None:
    """Try everything from two pods on one node, then try to open the network as a tenant."""
    screen = stage.screen
    serving = stage.pods(FRENCH)[0]
    node = tables.node_of(serving)
    screen.say(
        f"Whether a network is closed is seen from inside. So this program enters the network of the serving pod "
        f"{serving['metadata']['name']}, and of a pod beside it on {node} that no policy is about, and tries the same addresses from both:"
    )
    (bystander,) = _bystander(stage, node)
    stage.cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump(bystander))
    beside = stage.pod("bystander", STRANGERS)
    others = [stage.pod("caller", namespace) for namespace in (CALLERS, STRANGERS)]
    targets = reach.beyond(stage.fleet) | reach.within(stage.fleet, stage.cluster.server, others, chat.PORT)
    there = reach.reached(reach.probe(stage.layout, beside, targets))
    open_to = reach.reached(reach.probe(stage.layout, serving, targets))
    screen.table(_COLUMNS, rows(stage, targets, there, open_to))
    missing = targets - there
    hold(not missing, f"this shows nothing where a target is not there: {', '.join(sorted(missing))}")
    hold(not open_to, f"from the serving pod can be reached: {', '.join(sorted(open_to))}")
    screen.holds(f"all {len(targets)} are there, and from the serving pod none of them is reached")
    _opened_by_a_tenant(stage)
    _probed_by_the_operator(stage)


def _probed_by_the_operator(stage: NodeStage) -> None:
    screen = stage.screen
    screen.say(
        "The operator does not trust the network either. It tries it with pods of its own, on every node that serves:"
    )
    found = stage.await_condition("inferencepools", FRENCH, "NetworkEnforced", "True")
    screen.command("kubectl", "get", "sovpool", FRENCH, "-n", NAMESPACE, "-o", "yaml")
    screen.answer(f"NetworkEnforced=True, {found['reason']}")
    screen.holds(found["message"])


def _bystander(stage: NodeStage, node: str) -> list[tables.Manifest]:
    """The stranger's pod again, on another node and under another name."""
    documents = yaml.safe_load_all((stage.home / "callers.yaml").read_text())
    found = [one for one in documents if one["kind"] == "Pod" and one["metadata"]["namespace"] == STRANGERS]
    for pod in found:
        pod["metadata"]["name"] = "bystander"
        pod["spec"]["nodeSelector"] = {"kubernetes.io/hostname": node}
    return found


def rows(
    stage: NodeStage, targets: set[reach.Target], there: set[reach.Target], open_to: set[reach.Target]
) -> list[tables.Row]:
    """What was tried, in words, and what came of it."""
    found = []
    for target in targets:
        kind, address, rest = target.split()
        where = f"{address} port {rest}" if kind == "tcp" else f"{address} port 53"
        outcome = tuple("reached" if target in reached else "refused" for reached in (there, open_to))
        found.append((reach.describe(target, stage.fleet), where, *outcome))
    return sorted(set(found))


def _opened_by_a_tenant(stage: NodeStage) -> None:
    screen = stage.screen
    screen.say(
        f"{TENANT}, the team's administrator, may make NetworkPolicies. NetworkPolicies add up: one that allows everything would open the "
        "namespace."
    )
    done = stage.attempt(f"--as={TENANT}", "create", "-f", MANIFESTS / "open-sesame.yaml")
    hold(done.returncode != 0, f"the API server accepted it: {done.stdout.strip()}")
    screen.refusal(done.stderr)
    hold(f"policy {stage.policy}: " in done.stderr, f"it was refused, but not by policy {stage.policy}")
    screen.holds("refused by the API server itself")
