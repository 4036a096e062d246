"""The demonstration on real nodes, as a process, played to its end: every step holds, and nothing is left."""

import subprocess
import sys
from pathlib import Path

import pytest

from testbed import state
from testbed.demo.nodes import STEPS
from tests.testbed.machine import processes_of, wait_until

pytestmark = [pytest.mark.real_nodes, pytest.mark.timeout(900)]

NAME = "demo-shown"


def test_every_step_holds_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("TESTBED_KUBECONFIG", raising=False)
    command = [sys.executable, "-m", "testbed.demo", "--level", "nodes", "--once", "--name", NAME]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
        wait_until(lambda: (state.folder(NAME) / "cluster.json").exists() or demo.poll() is not None)
        known = state.load(state.folder(NAME)) if demo.poll() is None else None
        output, _ = demo.communicate()
    assert demo.returncode == 0, output
    for number, step in enumerate(STEPS, 1):
        assert f"{number}. {step.title}\n" in output
    assert f"All {len(STEPS)} steps hold" in output
    assert "asked in France, answered in France" in output
    assert processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    assert known is not None
    assert known.layout is not None
    assert names_on_the_machine(known.layout.prefix) == []


def names_on_the_machine(prefix: str) -> list[Path]:
    """Network namespaces, interfaces and control groups whose names begin with a cluster's prefix."""
    groups = Path("/sys/fs/cgroup")
    folders = (Path("/run/netns"), Path("/sys/class/net"), groups, *groups.glob("*/"))
    return [path for folder in folders for path in folder.glob(f"{prefix}*")]
