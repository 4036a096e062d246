"""The demonstration on real nodes, as a process, played to its end: every step holds, and nothing is left."""

import subprocess
import sys
from pathlib import Path

import pytest

from testbed.demo.nodes import STEPS
from testbed.nodes.layout import Layout
from tests.testbed.machine import processes_of

pytestmark = [pytest.mark.real_nodes, pytest.mark.timeout(900)]

NAME = "demo-shown"


def test_every_step_holds_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("TESTBED_KUBECONFIG", raising=False)
    before = of_clusters()
    command = [sys.executable, "-m", "testbed.demo", "--level", "nodes", "--once", "--name", NAME]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    for number, step in enumerate(STEPS, 1):
        assert f"{number}. {step.title}\n" in done.stdout
    assert f"All {len(STEPS)} steps hold" in done.stdout
    assert "asked in France, answered in France" in done.stdout
    assert processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    assert of_clusters() <= before


def of_clusters() -> set[str]:
    """Names on this machine that clusters with real nodes have: network namespaces, interfaces, cgroups."""
    prefix = Layout(0, (), "calico").prefix[:-1]
    folders = (Path("/run/netns"), Path("/sys/class/net"), *Path("/sys/fs/cgroup").glob("*/"), Path("/sys/fs/cgroup"))
    return {str(path) for folder in folders for path in folder.glob(f"{prefix}[0-9]*")}
