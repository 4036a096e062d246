"""helm, and a cluster of its own: these tests install, upgrade and remove what other tests stand on."""

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from charts import sync
from testbed import Cluster, binaries

VALUES = sync.CHART / "ci" / "digest-values.yaml"


@dataclass(frozen=True)
class Helm:
    """The helm program with an environment of its own, and perhaps a cluster."""

    program: Path
    home: Path
    kubeconfig: Path | None = None

    def run(self, *args: str | Path) -> subprocess.CompletedProcess[str]:
        """Run it and return how it ended."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("HELM_", "KUBE"))}
        environment |= {f"HELM_{kind}_HOME": str(self.home / kind) for kind in ("CACHE", "CONFIG", "DATA")}
        environment["KUBECONFIG"] = str(self.kubeconfig or os.devnull)
        return subprocess.run([self.program, *args], env=environment, capture_output=True, text=True, check=False)

    def __call__(self, *args: str | Path) -> str:
        """Run it and return what it prints; it must succeed."""
        done = self.run(*args)
        assert done.returncode == 0, f"helm {args[0]}: {done.stderr}"
        return done.stdout


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """helm without a cluster."""
    return Helm(binaries.require("helm"), tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane for the tests of this folder alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.delenv("TESTBED_KUBECONFIG", raising=False)
        made = Cluster.up("install", provider="binaries")
        yield made
        made.down()


@pytest.fixture(scope="module")
def bare(cluster: Cluster, helm: Helm) -> Cluster:
    """The cluster with nothing of ours in it."""
    on_cluster = Helm(helm.program, helm.home, cluster.kubeconfig)
    on_cluster("uninstall", sync.RELEASE, f"--namespace={sync.NAMESPACE}", "--ignore-not-found", "--wait")
    everything = ("-f", str(sync.ROOT / "manifests" / "install.yaml"))
    cluster.kubectl("delete", *everything, "--ignore-not-found", "--wait")
    cluster.kubectl("delete", "namespace", "assistants", "--ignore-not-found", "--wait")
    return cluster


@pytest.fixture(scope="module")
def release(bare: Cluster, helm: Helm) -> Callable[..., str]:
    """``release(*flags, chart=...)`` installs or upgrades the operator, waits until it is there, and returns helm's words."""
    on_cluster = Helm(helm.program, helm.home, bare.kubeconfig)
    restricted = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": sync.NAMESPACE,
            "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        },
    }
    bare.kubectl_as(bare.kubeconfig).apply([restricted], manager="test")

    def upgrade(*flags: str, chart: Path = sync.CHART) -> str:
        place = f"--namespace={sync.NAMESPACE}"
        return on_cluster(
            "upgrade", "--install", sync.RELEASE, chart, place, "--values", VALUES, "--wait", "--timeout=60s", *flags
        )

    return upgrade


@pytest.fixture(scope="module")
def uninstall(bare: Cluster, helm: Helm) -> Callable[[], str]:
    """Uninstalls the operator and returns helm's words."""
    on_cluster = Helm(helm.program, helm.home, bare.kubeconfig)
    return lambda: on_cluster("uninstall", sync.RELEASE, f"--namespace={sync.NAMESPACE}", "--wait")
