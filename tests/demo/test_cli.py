"""The command line, as far as it needs no cluster."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from testbed.demo.cli import app

NEW_STATE = "XDG_STATE_HOME"


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, " ".join(done.output.split())


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(NEW_STATE, str(tmp_path))
    monkeypatch.delenv("TESTBED_KUBECONFIG", raising=False)
    return tmp_path / "sovereign-testbed"


def test_help_names_the_options_and_what_ends_with_1() -> None:
    code, text = run("--help")
    assert code == 0
    for option in ("--level", "--once", "--down", "--name", "--policy", "--provider", "--verbose"):
        assert option in text
    assert "Ends with 1 when something that is shown does not hold" in text


def test_down_without_anything_is_no_error() -> None:
    assert run("--down") == (0, "nothing to take down")


@pytest.mark.parametrize("words", [("--down",), ("--once",)])
def test_a_cluster_that_is_not_the_demonstrations_is_left_alone(state_home: Path, words: tuple[str, ...]) -> None:
    file = state_home / "mine" / "cluster.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    code, text = run("--name", "mine", *words)
    assert code == 1
    assert "cluster 'mine' was not made by the demonstration; choose another --name" in text
    assert file.exists()


def test_a_cluster_that_others_use_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    code, text = run("--provider", "kubeconfig")
    assert code == 1
    assert "wants a cluster of its own, from kind, envtest, binaries; not 'kubeconfig'" in text
    monkeypatch.setenv("TESTBED_KUBECONFIG", "/somebody/elses")
    code, text = run("--once")
    assert code == 1
    assert "unset TESTBED_KUBECONFIG" in text


def test_real_nodes_without_root_say_what_they_need(monkeypatch: pytest.MonkeyPatch, state_home: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    code, text = run("--level", "nodes")
    assert code == 1
    assert "real nodes need root (network namespaces, mounts, cgroups); run as root, or see the level" in text
    assert "--level control-plane (fake nodes)" in text
    assert not state_home.exists(), "something was begun"


@pytest.mark.parametrize("words", [("--provider", "kind"), ("--policy", __file__)])
def test_real_nodes_are_of_one_provider_and_have_one_policy(words: tuple[str, str]) -> None:
    code, text = run("--level", "nodes", *words)
    assert code == 1
    assert "--policy and --provider are for the level control-plane" in text


@pytest.mark.parametrize("words", [(), ("--level", "nodes"), ("--name", "demo-nodes")])
def test_down_finds_the_clusters_of_both_levels(state_home: Path, words: tuple[str, ...]) -> None:
    (state_home / "demo-nodes" / "demo").mkdir(parents=True)
    assert run("--down", *words) == (0, "demo-nodes is gone")
    assert run("--down", *words) == (0, "nothing to take down")


def test_down_of_one_level_leaves_the_other(state_home: Path) -> None:
    for name in ("demo", "demo-nodes"):
        (state_home / name / "demo").mkdir(parents=True)
    assert run("--down", "--level", "control-plane") == (0, "demo is gone")
    assert (state_home / "demo-nodes").exists()


def test_a_name_that_no_cluster_can_have() -> None:
    code, text = run("--name", "Not A Name")
    assert code == 1
    assert "is no cluster name" in text
