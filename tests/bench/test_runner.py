"""Running benches one after the other: what is kept, what is said, and what happens when one fails."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import runner
from bench.recorder import Recorder
from bench.results import Outcome, Result, load
from bench.runner import Runner
from bench.suite import BENCHES, Bench, Work
from tests.bench.conftest import made_up


class Grounds:
    """Control planes that are none; how many were made, and are still there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made = 0
        self.there = 0
        self.programs: list[Any] = []
        monkeypatch.setattr(runner, "_made", lambda stack: stack.enter_context(self))

    def __enter__(self) -> "Grounds":
        self.made += 1
        self.there += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.there -= 1


class Simple(Bench):
    def run(self, ground: Any, work: Work) -> Iterator[Result]:
        assert (ground is not None) == self.needs_ground
        yield made_up(f"{self.name}.value", 1.0, work.size)


class Broken(Bench):
    def run(self, ground: Any, work: Work) -> Iterator[Result]:
        yield made_up(f"{self.name}.value", 1.0, work.size)
        raise RuntimeError("the API server is gone")


class Careless(Bench):
    def run(self, ground: Any, work: Work) -> Iterator[Result]:
        yield made_up(f"{self.name}.value", 1.0, work.size)
        ground.programs.append(SimpleNamespace(runs=True))


@pytest.fixture
def grounds(monkeypatch: pytest.MonkeyPatch) -> Grounds:
    return Grounds(monkeypatch)


def _run(*benches: Bench, shared: bool) -> tuple[list[Result], list[Outcome], list[str]]:
    found: list[Result] = []
    ended: list[Outcome] = []
    lines: list[str] = []
    Runner([(bench, Work(20, 1)) for bench in benches], shared, lines.append, found.append, ended.append).run()
    return found, ended, lines


def test_a_bench_that_fails_is_told_and_the_others_run(grounds: Grounds) -> None:
    found, ended, lines = _run(Simple("one", "a"), Broken("two", "b"), Simple("three", "c"), shared=True)
    assert [one.metric for one in found] == ["one.value", "two.value", "three.value"]
    assert [(one.bench, one.size, one.error) for one in ended] == [
        ("one", 20, ""),
        ("two", 20, "RuntimeError: the API server is gone"),
        ("three", 20, ""),
    ]
    assert any("two, 20 models: failed after 0 s" in line for line in lines)
    assert any("Traceback" in line for line in lines)
    assert grounds.there == 0


def test_a_shared_control_plane_is_made_once_and_anew_after_a_failure(grounds: Grounds) -> None:
    _run(Simple("one", "a"), Simple("two", "b"), Simple("alone", "c", needs_ground=False), shared=True)
    assert (grounds.made, grounds.there) == (1, 0)
    _run(Broken("one", "a"), Simple("two", "b"), shared=True)
    assert (grounds.made, grounds.there) == (3, 0)


def test_a_bench_that_leaves_an_operator_running_has_failed(grounds: Grounds) -> None:
    _, ended, _ = _run(Careless("one", "a"), shared=True)
    assert "left an operator running" in ended[0].error


def test_otherwise_each_bench_has_its_own(grounds: Grounds) -> None:
    _run(Simple("one", "a"), Simple("two", "b"), Simple("alone", "c", needs_ground=False), shared=False)
    assert (grounds.made, grounds.there) == (2, 0)


def test_what_runs_for_long_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_PATIENCE", 0.01)
    lines: list[str] = []
    with runner._still("storm, 10,000 models", lines.append):
        while not lines:
            pass
    assert "storm, 10,000 models: runs since " in lines[0]


def test_what_was_found_is_written_after_each_bench(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "results.json"
    shown: list[str] = []
    recorder = Recorder(out, shown.append)
    recorder.save()
    assert load(out).results == ()
    recorder.found(made_up("storm.over_bare", 0.95))
    recorder.ended(Outcome("storm", 1000, 12.0))
    assert load(out) == recorder.run
    assert [one.metric for one in load(out).results] == ["storm.over_bare"]
    recorder.ended(Outcome("drift", 1000, 1.0, "RuntimeError: no"))
    assert [one.bench for one in load(out).failed] == ["drift"]
    assert recorder.summary() == "1 results of 2 benches in 13 s; failed: drift at 1,000"
    assert "storm.over_bare" in shown[0]
    assert list(out.parent.iterdir()) == [out], "no draft is left"


def test_a_bench_has_sizes_of_its_own_and_few_turns_where_one_takes_long() -> None:
    bench = Bench("storm", "", sizes=(1000, 10_000), few=1)
    base = Work(0, 5, tolerance=0.5)
    assert bench.work(base) == [Work(1000, 5, 0.5), Work(10_000, 1, 0.5)]
    assert bench.work(base, [20]) == [Work(20, 5, 0.5)]
    assert Bench("start", "", sizes=(1,)).work(base, [10_000]) == [Work(10_000, 5, 0.5)]


def test_benches_have_names_of_their_own_and_a_module_each() -> None:
    names = [bench.name for bench in BENCHES]
    assert len(set(names)) == len(names)
    folder = Path(runner.__file__).parent / "benches"
    assert all((folder / f"{name}.py").is_file() for name in names)
