"""Cut off: no API server, no operator, no source, no registry. The model answers, and comes back on its node."""

import os
import signal
import time

from charts import sync
from testbed.demo.claims import StepFailed, hold
from testbed.demo.nodes.stage import CALLERS, FRENCH, OPERATOR, NodeStage
from testbed.demo.stage import NAMESPACE
from testbed.demo.tables import Manifest
from testbed.models import QUESTION
from testbed.story import chat, cut, pods

_DEPLOYMENT = f"deployment/{sync.RELEASE}"


def show(stage: NodeStage) -> None:
    """Stop all that is not a node, ask, kill an engine, ask again, and start everything."""
    screen = stage.screen
    serving = stage.pods(FRENCH)
    caller = stage.pod("caller", CALLERS)
    screen.say(
        "The operator is stopped, then the API server with all controllers, the scheduler, the registry, and the whole outside world:"
    )
    stage.do("scale", _DEPLOYMENT, "-n", sync.NAMESPACE, "--replicas=0")
    stage.await_("the operator to be gone", lambda: not stage.items("pods", sync.NAMESPACE, OPERATOR))
    started = time.monotonic()
    cut.off(stage.cluster)
    try:
        done = stage.attempt("get", "nodes", "--request-timeout=2s")
        hold(done.returncode != 0, "the API server answers")
        screen.refusal(done.stderr.strip().splitlines()[-1])
        _answers(stage, caller)
        _comes_back(stage, caller, serving[0])
        screen.holds(f"that was {time.monotonic() - started:.0f} s without all of it")
    finally:
        screen.say("Everything is started again:")
        stage.cluster = cut.back(stage.cluster)
    stage.do("scale", _DEPLOYMENT, "-n", sync.NAMESPACE, "--replicas=2")
    stage.do("rollout", "status", _DEPLOYMENT, "-n", sync.NAMESPACE, "--timeout=120s", quiet=True)
    stage.await_ready()
    same = {pod["metadata"]["uid"] for pod in serving}
    stage.await_("both replicas behind the address", lambda: len(stage.serving(FRENCH)) == 2)
    hold({pod["metadata"]["uid"] for pod in stage.pods(FRENCH)} == same, "replicas were replaced")
    screen.holds("the same pods serve: nobody has replaced one")


def _answers(stage: NodeStage, caller: Manifest) -> None:
    screen = stage.screen
    screen.say(
        "The caller's pod is there still. kubectl leads nowhere now, so it is entered from the machine, and asks as before:"
    )
    answer = stage.ask_past_api_server(caller, QUESTION, chat.url(FRENCH, NAMESPACE))
    screen.answer(answer)
    hold("Paris" in answer, "the model does not answer")
    screen.holds("the model answers, by its name, with nothing there but the nodes")


def _comes_back(stage: NodeStage, caller: Manifest, pod: Manifest) -> None:
    screen = stage.screen
    engine = pods.find_process(stage.layout, pod, "llama-server")
    if engine is None:
        raise StepFailed(f"no engine runs in {pod['metadata']['name']}")
    screen.say(f"An engine is killed, the one of {pod['metadata']['name']}:")
    screen.command("kill", "-9", str(engine))
    os.kill(engine, signal.SIGKILL)
    killed = time.monotonic()
    address = f"http://{pod['status']['podIP']}:{chat.PORT}"

    def back() -> bool:
        return "Paris" in stage.ask_past_api_server(caller, QUESTION, address, quiet=True)

    stage.await_("the engine to be back", back)
    screen.holds(
        f"it answers again {time.monotonic() - killed:.1f} s later: its node has started it anew, with the image and the weights it has"
    )
