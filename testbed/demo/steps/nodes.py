"""Which nodes there are, and who vouches for where they are."""

from testbed.demo import tables
from testbed.demo.claims import hold
from testbed.demo.stage import Stage
from testbed.objects import FACT_PREFIX

LAWFUL, UNLAWFUL = ("DE", "FR"), "US"


def show(stage: Stage) -> None:
    """Show the nodes with their facts."""
    stage.screen.say(
        "Where a node is says a label under node-restriction.kubernetes.io, which only an administrator can set: NodeRestriction "
        "keeps a kubelet from vouching for itself."
    )
    facts(stage)


def facts(stage: Stage) -> None:
    """Show where each node is.

    Raises:
        StepFailed: there are not nodes in all jurisdictions that the demonstration needs.
    """
    labels = [f"{FACT_PREFIX}/{name}" for name in ("jurisdiction", "region", "provider")]
    stage.screen.command("kubectl", "get", "nodes", *(f"-L{label}" for label in labels))
    rows = tables.nodes(stage.items("nodes"))
    stage.screen.table(*tables.telling(tables.NODES, rows))
    found = {row[0] for row in rows}
    hold({*LAWFUL, UNLAWFUL} <= found, f"the demonstration needs nodes in FR, DE and US; there are {', '.join(found)}")
