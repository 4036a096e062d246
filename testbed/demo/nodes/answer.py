"""The last word: a question to the model in France, its answer, and who has given it."""

from collections.abc import Mapping

from testbed.demo import daemons, tables
from testbed.demo.claims import hold
from testbed.demo.nodes.stage import CALLERS, FRENCH, NodeStage
from testbed.models import QUESTION
from testbed.story import chat

_COUNTER = "llamacpp:tokens_predicted_total"


def show(stage: NodeStage) -> None:
    """Ask once more, and say who answered."""
    screen = stage.screen
    before = _spoken(stage)
    answer = stage.ask(QUESTION)
    after = _spoken(stage)
    screen.say(f"Question: {QUESTION}")
    screen.say(f"Answer:   {answer}")
    hold("Paris" in answer, "that is not the capital of France")
    who = speakers(before, after)
    hold(len(who) == 1, f"{len(who)} pods say that they have answered")
    (pod,) = [pod for pod in stage.pods(FRENCH) if pod["metadata"]["name"] in who]
    node = stage.get("nodes", tables.node_of(pod)) or {}
    facts = {name: tables.fact(node, name) for name in ("jurisdiction", "region", "provider")}
    rows = [("pod", pod["metadata"]["name"]), ("node", tables.node_of(pod)), *facts.items()]
    screen.say("Who has answered, by the pods' own counters of words spoken:")
    screen.table(("what", "which"), rows)
    hold(facts["jurisdiction"] == "FR", f"that is in {facts['jurisdiction']}")
    screen.holds("asked in France, answered in France")


def speakers(before: Mapping[str, float], after: Mapping[str, float]) -> list[str]:
    """The pods whose counter has grown."""
    return [name for name, count in after.items() if count > before.get(name, 0)]


def _spoken(stage: NodeStage) -> dict[str, float]:
    """Tokens that each pod's engine has generated so far."""
    found = {}
    for pod in stage.pods(FRENCH):
        url = f"http://{pod['status']['podIP']}:{chat.PORT}/metrics"
        text = stage.cluster.kubectl("exec", "caller", "-n", CALLERS, "--", "wget", "-q", "-O-", url)
        found[pod["metadata"]["name"]] = daemons.total(text, _COUNTER)
    return found
