"""A node changes jurisdiction under a serving pod."""

from testbed.demo.claims import hold
from testbed.demo.nodes.stage import FRENCH, NodeStage
from testbed.demo.steps import relocation
from testbed.models import QUESTION


def show(stage: NodeStage) -> None:
    """Relabel the node of a replica, time what happens to it, and ask the model again."""
    relocation.relocate(stage, FRENCH)
    answer = stage.ask_quietly(QUESTION)
    hold("Paris" in answer, f"the model says: {answer}")
    stage.screen.holds(f"the model answers: {answer}")
