"""helm, and a cluster of its own: these tests install, upgrade and remove what other tests stand on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from charts import sync
from testbed import Cluster
from testbed.helm import Helm

VALUES = sync.CHART / "ci" / "digest-values.yaml"


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """helm without a cluster."""
    return Helm(tmp_path_factory.mktemp("helm"))


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
    on_cluster = Helm(helm.home, cluster.kubeconfig)
    on_cluster("uninstall", sync.RELEASE, f"--namespace={sync.NAMESPACE}", "--ignore-not-found", "--wait")
    everything = ("-f", str(sync.ROOT / "manifests" / "install.yaml"))
    cluster.kubectl("delete", *everything, "--ignore-not-found", "--wait")
    cluster.kubectl("delete", "namespace", "assistants", "--ignore-not-found", "--wait")
    return cluster


@pytest.fixture(scope="module")
def release(bare: Cluster, helm: Helm) -> Callable[..., str]:
    """``release(*flags, chart=...)`` installs or upgrades the operator, waits until it is there, and returns helm's words."""
    on_cluster = Helm(helm.home, bare.kubeconfig)
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
    on_cluster = Helm(helm.home, bare.kubeconfig)
    return lambda: on_cluster("uninstall", sync.RELEASE, f"--namespace={sync.NAMESPACE}", "--wait")
