"""A region is lost: what is left serves on, and nothing is served from where it may not be."""

import time

from testbed.demo import tables
from testbed.demo.claims import hold
from testbed.demo.nodes.stage import FRENCH, GERMAN, NodeStage
from testbed.demo.stage import NAMESPACE, REPLICA
from testbed.models import QUESTION

_NODE = "de-1"
_PATIENCE = 120.0


def show(stage: NodeStage) -> None:
    """Stop the only German node, ask France all the while, and start the node again."""
    screen = stage.screen
    (pod,) = stage.pods(GERMAN)
    hold(tables.node_of(pod) == _NODE, f"{GERMAN} is served on {tables.node_of(pod)}")
    screen.say(
        f"The power fails in Germany: all processes of {_NODE} end at once, its containers with them. Kubernetes takes a node for "
        "lost when it has said nothing for 20 seconds. Meanwhile France is asked again and again, one replica after the other."
    )
    stage.fleet.stop(_NODE)
    started = time.monotonic()
    answers: list[str] = []

    def gone() -> bool:
        answers.append(stage.ask_quietly(QUESTION, turn=len(answers)))
        return not stage.serving(GERMAN)

    stage.await_("Germany to be out of its address", gone, _PATIENCE)
    screen.holds(f"{time.monotonic() - started:.0f} s after the failure no request is sent to Germany any more")
    right = sum("Paris" in answer for answer in answers)
    hold(right == len(answers), f"{len(answers) - right} of {len(answers)} questions to France were not answered")
    screen.holds(f"France was asked {len(answers)} times meanwhile, and has answered {right} times")
    _nowhere_else(stage, pod)
    screen.say("The power is back:")
    started = time.monotonic()
    stage.fleet.start(_NODE)
    stage.await_(f"{GERMAN} to serve again", lambda: stage.serving(GERMAN), _PATIENCE)
    hold("Paris" in stage.ask_quietly(QUESTION, GERMAN), f"{GERMAN} does not answer")
    screen.holds(f"Germany answers again, {time.monotonic() - started:.0f} s later")


def _nowhere_else(stage: NodeStage, pod: tables.Manifest) -> None:
    screen = stage.screen
    screen.say("Kubernetes replaces the lost pod after five minutes. Here an administrator does it at once:")
    name = pod["metadata"]["name"]
    stage.do("delete", "pod", name, "-n", NAMESPACE, "--force", "--grace-period=0")
    (waiting,) = stage.await_("the replacement", lambda: _pending(stage))
    hold(not tables.node_of(waiting), f"it is on {tables.node_of(waiting)}")
    stage.do("get", "pods", "-n", NAMESPACE, "-l", REPLICA)
    hold(len(stage.serving(FRENCH)) == 2, "France has lost a replica")
    screen.holds("the replacement waits: the weights it needs lie in Germany, and nobody carries them elsewhere")


def _pending(stage: NodeStage) -> list[tables.Manifest]:
    """The replacement, once the scheduler has found no node for it."""
    pods = stage.pods(GERMAN)
    tried = [pod for pod in pods if tables.condition(pod, "PodScheduled").get("status") in ("True", "False")]
    return tried if len(tried) == len(pods) else []
