"""Installing the chart with helm, as a user does."""

from pathlib import Path

from charts import sync
from testbed import Cluster
from testbed.demo.claims import StepFailed
from testbed.demo.screen import Screen
from testbed.helm import Helm

VALUES = sync.CHART / "ci" / "digest-values.yaml"
IMPORTER_IMAGE = "@".join(sync.IMAGE)


def install(cluster: Cluster, home: Path, screen: Screen) -> None:
    """Install the operator without pods, which fake nodes would not run.

    Raises:
        StepFailed: helm failed; with what it said.
    """
    words: list[str | Path] = [
        "install",
        sync.RELEASE,
        sync.CHART,
        f"--namespace={sync.NAMESPACE}",
        "--create-namespace",
    ]
    words += ["--values", VALUES, "--set=replicas=0", "--wait"]
    screen.command("helm", *words)
    done = Helm(home / "helm", cluster.kubeconfig).run(*words)
    if done.returncode != 0:
        raise StepFailed(f"helm says: {done.stderr.strip()}")
    screen.answer("\n".join(line for line in done.stdout.splitlines() if line.startswith(("NAME:", "STATUS:"))))
