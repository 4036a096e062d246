"""The page: on what and how it was measured, and a section for each bench with its command, table, notes and plots."""

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bench import suite
from bench.check import Judgement, Verdict
from bench.report import words
from bench.report.plots import Plot
from bench.results import Outcome, Run
from bench.tables import spread, with_unit

_HEAD: Final = """\
# Benchmarks

This page and its plots are written by `make bench`, from what it has measured ([how](../bench/README.md));
[where the time goes](design/performance.md) says what stands behind the figures.

A value is the median, the spread its first and third quartile. Timings of different machines, or of one machine at
different hours, cannot be compared. So what has a goal is a ratio within one run where it can be, and each turn of an arm
stands between two turns of the bare writer. When these two differ by more than the tolerance (15 % unless the command says
otherwise), the turn is thrown away; the column "discarded" says how many were. Counts are exact: they are those of the API
server's audit log.
"""
_VERDICTS: Final = {
    Verdict.MET: "met",
    Verdict.EXPLAINED: "explained",
    Verdict.MISSED: "**missed**",
    Verdict.MISSING: "**not there**",
    Verdict.NONE: "",
}
_LEFT: Final = {"metric", "what", "goal", "verdict", "run", "commit", "started", "command"}
_FOLDED: Final = "admission.rule."
"""Metrics of which there are many: their table is folded."""


@dataclass(frozen=True)
class Findings:
    """What there is to show."""

    runs: Sequence[Run]
    """Oldest first."""
    judged: Sequence[Judgement]
    failed: Sequence[Outcome]
    plots: Sequence[Plot]
    """Those that were drawn."""

    def of(self, bench: str) -> list[Judgement]:
        """What was found by a bench."""
        return [one for one in self.judged if one.found is not None and words.bench(one.metric) == bench]

    @property
    def missing(self) -> list[Judgement]:
        """Goals with no result."""
        return [one for one in self.judged if one.verdict is Verdict.MISSING]


def markdown(findings: Findings, plots_in: str) -> str:
    """The page. ``plots_in`` is the plots' folder as seen from the page."""
    blocks = [_HEAD, *_summary(findings, plots_in), *_ran_on(findings.runs), *_arms()]
    for bench in suite.BENCHES:
        if findings.of(bench.name):
            blocks += _section(bench, findings, plots_in)
    blocks += _others(findings)
    return "\n\n".join(block.strip("\n") for block in blocks) + "\n"


# --- summary ----------------------------------------------------------------------------------------


def _summary(findings: Findings, plots_in: str) -> Iterator[str]:
    counted = Counter(one.verdict for one in findings.judged)
    said = [f"{counted[verdict]} {verdict}" for verdict in (Verdict.MET, Verdict.EXPLAINED, Verdict.MISSED)]
    goals = sum(counted[verdict] for verdict in Verdict if verdict is not Verdict.NONE)
    yield f"## Summary\n\nOf {goals} goals: {', '.join(said)}, {counted[Verdict.MISSING]} not measured."
    yield from _shown([plot for plot in findings.plots if not plot.bench], plots_in)
    apart = [one for one in findings.judged if one.verdict in (Verdict.EXPLAINED, Verdict.MISSED)]
    if apart:
        yield "Not met:\n\n" + "\n".join(map(_apart, apart))
    yield from _not_there(findings)


def _apart(one: Judgement) -> str:
    assert one.found is not None
    assert one.range is not None
    result = one.found.result
    line = f"- `{one.metric}`{_at(result.size)}: {with_unit(result)}, goal {one.range.text}."
    if one.verdict is Verdict.EXPLAINED and one.range.limit is not None:
        return f"{line} {one.range.limit.reason}"
    return line


def _not_there(findings: Findings) -> Iterator[str]:
    idle = [bench.name for bench in suite.BENCHES if not findings.of(bench.name)]
    if idle:
        yield f"Not run: {', '.join(f'`{name}`' for name in idle)}."
    metrics = [f"`{one.metric}`{_at(one.size)}" for one in findings.missing if words.bench(one.metric) not in idle]
    if metrics:
        yield f"Not measured: {', '.join(metrics)}."
    if findings.failed:
        yield "Failed:\n\n" + "\n".join(
            f"- `{one.bench}`{_at(one.size)}: {_cell(one.error)}" for one in findings.failed
        )


def _at(size: int | None) -> str:
    return f" at {size:,}" if size else ""


# --- runs -------------------------------------------------------------------------------------------


def _ran_on(runs: Sequence[Run]) -> Iterator[str]:
    yield "## On what"
    machines = list(dict.fromkeys(_facts(run.machine) for run in runs))
    versions = list(dict.fromkeys(_facts(run.versions) for run in runs))
    rows = [
        [str(index), f"`{run.commit}`", run.started, f"`{_cell(_public(run.command))}`"]
        for index, run in enumerate(runs, 1)
    ]
    yield _table(("run", "commit", "started", "command"), rows)
    yield "\n".join(
        [f"- Machine{_which(machines, text, runs, 'machine')}: {text}" for text in machines]
        + [f"- Versions{_which(versions, text, runs, 'versions')}: {text}" for text in versions]
    )


def _facts(facts: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def _which(all_of_them: Sequence[str], text: str, runs: Sequence[Run], field: str) -> str:
    if len(all_of_them) == 1:
        return ""
    return f" of run {', '.join(str(n) for n, run in enumerate(runs, 1) if _facts(getattr(run, field)) == text)}"


def _public(command: str) -> str:
    """A command without where its results went."""
    return shlex.join(_without(shlex.split(command), "--out"))


def _without(arguments: Sequence[str], *options: str) -> list[str]:
    left: list[str] = []
    pending = False
    for argument in arguments:
        if pending:
            pending = False
        elif argument in options:
            pending = True
        elif not argument.startswith(tuple(f"{option}=" for option in options)):
            left.append(argument)
    return left


def repeats(command: str, bench: str) -> str:
    """The command that repeats one bench of a run."""
    return shlex.join([*_without(shlex.split(command), "--out", "--only"), "--only", bench])


# --- sections ---------------------------------------------------------------------------------------


def _arms() -> Iterator[str]:
    yield "## What is compared\n\n" + "\n".join(f"- **{name}**: {what}." for name, what in words.ARMS.items())


def _section(bench: suite.Bench, findings: Findings, plots_in: str) -> Iterator[str]:
    found = findings.of(bench.name)
    yield f"## {bench.name}: {bench.what}"
    method = words.method(bench.name)
    if method:
        yield method
    yield _commands(bench.name, found, findings.runs)
    yield _results(bench.counts, [one for one in found if not one.metric.startswith(_FOLDED)])
    folded = [one for one in found if one.metric.startswith(_FOLDED)]
    if folded:
        yield f"<details><summary>Each rule alone</summary>\n\n{_results(bench.counts, folded)}\n\n</details>"
    notes = [
        f"- `{one.metric}`{_at(one.size)}: {one.found.result.note}"
        for one in found
        if one.found and one.found.result.note
    ]
    if notes:
        yield "\n".join(notes)
    yield from _shown([plot for plot in findings.plots if plot.bench == bench.name], plots_in)


def _others(findings: Findings) -> Iterator[str]:
    """Of benches that are not in the suite any more."""
    known = {bench.name for bench in suite.BENCHES}
    left = [one for one in findings.judged if one.found is not None and words.bench(one.metric) not in known]
    if left:
        yield "## Others"
        yield _results("size", left)


def _commands(bench: str, found: Sequence[Judgement], runs: Sequence[Run]) -> str:
    """The commands that repeat what the table shows, and of which run it is where there are several."""
    of_runs = [run for run in runs if any(one.found is not None and one.found.run is run for one in found)]
    lines: dict[str, list[int]] = {}
    for run in of_runs:
        lines.setdefault(repeats(run.command, bench), []).append(runs.index(run) + 1)
    text = [
        f"$ {command}" + (f"  # run {', '.join(map(str, numbers))}" if len(runs) > 1 else "")
        for command, numbers in lines.items()
    ]
    return "```console\n" + "\n".join(text) + "\n```"


def _results(counts: str, found: Iterable[Judgement]) -> str:
    columns = ("metric", "what", counts, "value", "spread", "samples", "discarded", "goal", "verdict")
    return _table(columns, [_row(one) for one in sorted(found, key=lambda one: words.place(one.metric))])


def _row(one: Judgement) -> list[str]:
    assert one.found is not None
    result = one.found.result
    return [
        f"`{one.metric}`",
        words.told(one.metric),
        f"{result.size:,}" if result.size else "",
        with_unit(result),
        spread(result),
        str(result.samples),
        str(result.discarded) if result.discarded else "",
        one.range.text if one.range else "",
        _VERDICTS[one.verdict],
    ]


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = ["---" if column in _LEFT else "--:" for column in columns]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (columns, rule, *rows))


def _shown(plots: Iterable[Plot], plots_in: str) -> Iterator[str]:
    for plot in plots:
        where = f"{plots_in}/{plot.name}"
        yield f"[![{plot.shows}]({where}.svg)]({where}.png)"


def _cell(text: str) -> str:
    """What may stand in a table's cell."""
    return " ".join(text.split()).replace("|", "\\|")
