"""Installing the chart with helm, as a user does."""

import os
import subprocess
from pathlib import Path

from charts import sync
from testbed import Cluster, binaries
from testbed.demo.claims import StepFailed
from testbed.demo.screen import Screen

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
    words += ["--values", VALUES, "--set=replicas=0"]
    screen.command("helm", *words)
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
    environment |= {f"HELM_{kind}_HOME": str(home / "helm" / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
    done = subprocess.run(
        [binaries.require("helm"), *words], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise StepFailed(f"helm says: {done.stderr.strip()}")
    screen.answer("\n".join(line for line in done.stdout.splitlines() if line.startswith(("NAME:", "STATUS:"))))
