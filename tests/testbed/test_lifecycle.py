"""Clusters come up once, are repaired, stand side by side, and leave nothing behind."""

import os
import signal
from pathlib import Path

import pytest

from testbed import Cluster, TestbedError, audit, binaries, process
from tests.testbed.machine import processes_of, run_testbed, start_testbed, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("testbed")]


def _pids(cluster: Cluster) -> dict[str, int]:
    found = {service.name: process.read(service.pidfile(cluster.dir)) for service in cluster.services()}
    return {name: known.pid for name, known in found.items() if known and known.alive()}


def test_up_again_changes_nothing_and_asks_nothing(cluster: Cluster) -> None:
    assert cluster.audit_log is not None
    pids = _pids(cluster)
    cluster.requests()
    since = audit.position(cluster.audit_log)

    answer = run_testbed("up", "--name", cluster.name, "--provider", "binaries")

    assert answer["kubeconfig"] == str(cluster.kubeconfig)
    assert _pids(cluster) == pids
    assert len(pids) == 5
    agents = audit.by_agent(cluster.requests(since))
    assert agents["kubectl"] == 1  # the look at the log itself


def test_up_repairs_what_was_killed_and_leaves_the_rest(cluster: Cluster) -> None:
    before = _pids(cluster)
    os.kill(before["kube-scheduler"], signal.SIGKILL)
    wait_until(lambda: "kube-scheduler" not in _pids(cluster))
    assert not cluster.healthy()

    Cluster.up(cluster.name)

    after = _pids(cluster)
    assert cluster.healthy()
    assert {name for name in after if after[name] != before[name]} == {"kube-scheduler"}


def test_contradicting_arguments_are_refused(cluster: Cluster) -> None:
    with pytest.raises(TestbedError, match="run `down` first, or choose another --name"):
        Cluster.up(cluster.name, apiserver_args=["--feature-gates=AllAlpha=true"])


def test_side_by_side_and_an_existing_cluster(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second cluster from envtest's assets; then it plays the cluster that somebody else has."""
    for program in ("etcd", "kube-apiserver", "kubectl"):
        (tmp_path / program).symlink_to(binaries.require(program))
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    second = Cluster.up("second", provider="envtest", fake_nodes=False)
    second.kubectl("create", "namespace", "only-here")
    assert second.server != cluster.server
    assert "only-here" not in cluster.kubectl("get", "namespaces")
    assert second.kubectl("get", "nodes", "-o", "name") == ""

    guest = Cluster.up("guest", kubeconfig=second.kubeconfig, fake_nodes=True)
    assert "node/gpu-fr-1" in second.kubectl("get", "nodes", "-o", "name")
    node = guest.client_certificate("system:node:gpu-fr-1", ["system:nodes"])
    assert "system:node:gpu-fr-1" in guest.kubectl_as(node)("auth", "whoami")

    guest.down()
    # Volumes are protected, and go when the cluster's own controller lets them.
    wait_until(lambda: second.kubectl("get", "nodes,persistentvolumes,storageclasses", "-o", "name") == "")
    assert second.healthy()

    second.down()
    assert not second.dir.exists()
    assert processes_of(second.dir) == []
    assert cluster.healthy()


def test_a_part_that_ends_is_named_with_its_last_words(state_home: Path) -> None:
    with pytest.raises(TestbedError, match=r"kube-apiserver ended; its log says:\n(.|\n)*unknown flag: --no-such"):
        Cluster.up("wrong", provider="binaries", apiserver_args=["--no-such=flag"])
    assert run_testbed("list") != []
    assert run_testbed("down", "--name", "wrong") == {"down": ["wrong"]}


@pytest.mark.parametrize("moment", ["cluster.json", "run/etcd.pid", "run/kube-scheduler.pid", "run/kwok.pid"])
def test_nothing_is_left_of_an_up_that_was_killed(state_home: Path, moment: str) -> None:
    folder = state_home / "sovereign-testbed" / "killed"
    tool = start_testbed("up", "--name", "killed", "--provider", "binaries")
    wait_until((folder / moment).exists)
    tool.kill()
    tool.wait()

    answer = run_testbed("down", "--name", "killed")

    assert answer == {"down": ["killed"]}
    assert processes_of(folder) == []
    assert [path.name for path in folder.parent.glob("*") if "killed" in path.name] == []


def test_a_down_that_was_killed_is_finished_by_the_next_one(state_home: Path) -> None:
    """As `down` leaves it between moving the folder away and ending the processes."""
    root = state_home / "sovereign-testbed"
    moved = root / ".removing-half-1"
    (moved / "run").mkdir(parents=True)
    pidfile = moved / "run" / "sleep.pid"
    process.start(pidfile, ["sleep", "300"], moved / "log")
    wait_until(pidfile.exists)
    running = process.read(pidfile)
    assert running is not None

    assert run_testbed("down", "--name", "half") == {"down": []}

    assert not running.alive()
    assert not moved.exists()
