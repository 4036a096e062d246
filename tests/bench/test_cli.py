"""The command line: what it says, and its exit statuses."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench import suite
from bench.cli import app
from bench.goals import GOALS, SMOKE, Range
from bench.results import Outcome, Result, Run, load, save
from bench.suite import Bench, Work
from tests.bench.conftest import a_run, made_up

cli = CliRunner()


class Quick(Bench):
    def run(self, ground: Any, work: Work) -> Iterator[Result]:
        yield made_up(f"{self.name}.value", work.turns, work.size)
        if self.what == "breaks":
            raise RuntimeError("on purpose")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "results.json"


def _satisfying(ranges: tuple[Range, ...]) -> list[Result]:
    bounds = [(one, one.high if one.low is None else one.low) for one in ranges]
    return [made_up(one.metric, value or 0.0, size) for one, value in bounds for size in one.sizes or (20,)]


def _checked(run: Run, path: Path, *arguments: str) -> Any:
    save(run, path)
    return cli.invoke(app, ["check", str(path), *arguments])


def test_results_that_meet_every_goal_pass(written: Path) -> None:
    done = _checked(a_run(_satisfying(GOALS)), written)
    assert done.exit_code == 0, done.output
    assert f"{sum(len(one.sizes) or 1 for one in GOALS)} met" in done.output


@pytest.mark.parametrize("which", range(len(SMOKE)), ids=[one.metric for one in SMOKE])
def test_each_range_of_a_smoke_run_can_fail(which: int, written: Path) -> None:
    results = _satisfying(SMOKE)
    bad = SMOKE[which].low - 0.01 if SMOKE[which].high is None else SMOKE[which].high + 0.01  # type: ignore[operator]
    results[which] = made_up(SMOKE[which].metric, bad, 20)
    done = _checked(a_run(results), written, "--ranges", "smoke")
    assert done.exit_code == 1
    assert "1 missed" in done.output
    del results[which]
    done = _checked(a_run(results), written, "--ranges", "smoke")
    assert done.exit_code == 1
    assert "1 missing" in done.output


def test_a_bench_that_failed_fails_the_check_unless_a_newer_run_has_it(written: Path, tmp_path: Path) -> None:
    failed = a_run(_satisfying(SMOKE), [Outcome("drift", 20, 1.0, "RuntimeError: no")])
    done = _checked(failed, written, "--ranges", "smoke")
    assert done.exit_code == 1
    assert "drift failed at 20: RuntimeError: no" in done.output
    newer = tmp_path / "newer.json"
    save(a_run([], [Outcome("drift", 20, 1.0)], started="2026-01-02"), newer)
    assert cli.invoke(app, ["check", str(newer), str(written), "--ranges", "smoke"]).exit_code == 0


def test_programs_get_json(written: Path) -> None:
    done = _checked(a_run([made_up("start.seconds", 0.5)]), written, "-o", "json")
    assert done.exit_code == 1
    facts = json.loads(done.stdout)
    assert facts["ok"] is False
    by_metric = {one["metric"]: one for one in facts["metrics"]}
    assert by_metric["start.seconds"]["verdict"] == "met"
    assert by_metric["start.seconds"]["range"] == "<= 1"
    assert by_metric["planner.pool"]["verdict"] == "missing"


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "No such file"), ("# words", "holds no results"), ('{"commit": 1}', "holds no results")],
)
def test_a_wrong_file_is_said_to_be_one(content: str | None, says: str, written: Path) -> None:
    if content is not None:
        written.write_text(content)
    done = cli.invoke(app, ["check", str(written)])
    assert done.exit_code == 2
    assert says in done.stderr
    assert str(written) in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check", "--ranges", "none"], "is none of goals, smoke"),
        (["check", "-o", "yaml"], "neither text nor json"),
        (["run", "--only", "nothing"], "there is no bench 'nothing'"),
        (["run", "--size", "0"], "greater than or equal to 1"),
        (["run", "--rivals", "go,nobody"], "there is no rival 'nobody'; choose among go, stock, lean"),
        (["run", "--pairs", "0"], "greater than or equal to 1"),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], says: str) -> None:
    done = cli.invoke(app, arguments, env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert done.exit_code == 2
    assert says in done.output


def test_a_run_is_written_and_fails_when_a_bench_does(monkeypatch: pytest.MonkeyPatch, written: Path) -> None:
    benches = [
        Quick("large", "", needs_ground=False, sizes=(10_000,), few=1),
        Quick("bad", "breaks", needs_ground=False),
        Quick("good", "", needs_ground=False),
    ]
    monkeypatch.setattr(suite, "BENCHES", benches)
    done = cli.invoke(app, ["run", "--out", str(written), "--pairs", "3"])
    assert done.exit_code == 1
    assert "failed: bad at 1,000" in done.stderr
    run = load(written)
    assert [(one.metric, one.size, one.value) for one in run.results] == [
        ("bad.value", 1000, 3),
        ("good.value", 1000, 3),
        ("large.value", 10_000, 1),
    ]
    assert [bool(one.error) for one in run.outcomes] == [True, False, False]
    assert cli.invoke(app, ["run", "--out", str(written), "--only", "good", "--size", "20"]).exit_code == 0
    assert [(one.metric, one.size) for one in load(written).results] == [("good.value", 20)]


def test_help_names_every_bench() -> None:
    done = cli.invoke(app, ["run", "--help"], env={"COLUMNS": "400"})
    assert all(bench.name in done.output for bench in suite.BENCHES)
