"""A control plane, the chart, and the operator as a process with the chart's own service account."""

from testbed import Cluster, state
from testbed.demo import daemons, install
from testbed.demo.stage import Stage


def show(stage: Stage) -> None:
    """Bring the cluster up, install the chart, start the operator."""
    screen = stage.screen
    screen.say(
        "etcd, API server, controller manager and scheduler are real; the nodes are fake: KWOK plays their kubelets, so that "
        "pods become Running and no container is ever started."
    )
    screen.command("python", "-m", "testbed", "up", "--name", stage.name)
    stage.cluster = Cluster.up(stage.name, provider=stage.provider, report=screen.answer)
    known = state.load(stage.cluster.dir)
    screen.holds(
        f"the API server answers on {stage.cluster.server} (provider {known.provider if known else 'unknown'})"
    )
    screen.say(
        "The operator is installed with helm: kinds, rights, runtimes. It gets no pods, which fake nodes would not run:"
    )
    install.install(stage.cluster, stage.home, screen)
    kinds = stage.do("get", "crd", "-l", "app.kubernetes.io/part-of=sovereign-operator", "-o", "name", quiet=True)
    screen.answer(kinds)
    screen.say(
        "instead it runs as a process of this machine, with a token of the chart's own service account, and so with exactly the "
        "rights that it has on a cluster."
    )
    stage.operator = daemons.operator(stage.cluster, install.IMPORTER_IMAGE)
    screen.command("KUBECONFIG=...", "sovereign-operator", "run")
    stage.operator.start()
    stage.await_("the operator to lead", lambda: stage.operator.leads)
    screen.holds("the operator's caches are synced, and it holds the lease")
