"""The page and its plots, from results that nobody measured."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from typer.testing import CliRunner

from bench import report, suite
from bench.cli import app
from bench.goals import GOALS, Limit, at_least
from bench.report import page, words
from bench.report.plots import PLOTS
from bench.results import Outcome, Result, Run, save
from tests.bench.conftest import a_run, made_up

cli = CliRunner()


def _at(metric: str, sizes: Sequence[int], unit: str = "ratio", **more: object) -> list[Result]:
    return [made_up(metric, 0.9, size, unit, low=0.8, high=1.0, samples=5, **more) for size in sizes]


ALL = [
    *(one for metric in ("over_bare", "over_go", "over_stock") for one in _at(f"storm.{metric}", (1000, 10_000))),
    *(one for metric in ("cpu_per_model", "apiserver_cpu") for one in _at(f"storm.{metric}", (1000, 10_000), "ms")),
    *(one for metric in ("seconds", "lists_seconds") for one in _at(f"restart.{metric}", (1000, 10_000), "s")),
    *(one for metric in ("rss", "pss", "over_budget") for one in _at(f"memory.{metric}", (1000, 10_000), "MiB")),
    *_at("memory.base", (1000,), "MiB"),
    *_at("memory.churn_growth", (1000,), "MiB", series=((0.0, 60.0), (2.0, 64.0), (24.0, 64.5))),
    *_at("admission.create_added", (1, 1000, 15_000), "ms", note="3.1 ms without"),
    *_at("admission.bind_added", (1, 1000, 15_000), "ms"),
    *_at("drift.p99", (1000,), "ms", points=(40.0, 60.0, 230.0)),
    *_at("planner.pool", (1,), "us", discarded=2),
]


def _written(out: Path, *runs: Run) -> str:
    report.write(runs, out)
    return (out / report.PAGE).read_text()


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("docs")
    report.write([a_run(ALL)], out)
    return out


def test_the_page_says_on_what_and_how_and_has_a_table_of_each_bench(full: Path) -> None:
    text = (full / report.PAGE).read_text()
    for said in ("processor a processor", "memory 8 GiB", "python 3.11", "`abc`", "2026-01-01T00:00:00+00:00"):
        assert text.count(said) == 1
    for bench in {words.bench(one.metric) for one in ALL} & {one.name for one in suite.BENCHES}:
        section = text.split(f"\n## {bench}: ")[1].split("\n## ")[0]
        assert f"$ python -m bench run --only {bench}\n" in section
        assert words.method(bench) in section
    assert "| `planner.pool` | `plan` of one pool | 1 | 0.9 us | 0.8 to 1 | 5 | 2 | <= 100 | met |" in text
    assert all(f"**{arm}**" in text for arm in words.ARMS)
    assert "- `admission.create_added` at 15,000: 3.1 ms without" in text or "admission" not in _names()
    assert "\n\n\n" not in text


def _names() -> set[str]:
    return {one.name for one in suite.BENCHES}


def test_every_result_is_in_one_table(full: Path) -> None:
    rows = [line for line in (full / report.PAGE).read_text().splitlines() if line.startswith("| `")]
    assert len(rows) == len(ALL)


def test_each_plot_is_written_as_png_and_svg(full: Path) -> None:
    folder = full / report.PLOTS_IN
    assert {path.name for path in folder.iterdir()} == {
        f"{plot.name}.{end}" for plot in PLOTS for end in ("png", "svg")
    }
    for plot in PLOTS:
        with Image.open(folder / f"{plot.name}.png") as image:
            image.load()
            assert image.format == "PNG"
            assert min(image.size) > 300
            assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        root = ElementTree.parse(folder / f"{plot.name}.svg").getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert list(root.iter("{http://www.w3.org/2000/svg}text"))


def test_each_plot_is_on_the_page(full: Path) -> None:
    text = (full / report.PAGE).read_text()
    for plot in PLOTS:
        if plot.bench in _names() or not plot.bench:
            assert text.count(f"[![{plot.shows}](benchmarks/{plot.name}.svg)](benchmarks/{plot.name}.png)") == 1


def test_the_same_results_are_the_same_bytes(full: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    save(a_run(ALL), results)
    argv = [sys.executable, "-m", "bench", "report", str(results), "--out", str(tmp_path)]
    subprocess.run(argv, check=True, env=os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}, capture_output=True)
    for path in (full / report.PLOTS_IN).iterdir():
        assert (tmp_path / report.PLOTS_IN / path.name).read_bytes() == path.read_bytes(), path.name
    assert (tmp_path / report.PAGE).read_text() == (full / report.PAGE).read_text()


def test_what_was_not_run_is_said_and_its_plots_go(tmp_path: Path) -> None:
    _written(tmp_path, a_run(ALL))
    text = _written(tmp_path, a_run(_at("storm.over_bare", (1000,))))
    assert {path.stem for path in (tmp_path / report.PLOTS_IN).iterdir()} == {"goals", "throughput"}
    (line,) = [line for line in text.splitlines() if line.startswith("Not run: ")]
    assert line == f"Not run: {', '.join(f'`{one.name}`' for one in suite.BENCHES if one.name != 'storm')}."
    assert "## planner" not in text
    assert "`storm.over_bare` at 10,000" in text.split("Not measured: ")[1].splitlines()[0]


def test_no_results_are_a_page_without_plots(tmp_path: Path) -> None:
    text = _written(tmp_path, a_run())
    assert "0 met" in text
    assert "benchmarks/" not in text


def test_of_several_runs_the_newest_counts_and_each_is_named(tmp_path: Path) -> None:
    old = a_run([made_up("planner.pool", 90, 1, "us"), made_up("planner.files", 0.7, 1000, "s")], commit="old")
    new = a_run([made_up("planner.pool", 70, 1, "us")], started="2026-01-02", commit="new")
    text = _written(tmp_path, new, old)
    assert "| 1 | `old` | 2026-01-01" in text
    assert "| 2 | `new` | 2026-01-02" in text
    assert "70 us" in text
    assert "90 us" not in text
    assert "$ python -m bench run --only planner  # run 1, 2\n" in text
    assert text.count("- Machine: ") == 1


def test_misses_explanations_and_failures_stand_in_the_summary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    goals = (
        at_least("storm.over_bare", 0.9, 1000),
        at_least("storm.over_stock", 1.3, limit=Limit(1.0, "It consists of this.")),
    )
    monkeypatch.setattr(report, "GOALS", goals)
    results = [made_up("storm.over_bare", 0.5), made_up("storm.over_stock", 1.1)]
    text = _written(tmp_path, a_run(results, [Outcome("drift", 20, 1.0, "RuntimeError: a | b\nc")]))
    summary = text.split("## Summary")[1].split("\n## ")[0]
    assert "Of 2 goals: 0 met, 1 explained, 1 missed, 0 not measured." in summary
    assert "- `storm.over_bare` at 1,000: 0.5, goal >= 0.9." in summary
    assert "- `storm.over_stock` at 1,000: 1.1, goal >= 1.3. It consists of this." in summary
    assert "- `drift` at 20: RuntimeError: a \\| b c" in summary
    assert "| >= 0.9 | **missed** |" in text
    assert "| >= 1.3 | explained |" in text


@pytest.mark.parametrize(
    ("command", "repeated"),
    [
        ("python -m bench run", "python -m bench run --only storm"),
        ("python -m bench run --out=/tmp/x.json --pairs 3", "python -m bench run --pairs 3 --only storm"),
        (
            "python -m bench run --only drift --size 20 --only storm --out a.json",
            "python -m bench run --size 20 --only storm",
        ),
    ],
)
def test_the_command_over_a_table_repeats_that_bench(command: str, repeated: str) -> None:
    assert page.repeats(command, "storm") == repeated


def test_each_goal_is_explained_in_words() -> None:
    assert {one.metric for one in GOALS} <= set(words.METRICS)


def test_the_command_line_writes_and_names_wrong_files(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    save(a_run(_at("storm.over_bare", (1000,))), results)
    done = cli.invoke(app, ["report", str(results), "--out", str(tmp_path / "docs")])
    assert done.exit_code == 0, done.output
    assert str(tmp_path / "docs" / "benchmarks" / "throughput.svg") in done.stdout.splitlines()
    done = cli.invoke(app, ["report", str(tmp_path / "none.json"), "--out", str(tmp_path / "other")])
    assert done.exit_code == 2
    assert "No such file" in done.stderr
    assert not (tmp_path / "other").exists()
