"""A cluster whose nodes run containers, and the operator installed in it with helm."""

from pathlib import Path

from charts import sync
from testbed import Cluster
from testbed.demo import tables
from testbed.demo.claims import StepFailed, hold
from testbed.demo.nodes.stage import OPERATOR, NodeStage
from testbed.demo.steps.nodes import facts
from testbed.helm import Helm
from testbed.story import chart, pods

_NODES = "fr:2,de:1,us:1"
_IMAGES = {"operator": "sovereign-operator", "engine": "llama-cpp", "client": "client"}


def show(stage: NodeStage) -> None:
    """Bring the cluster up, fill its registry, install the operator."""
    screen = stage.screen
    screen.say(
        "Each machine is played by a network of its own on this one, in which the programs of a Kubernetes node run: containers start, "
        "and the network obeys (Calico). Nothing leaves this machine: what the nodes take for the internet is one more such network."
    )
    screen.command(
        *("python", "-m", "testbed", "up", "--name", stage.name, "--provider", "binaries"),
        *("--without-fake-nodes", "--nodes", _NODES),
    )
    stage.cluster = Cluster.up(
        stage.name, provider="binaries", fake_nodes=False, nodes=_NODES, plugin="calico", report=screen.answer
    )
    screen.holds(f"the API server answers on {stage.cluster.server}, and all nodes are ready")
    screen.say("An administrator has written down where each machine is. A machine cannot do that for itself:")
    facts(stage)
    screen.say(
        "Images are made here, from Debian's packages, and put into the cluster's own registry. From now on each is known by its digest:"
    )
    for image, name in _IMAGES.items():
        stage.images[name] = stage.fleet.push(image, f"ai/{name}")
    screen.answer("\n".join(stage.images.values()))
    _install(stage)


def _install(stage: NodeStage) -> None:
    screen = stage.screen
    words: list[str | Path] = ["upgrade", "--install", sync.RELEASE, sync.CHART, *chart.place()]
    (api,) = stage.items("endpointslices", "default", chart.API)
    words += chart.values(stage.images["sovereign-operator"], api)
    words.append("--set=networkProbe.concurrency=3")  # else it looks at one node at a time
    screen.say("The operator is installed with helm:")
    screen.command("helm", *words)
    with screen.waiting("helm"):
        done = Helm(stage.home / "helm", stage.cluster.kubeconfig).run(*words)
    if done.returncode != 0:
        raise StepFailed(f"helm says: {done.stderr.strip()}")
    stage.installed = True
    stage.do("get", "pods", "-n", sync.NAMESPACE)
    running = [pod for pod in stage.items("pods", sync.NAMESPACE, OPERATOR) if pods.is_ready(pod)]
    places = {tables.node_of(pod) for pod in running}
    hold(len(running) == len(places) == 2, f"two operators are to run on two nodes; they run on {', '.join(places)}")
    leader = stage.await_("one of them to lead", lambda: _leader(stage))
    screen.holds(f"two run, on {' and '.join(sorted(places))}; {leader} leads, the other waits to take over")


def _leader(stage: NodeStage) -> str:
    lease = stage.get("leases", sync.RELEASE, sync.NAMESPACE)
    return str(lease["spec"].get("holderIdentity", "")) if lease else ""
