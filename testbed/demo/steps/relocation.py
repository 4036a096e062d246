"""A node changes jurisdiction under running replicas."""

from testbed.demo import tables
from testbed.demo.claims import Stopwatch, hold
from testbed.demo.stage import NAMESPACE, Stage
from testbed.objects import FACT_PREFIX

_POOL = "mistral-7b"
_LEFT = "out of the endpoints"
_EVICTED = "evicted"
_AGAIN = "all replicas serve again"


def show(stage: Stage) -> None:
    """Relabel the node of a replica of one pool."""
    relocate(stage, _POOL)


def relocate(stage: Stage, pool: str) -> None:
    """Relabel the node of a replica, time what happens to it, and put the label back.

    Raises:
        StepFailed: a replica stays, or the pool does not serve again.
    """
    before = stage.pods(pool)
    node = min(tables.node_of(pod) for pod in before)
    hit = {pod["metadata"]["name"] for pod in before if tables.node_of(pod) == node}
    jurisdiction = _jurisdiction(stage, node)
    stage.screen.say(
        f"{node} has {len(hit)} of the {len(before)} replicas of {pool}. Its provider is bought, or its rack is moved: an administrator "
        "writes down the new jurisdiction."
    )
    with stage.meanwhile(*_label(node, "US")):
        stage.await_(f"{node} to be relabelled", lambda: _jurisdiction(stage, node) == "US")
        watch = Stopwatch()
        stage.await_(
            "its replicas to leave, and to serve elsewhere", lambda: _moved(stage, watch, pool, hit, len(before))
        )
    stage.screen.table(("after", "what"), [(seconds, what) for what, seconds in watch.rows()])
    stage.await_condition("inferencepools", pool, "PlacementVerified", "True")
    pools, pods = stage.items("inferencepools", NAMESPACE), stage.pods()
    stage.screen.table(tables.REPLICAS, tables.replicas(pools, pods, stage.items("nodes")))
    hold(node not in {tables.node_of(pod) for pod in pods}, f"a replica is on {node} still")
    stage.screen.say("What the operator has told about it:")
    stage.screen.command("kubectl", "get", "events", "-n", NAMESPACE, "--field-selector=type=Warning")
    for line in stage.await_("an event of the eviction", lambda: _told(stage, node, hit)):
        stage.screen.answer(line)
    stage.screen.holds(f"nothing runs on {node}, and every replica serves")
    stage.do(*_label(node, jurisdiction))
    stage.await_(f"{node} to be approved again", lambda: node in stage.approved())


def _told(stage: Stage, node: str, hit: set[str]) -> list[str]:
    """What events say of the pods and why they had to leave the node, once an eviction is among it."""
    events = [event for event in stage.items("events", NAMESPACE) if event["involvedObject"].get("name") in hit]
    lines = {f"{event['reason']}: {event['message']}" for event in events if f"node {node} " in event["message"]}
    return sorted(lines, reverse=True) if any(line.startswith("Evicted: ") for line in lines) else []


def _moved(stage: Stage, watch: Stopwatch, pool: str, hit: set[str], wanted: int) -> bool:
    """Note what has happened by now; whether all of it has."""
    serving = stage.serving(pool)
    pods = stage.pods(pool)
    watch.mark(_LEFT, not serving & hit)
    watch.mark(_EVICTED, not hit & {pod["metadata"]["name"] for pod in pods})
    return watch.mark(_AGAIN, _EVICTED in watch.marks and len(serving - hit) == wanted)


def _jurisdiction(stage: Stage, node: str) -> str:
    found = stage.get("nodes", node)
    hold(found, f"there is no node {node}")
    return tables.fact(found or {}, "jurisdiction")


def _label(node: str, jurisdiction: str) -> tuple[str, ...]:
    return ("label", "node", node, "--overwrite", f"{FACT_PREFIX}/jurisdiction={jurisdiction}")
