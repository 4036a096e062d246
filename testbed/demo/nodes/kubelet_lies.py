"""A kubelet that lies about where its node is changes nothing."""

from testbed.demo.claims import hold
from testbed.demo.nodes.stage import NodeStage
from testbed.demo.stage import TENANT
from testbed.objects import FACT_PREFIX

_NODE = "us-1"
_KUBELET = (f"--as=system:node:{_NODE}", "--as-group=system:nodes")
_TOPOLOGY = "topology.kubernetes.io/region"


def show(stage: NodeStage) -> None:
    """Change labels with a kubelet's rights, and see that nothing comes of it."""
    screen = stage.screen
    before = stage.approved()
    screen.say(
        f"The kubelet is the agent that runs a node, here {_NODE}, in the United States. Somebody has taken it over and says that "
        "it is in France. There is a label that kubelets set themselves, and no policy goes by it:"
    )
    stage.do(*_KUBELET, "label", "node", _NODE, f"{_TOPOLOGY}=fr-par", "--overwrite")
    screen.say("The label that policies go by, and the operator's own:")
    try:
        _refused(stage, f"{FACT_PREFIX}/jurisdiction=FR")
        _refused(stage, f"{stage.label}=true")
        hold(stage.approved() == before, f"approved are now {', '.join(sorted(stage.approved()))}")
        screen.holds(f"{_NODE} is not approved")
        screen.say(f"And a pod that {TENANT} sends to it by name:")
        done = stage.attempt(f"--as={TENANT}", "create", "-f", stage.written("smuggled.yaml"))
        hold(done.returncode != 0, f"the API server accepted it: {done.stdout.strip()}")
        screen.refusal(done.stderr)
        hold(_NODE in done.stderr, f"it was refused, but not because of {_NODE}")
        screen.holds("a kubelet that lies has changed nothing")
    finally:
        stage.cluster.kubectl("label", "node", _NODE, f"{_TOPOLOGY}=us-east", "--overwrite")


def _refused(stage: NodeStage, label: str) -> None:
    done = stage.attempt(*_KUBELET, "label", "node", _NODE, label, "--overwrite")
    hold(done.returncode != 0, "the API server accepted it")
    stage.screen.refusal(done.stderr)
    hold("not allowed" in done.stderr, "it was refused, but not because kubelets may not do this")
