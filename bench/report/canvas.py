"""How plots look, and how they are written: white, in colours that the colour-blind tell apart, and the same bytes for the same results."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.style import context

# Okabe and Ito, "Color Universal Design", 2008.
BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
GREEN: Final = "#009E73"
VERMILION: Final = "#D55E00"
SKY: Final = "#56B4E9"
PURPLE: Final = "#CC79A7"
GREY: Final = "#7F7F7F"
FORMATS: Final = ("png", "svg")
_STYLE: Final[dict[str, Any]] = {
    "figure.facecolor": "white",
    "figure.dpi": 100,
    "savefig.facecolor": "white",
    "savefig.dpi": 120,
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "bench",
}


@contextmanager
def style() -> Iterator[None]:
    """Figures made and written within look alike, whatever the machine's own settings are."""
    with context(["default", _STYLE]):
        yield


def axes(title: str, x: str, y: str, *, height: float = 3.8, width: float = 7.2) -> tuple[Figure, Axes]:
    """A figure with one plot; the sizes are inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    made = figure.add_subplot()
    made.set_title(title)
    made.set_xlabel(x)
    made.set_ylabel(y)
    return figure, made


def goal(on: Axes, value: float, text: str) -> None:
    """A horizontal line that a value should not cross."""
    on.axhline(value, color=VERMILION, linestyle="--", linewidth=1.3, label=text)


def legend(figure: Figure, columns: int = 3) -> None:
    """A legend below the plot, where it hides nothing."""
    figure.legend(loc="outside lower center", ncols=columns)


def write(figure: Figure, folder: Path, name: str) -> None:
    """Write a figure as PNG and SVG; neither says when it was made, or by which version."""
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{name}.png", metadata={"Software": None})
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})


def remove(folder: Path, name: str) -> None:
    """Leave no plot of earlier results."""
    for suffix in FORMATS:
        (folder / f"{name}.{suffix}").unlink(missing_ok=True)
