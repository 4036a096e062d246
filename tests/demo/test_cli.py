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
    for option in ("--once", "--down", "--name", "--policy", "--provider", "--verbose"):
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


def test_a_name_that_no_cluster_can_have() -> None:
    code, text = run("--name", "Not A Name")
    assert code == 1
    assert "is no cluster name" in text
