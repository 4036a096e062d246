"""A pool serves the model: it answers whom it may, and grows when it is told to."""

from testbed.demo import tables
from testbed.demo.claims import hold
from testbed.demo.nodes.stage import CALLERS, FRENCH, STRANGERS, NodeStage
from testbed.demo.stage import NAMESPACE
from testbed.models import QUESTION


def show(stage: NodeStage) -> None:
    """Apply the pools, ask from two namespaces, scale."""
    screen = stage.screen
    screen.say(
        "Two pools are declared, one for each country. A pool is one model, served by a number of replicas (pods) behind one address:"
    )
    stage.do("apply", "-f", stage.written("pools.yaml"))
    stage.do("apply", "-f", stage.written("callers.yaml"))
    pools = stage.await_ready()
    for namespace in (CALLERS, STRANGERS):
        stage.pod("caller", namespace)
    stage.do("get", "sovpool", "-n", NAMESPACE)
    hold(len(pools) == 2, f"there are {len(pools)} pools")
    screen.say(f"A pod in {CALLERS}, whose namespace may ask, asks the model with wget: {QUESTION}")
    answer = stage.ask(QUESTION)
    screen.answer(answer)
    hold("Paris" in answer, "that is not the capital of France")
    screen.holds("the model has answered")
    screen.say(f"A pod in {STRANGERS}, whose namespace may not, gets no connection:")
    stage.refused_to_strangers()
    screen.holds("no answer")
    screen.say("The pool in France gets a second replica:")
    stage.do("scale", "sovpool", FRENCH, "-n", NAMESPACE, "--replicas=2")
    stage.await_("two replicas behind the address", lambda: len(stage.serving(FRENCH)) == 2)
    found = stage.pods(FRENCH) + stage.pods("smollm2-de")
    screen.table(tables.REPLICAS, tables.replicas(pools, found, stage.items("nodes")))
    astray = {tables.node_of(pod) for pod in found} - stage.approved()
    hold(not astray, f"replicas are on {', '.join(astray)}, not approved")
    screen.holds("all replicas are on approved nodes")
