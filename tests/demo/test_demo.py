"""The demonstration itself, as a process: to its end, with a policy that does not hold, and interrupted."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.demo.stage import MANIFESTS
from testbed.demo.steps import STEPS
from tests.testbed.machine import processes_of, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("demo"), pytest.mark.timeout(600)]

COMMAND = [sys.executable, "-m", "testbed.demo"]


@pytest.fixture
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state directory of which nothing is left in the end, and no process either."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("TESTBED_KUBECONFIG", raising=False)
    yield tmp_path
    demo("--down", "--name", "shown")


def demo(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def nothing_is_left(state_home: Path) -> None:
    assert processes_of(state_home) == []
    assert list(state_home.iterdir()) == []


def test_every_step_is_shown_and_holds_and_nothing_is_left(state_home: Path) -> None:
    done = demo("--once", "--name", "shown", "--provider", "binaries")
    assert done.returncode == 0, done.stdout
    for number, step in enumerate(STEPS, 1):
        assert f"{number}. {step.title}\n" in done.stdout
    assert f"All {len(STEPS)} steps hold" in done.stdout
    assert " ".join(done.stdout.split()).count("denied request: policy eu: ") == 7, (
        "five bypasses, an edited child, and one with the operator stopped"
    )
    assert "DigestMismatch" in done.stdout
    assert "NoApprovedNode" in done.stdout
    assert "0 writes" in done.stdout
    nothing_is_left(state_home)


def test_a_step_that_does_not_hold_ends_with_1_and_is_named(
    state_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A policy that approves the nodes it is meant to keep out; and what was left standing is removed by `--down`."""
    policy = tmp_path_factory.mktemp("policy") / "policy.yaml"
    lawful = (MANIFESTS / "policy.yaml").read_text()
    policy.write_text(lawful.replace("jurisdictions: [EU]", "jurisdictions: [EU, US]"))
    done = demo("--name", "shown", "--provider", "binaries", "--policy", str(policy))
    assert done.returncode == 1, done.stdout
    assert "step 3 does not hold (A policy:" in done.stdout
    assert "the operator's log says" in done.stdout
    assert "python -m testbed.demo --down --name shown" in done.stdout
    running = processes_of(state_home)
    assert any("sovereign.main" in command for command in running), "without --once it stays, to be looked at"
    assert demo("--down", "--name", "shown").returncode == 0
    nothing_is_left(state_home)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_nothing_is_left_when_it_is_interrupted(state_home: Path, number: signal.Signals, code: int) -> None:
    with subprocess.Popen(
        [*COMMAND, "--once", "--name", "shown", "--provider", "binaries"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        wait_until((state_home / "sovereign-testbed" / "shown" / "run" / "kube-apiserver.pid").exists, 60)
        os.kill(running.pid, number)
        assert running.wait(60) == code
    nothing_is_left(state_home)


def test_down_removes_what_a_killed_one_left(state_home: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "--once", "--name", "shown", "--provider", "binaries"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        wait_until((state_home / "sovereign-testbed" / "shown" / "run" / "operator.pid").exists, 120)
        running.kill()
    assert processes_of(state_home) != []
    assert demo("--down", "--name", "shown").returncode == 0
    nothing_is_left(state_home)
