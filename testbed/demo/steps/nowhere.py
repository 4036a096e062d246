"""No lawful node is left: nothing is relaxed, and the reason is told."""

from functools import partial

from testbed.demo import tables
from testbed.demo.claims import hold
from testbed.demo.stage import NAMESPACE, REPLICA, Stage
from testbed.demo.steps.nodes import LAWFUL
from testbed.objects import FACT_PREFIX

_FACT = f"{FACT_PREFIX}/jurisdiction"


def show(stage: Stage) -> None:
    """Take every approved node's jurisdiction, and give it back."""
    screen = stage.screen
    screen.say("Every lawful node changes jurisdiction:")
    homes = {jurisdiction: _nodes(stage, jurisdiction) for jurisdiction in LAWFUL}
    stage.do("label", "nodes", "-l", f"{_FACT} in ({','.join(LAWFUL)})", "--overwrite", f"{_FACT}=US")
    pools = stage.items("inferencepools", NAMESPACE)
    for pool in pools:
        name = pool["metadata"]["name"]
        found = stage.await_condition("inferencepools", name, "Ready", "False", "NoApprovedNode")
        stage.await_(f"{name} to have replicas without a node only", partial(_pending, stage, name))
        hold(not stage.serving(name), f"replicas of {name} serve, and have no lawful node")
        hold("placement.jurisdictions" in found["message"], "the message does not say which rule rejected the nodes")
    stage.do("get", "pods", "-n", NAMESPACE, "-l", REPLICA)
    screen.say("The pods are Pending, and every pool says why:")
    stage.do("get", "sovpool", "-n", NAMESPACE)
    screen.refusal(f"Ready=False, {found['reason']}: {found['message']}")
    screen.holds("nothing was relaxed to keep a replica alive")
    screen.say("The facts are restored:")
    for jurisdiction, nodes in homes.items():
        stage.do("label", "nodes", *nodes, "--overwrite", f"{_FACT}={jurisdiction}")
    stage.await_ready()
    screen.holds("all pools serve again")


def _nodes(stage: Stage, jurisdiction: str) -> list[str]:
    return [node["metadata"]["name"] for node in stage.items("nodes", selector=f"{_FACT}={jurisdiction}")]


def _pending(stage: Stage, pool: str) -> bool:
    pods, found = stage.pods(pool), stage.get("inferencepools", pool, NAMESPACE)
    counted = bool(found) and (found or {})["status"].get("readyReplicas", 0) > 0
    return bool(pods) and not counted and not any(tables.node_of(pod) for pod in pods)
