"""How the program starts and ends, and its reference pages."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sovereign import __version__
from sovereign.api import meta
from sovereign.cli.reference import __main__ as reference
from sovereign.cli.reference import labels
from sovereign.cli.reference.pages import pages
from tests.cli.conftest import NODES, Run, Write, model, namespace, policy, pool

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("kubectl-sovereign")
HEAVY = {"aiohttp", "jinja2", "kopf", "kubernetes", "msgspec", "orjson", "rich", "yaml"}


def loaded_by(*args: str) -> set[str]:
    """The packages that a call of the program imports."""
    code = (
        "import sys\nfrom sovereign.cli import app\n"
        f"try: app({list(args)!r}, prog_name='kubectl-sovereign')\nexcept SystemExit: pass\n"
        "sys.stderr.write(' '.join({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.rpartition("\n")[2].split())


def test_help_imports_nothing_heavy() -> None:
    assert loaded_by("--help") & {*HEAVY, "pydantic"} == set()
    # typer itself checks the options of a command with pydantic.
    assert loaded_by("explain", "node", "--help") & HEAVY == set()


def test_plan_imports_nothing_that_talks_to_a_cluster(write: Write) -> None:
    loaded = loaded_by("plan", "-f", write(policy(), namespace(), model(), pool(), *NODES), "-o", "json")
    assert loaded & {"aiohttp", "kopf", "kubernetes", "uvloop"} == set()


def test_kubectl_finds_it_by_its_name(write: Write) -> None:
    done = subprocess.run([PROGRAM, "version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, __version__ + "\n")


def test_version_for_programs(run: Run) -> None:
    assert json.loads(run("version", "-o", "json").stdout) == {"version": __version__, "apiVersion": meta.API_VERSION}


@pytest.mark.parametrize(
    "command", [("plan",), ("render",), ("explain", "pool"), ("digest",), ("doctor",), ("version",)]
)
def test_every_command_shows_examples(run: Run, command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert f"kubectl sovereign {' '.join(command)}" in result.stdout


@pytest.mark.parametrize("command", [("doctor",), ("explain", "node", "a")])
def test_a_cluster_that_is_not_there_is_told(command: tuple[str, ...], run: Run, tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    result = run(*command, "--kubeconfig", str(file))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "cannot be used" in result.stderr
    cluster = {"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}
    context = {"name": "a", "context": {"cluster": "a", "user": "a"}}
    user = {"name": "a", "user": {}}
    file.write_text(json.dumps({"clusters": [cluster], "contexts": [context], "users": [user], "current-context": "a"}))
    result = run(*command, "--kubeconfig", str(file))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "the API server at http://127.0.0.1:1 does not answer" in result.stderr


def test_a_closed_pipe_is_no_error(write: Write) -> None:
    file = write(policy(), namespace(), model(), pool(), *NODES)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [PROGRAM, "render", "-f", file], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert "Traceback" not in done.stderr


# --- reference pages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(pages()))
def test_the_reference_is_up_to_date(name: str) -> None:
    written = (ROOT / "docs" / "reference" / name).read_text("utf-8")
    assert written == pages()[name], f"run `{reference.COMMAND}`"


def test_the_reference_is_written_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "reference"
    assert reference.main([str(folder), "--check"]) == 1
    assert "cli.md is out of date" in capsys.readouterr().err
    assert reference.main([str(folder)]) == 0
    assert reference.main([str(folder), "--check"]) == 0
    assert reference.main([]) == 2


def test_every_label_is_explained() -> None:
    explained = {key for key, _, _ in (*labels.ON_NODES, *labels.ON_CHILDREN, *labels.COPIED)}
    named = {
        value for name, value in vars(meta).items() if name.startswith(("LABEL_", "FACT_")) and name != "FACT_DOMAIN"
    }
    assert named | set(meta.COPIED_LABELS) <= explained


def test_every_field_is_described() -> None:
    for name, text in pages().items():
        if "## spec" in text:
            rows = [line for line in text.splitlines() if line.startswith(("| `spec", "| `status"))]
            undescribed = [row for row in rows if row.count(" | ") == 4 and row.endswith("|  |")]
            assert rows, name
            assert undescribed == [], name
