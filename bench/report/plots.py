"""The plots: what is drawn of which results. One whose results are missing is left out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from bench.check import Judgement, Verdict
from bench.goals import memory_budget
from bench.report import canvas
from bench.report.shown import Shown
from bench.results import Result

_THICK: Final = 0.8
"""Of all bars of a group, as a share of the distance between groups."""


@dataclass(frozen=True)
class Plot:
    """One plot."""

    name: str
    bench: str
    """To which section it belongs; empty: to the summary."""
    shows: str
    """In words, for who cannot see it."""
    draw: Callable[[Shown], Figure | None]


@dataclass(frozen=True)
class _Bars:
    """The bars of one colour, one for each size at which there is a result."""

    label: str
    colour: str
    values: dict[int, tuple[float, float, float]]
    """Median, first and third quartile."""
    hatch: str = ""


def throughput(shown: Shown) -> Figure | None:
    """Arms relative to the bare writer."""
    bare = shown.of("storm.over_bare")
    if not bare:
        return None
    arms = [_Bars("sovereign-operator", canvas.BLUE, {size: _quartiles(one) for size, one in bare.items()})]
    for metric, label, colour, hatch in (
        ("storm.over_go", "bare writer in Go", canvas.SKY, "//"),
        ("storm.over_stock", "stock kopf operator", canvas.ORANGE, "\\\\"),
        ("storm.over_lean", "stock kopf operator, our client", canvas.GREEN, ".."),
        ("storm.over_peer", "peer", canvas.PURPLE, "xx"),
    ):
        over = {size: one for size, one in shown.of(metric).items() if size in bare}
        if over:
            # What is kept is how many times as long the arm took as ours did.
            shares = {size: _turned(bare[size].value, one) for size, one in over.items()}
            arms.append(_Bars(label, colour, shares, hatch))
    figure, on = canvas.axes(
        "Throughput of a storm of models", "models with pools", "objects per second,\nbare writer = 1"
    )
    on.axhline(1.0, color=canvas.GREY, linewidth=1.3, label="bare writer")
    _grouped(on, list(bare), arms)
    canvas.legend(figure, 2)
    return figure


def cpu(shown: Shown) -> Figure | None:
    """CPU for a model, by process."""
    parts = (
        ("storm.cpu_per_model", "operator", canvas.BLUE, ""),
        ("storm.apiserver_cpu", "API server", canvas.ORANGE, "//"),
        ("storm.bare_apiserver_cpu", "API server, bare writer", canvas.SKY, "\\\\"),
        ("storm.etcd_cpu", "etcd", canvas.GREEN, "xx"),
    )
    mine = shown.of("storm.cpu_per_model")
    if not mine:
        return None
    bars = [
        _Bars(label, colour, {size: _quartiles(one) for size, one in shown.of(metric).items()}, hatch)
        for metric, label, colour, hatch in parts
        if shown.of(metric)
    ]
    figure, on = canvas.axes("CPU for a model with its pool", "models with pools", "ms of CPU per model")
    _grouped(on, list(mine), bars)
    bound = shown.bound("storm.cpu_per_model")
    if bound is not None:
        canvas.goal(on, bound, f"goal for the operator: {bound:g} ms")
    canvas.legend(figure, 3)
    return figure


def memory(shown: Shown) -> Figure | None:
    """Memory over the number of models, with the budget."""
    rss, pss = shown.of("memory.rss"), shown.of("memory.pss")
    if not rss:
        return None
    base = shown.of("memory.base")
    start = [(0.0, min(one.value for one in base.values()))] if base else []
    figure, on = canvas.axes("Memory of the operator", "models with pools", "MiB")
    last = max(rss)
    on.plot(*_xy([*start, *((size, one.value) for size, one in rss.items())]), "o-", color=canvas.BLUE, label="RSS")
    if pss:
        on.plot(*_xy([(size, one.value) for size, one in pss.items()]), "s--", color=canvas.GREEN, label="PSS")
    peaks = [(size, one.value * memory_budget(size)) for size, one in shown.of("memory.over_budget").items()]
    if peaks:
        on.plot(*_xy(peaks), "^", color=canvas.ORANGE, label="peak RSS", markersize=8)
    on.plot(
        *_xy([(size, memory_budget(size)) for size in (0, last)]),
        color=canvas.VERMILION,
        linestyle="--",
        label="budget for the peak",
    )
    on.set_ylim(bottom=0)
    on.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    canvas.legend(figure)
    return figure


def churn(shown: Shown) -> Figure | None:
    """Memory over simulated hours of changes."""
    found = shown.last("memory.churn_growth")
    if found is None or not found.series:
        return None
    figure, on = canvas.axes(
        f"Memory over a day of changes, {found.size:,} models", "simulated hours", "MiB of resident memory"
    )
    hours, values = _xy(found.series)
    on.plot(hours, values, color=canvas.BLUE, linewidth=1.5)
    on.axvline(2.0, color=canvas.GREY, linestyle=":", label="growth counts from here")
    on.set_ylim(0, max(values) * 1.15)
    on.set_xlim(left=0)
    canvas.legend(figure)
    return figure


def admission(shown: Shown) -> Figure | None:
    """What admission adds, over the number of approved nodes."""
    figure, on = canvas.axes("What admission adds to a request", "approved nodes", "ms added (median and quartiles)")
    drawn = False
    for metric, label, colour, mark in (
        ("admission.create_added", "creation of a pod", canvas.BLUE, "o-"),
        ("admission.unpinned_added", "creation of a pod that has to be pinned", canvas.GREEN, "^-."),
        ("admission.bind_added", "binding", canvas.ORANGE, "s--"),
    ):
        found = shown.of(metric)
        if found:
            drawn = True
            _errors(on, found, mark, colour, label)
    if not drawn:
        return None
    bound = shown.bound("admission.create_added")
    if bound is not None:
        canvas.goal(on, bound, f"goal: {bound:g} ms")
    on.axhline(0.0, color=canvas.GREY, linewidth=0.8)
    on.set_xscale("log")
    on.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    canvas.legend(figure)
    return figure


def drift(shown: Shown) -> Figure | None:
    """How the latencies of drift are distributed."""
    found = {size: one for size, one in shown.of("drift.p99").items() if len(one.points) > 1}
    if not found:
        return None
    figure, on = canvas.axes(
        "From a node's change to the request that repairs a pod", "ms", "% of the pods repaired within"
    )
    for (size, one), colour, line in zip(
        found.items(), (canvas.BLUE, canvas.ORANGE, canvas.GREEN), ("-", "--", "-."), strict=False
    ):
        ranked = sorted(one.points)
        shares = [100 * (rank + 1) / len(ranked) for rank in range(len(ranked))]
        on.plot(ranked, shares, line, drawstyle="steps-post", color=colour, label=f"{size:,} nodes")
        on.plot([one.value], [99], "o", color=colour)
    bound = shown.bound("drift.p99")
    if bound is not None:
        on.axvline(
            bound, color=canvas.VERMILION, linestyle="--", label=f"goal for the 99th percentile (dot): {bound:g} ms"
        )
    on.set_xlim(left=0)
    on.set_ylim(0, 103)
    canvas.legend(figure)
    return figure


def restart(shown: Shown) -> Figure | None:
    """Catching up, beside raw lists."""
    ours, lists = shown.of("restart.seconds"), shown.of("restart.lists_seconds")
    if not ours or not lists:
        return None
    figure, on = canvas.axes("Time until caught up after a restart", "models with pools in place", "seconds")
    _grouped(
        on,
        list(ours),
        [
            _Bars("sovereign-operator", canvas.BLUE, {size: _quartiles(one) for size, one in ours.items()}),
            _Bars("raw lists of the same", canvas.ORANGE, {size: _quartiles(one) for size, one in lists.items()}, "//"),
        ],
    )
    canvas.legend(figure, 2)
    return figure


def goals(shown: Shown) -> Figure | None:
    """All goals with a bound that is not 0: how far values are from them."""
    rows = [row for one in shown.judged if (row := _used(one)) is not None]
    if not rows:
        return None
    rows.reverse()
    figure, on = canvas.axes(
        "Results against their goals",
        "share of the goal's bound that is used: 1 is the bound, less is better",
        "",
        height=1.6 + 0.24 * len(rows),
        width=8.4,
    )
    on.axvline(1.0, color=canvas.VERMILION, linestyle="--", label="the goal")
    for verdict, colour, mark in (
        (Verdict.MET, canvas.BLUE, "o"),
        (Verdict.EXPLAINED, canvas.ORANGE, "D"),
        (Verdict.MISSED, canvas.VERMILION, "X"),
    ):
        these = [(used, at) for at, (_, used, said) in enumerate(rows) if said is verdict]
        if these:
            on.plot(*_xy(these), mark, color=colour, label=str(verdict), markersize=7)
    on.set_yticks(range(len(rows)), [label for label, _, _ in rows], fontsize=9)
    on.set_ylim(-0.8, len(rows) - 0.2)
    on.set_xlim(-0.03, max(1.2, 1.1 * max(used for _, used, _ in rows)))
    canvas.legend(figure, 4)
    return figure


PLOTS: Final = (
    Plot("goals", "", "for each goal, how much of its bound the value uses", goals),
    Plot("throughput", "storm", "throughput of each arm relative to the bare writer, at each size", throughput),
    Plot("cpu", "storm", "CPU per model of operator, API server and etcd, at each size", cpu),
    Plot("restart", "restart", "time until caught up and time of raw lists, at each size", restart),
    Plot("drift", "drift", "share of pods repaired over milliseconds since their node's change", drift),
    Plot("memory", "memory", "memory over the number of models, with the budget", memory),
    Plot("churn", "memory", "memory over simulated hours of changes", churn),
    Plot("admission", "admission", "milliseconds added to requests over the number of approved nodes", admission),
)


def _used(one: Judgement) -> tuple[str, float, Verdict] | None:
    """The share of its bound that a value uses; nothing where a bound is 0, or a count must be exact."""
    if one.range is None or one.found is None or one.range.low == one.range.high:
        return None
    value = one.found.result.value
    size = f" at {one.size:,}" if one.size else ""
    if one.range.high:
        return f"{one.metric}{size}", max(0.0, value) / one.range.high, one.verdict
    if one.range.low and value > 0:
        return f"{one.metric}{size}", one.range.low / value, one.verdict
    return None


def _quartiles(one: Result) -> tuple[float, float, float]:
    return one.value, one.low, one.high


def _turned(bare: float, over: Result) -> tuple[float, float, float]:
    return bare / over.value, bare / over.high, bare / over.low


def _xy(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _grouped(on: Axes, sizes: Sequence[int], groups: Sequence[_Bars]) -> None:
    """Bars with quartiles and their values, grouped by size."""
    width = _THICK / len(groups)
    for number, group in enumerate(groups):
        for at, size in enumerate(sizes):
            if size not in group.values:
                continue
            value, low, high = group.values[size]
            x = at + (number - (len(groups) - 1) / 2) * width
            label = group.label if size == min(group.values) else "_"
            on.bar(
                x, value, 0.9 * width, color=group.colour, hatch=group.hatch, edgecolor="white", label=label, zorder=2
            )
            on.errorbar(
                x, value, yerr=[[max(0.0, value - low)], [max(0.0, high - value)]], color="black", capsize=3, zorder=3
            )
            on.annotate(
                f"{value:.3g}", (x, high), (0, 4), textcoords="offset points", ha="center", fontsize=8.5, zorder=4
            )
    on.set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes])
    on.set_xlim(-0.6, len(sizes) - 0.4)
    on.margins(y=0.15)
    on.set_ylim(bottom=0)
    on.grid(visible=False, axis="x")


def _errors(on: Axes, found: dict[int, Result], mark: str, colour: str, label: str) -> None:
    values = [one.value for one in found.values()]
    below = [max(0.0, one.value - one.low) for one in found.values()]
    above = [max(0.0, one.high - one.value) for one in found.values()]
    on.errorbar(list(found), values, yerr=[below, above], fmt=mark, color=colour, capsize=3, label=label)
