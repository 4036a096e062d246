"""What runs found, for people: a page of tables, and plots."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.check import judge
from bench.goals import GOALS
from bench.report import canvas
from bench.report.page import Findings, markdown
from bench.report.plots import PLOTS, Plot
from bench.report.shown import Shown
from bench.results import Run, failures, merged

PAGE: Final = "benchmarks.md"
PLOTS_IN: Final = "benchmarks"


def write(runs: Sequence[Run], out: Path) -> list[Path]:
    """Write the page and the plots of ``runs`` into ``out``; what was written.

    Plots of earlier results are removed where they cannot be drawn now.
    """
    ordered = sorted(runs, key=lambda run: run.started)
    judged = judge(merged(ordered), GOALS)
    drawn = _draw(Shown(judged), out / PLOTS_IN)
    findings = Findings(ordered, judged, failures(ordered), drawn)
    path = out / PAGE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(markdown(findings, PLOTS_IN))
    return [path, *(out / PLOTS_IN / f"{plot.name}.{suffix}" for plot in drawn for suffix in canvas.FORMATS)]


def _draw(shown: Shown, folder: Path) -> list[Plot]:
    drawn = []
    with canvas.style():
        for plot in PLOTS:
            figure = plot.draw(shown)
            if figure is None:
                canvas.remove(folder, plot.name)
            else:
                canvas.write(figure, folder, plot.name)
                drawn.append(plot)
    return drawn
