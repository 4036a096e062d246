"""Judgements as a table for people, and as facts for programs."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table

from bench.check import Judgement, Verdict
from bench.results import Outcome, Result

_WIDTH: Final = 120
"""Columns at least: where output goes into a file, 80 would cut names."""
_COLOURS: Final = {Verdict.MET: "green", Verdict.EXPLAINED: "yellow", Verdict.MISSED: "red", Verdict.MISSING: "red"}


def facts(judged: Sequence[Judgement], failed: Sequence[Outcome]) -> dict[str, Any]:
    """For programs."""
    return {
        "ok": not failed and all(one.verdict.ok for one in judged),
        "metrics": [_fact(one) for one in judged],
        "failed": [msgspec.to_builtins(one) for one in failed],
    }


def _fact(one: Judgement) -> dict[str, Any]:
    fact: dict[str, Any] = {"metric": one.metric, "size": one.size, "verdict": str(one.verdict)}
    if one.found is not None:
        result = one.found.result
        fact |= {name: getattr(result, name) for name in ("value", "unit", "low", "high", "samples", "discarded")}
        fact |= {"commit": one.found.run.commit, "started": one.found.run.started}
    if one.range is not None:
        fact["range"] = one.range.text
        if one.range.limit is not None:
            fact["limit"] = {"value": one.range.limit.value, "reason": one.range.limit.reason}
    return fact


def show(judged: Sequence[Judgement], failed: Sequence[Outcome]) -> None:
    """For people, on standard output."""
    table = Table("metric", box=None, pad_edge=False)
    for column in ("size", "value", "spread", "samples"):
        table.add_column(column, justify="right")
    table.add_column("range")
    table.add_column("verdict")
    for one in judged:
        colour = _COLOURS.get(one.verdict)
        verdict = f"[{colour}]{one.verdict}[/]" if colour else str(one.verdict)
        table.add_row(one.metric, *_columns(one), one.range.text if one.range else "", verdict)
    console = Console(highlight=False, soft_wrap=True)
    console.width = max(console.width, _WIDTH)
    console.print(table)
    for one in judged:
        if one.verdict is Verdict.EXPLAINED and one.range is not None and one.range.limit is not None:
            console.print(
                f"{one.metric}: no worse than {one.range.limit.value:g}; {one.range.limit.reason}", markup=False
            )
    for outcome in failed:
        console.print(f"{outcome.bench} failed at {outcome.size:,}: {outcome.error}", markup=False)
    counted = Counter(one.verdict for one in judged)
    console.print(", ".join(f"{counted[kind]} {kind}" for kind in Verdict if counted[kind] and kind != Verdict.NONE))


def _columns(one: Judgement) -> tuple[str, str, str, str]:
    size = "" if one.size is None else f"{one.size:,}"
    if one.found is None:
        return size, "", "", ""
    result = one.found.result
    return size, with_unit(result), spread(result), str(result.samples)


def with_unit(result: Result) -> str:
    """The value; a ratio has no unit."""
    return number(result.value) + ("" if result.unit == "ratio" else f" {result.unit}")


def spread(result: Result) -> str:
    """The quartiles; nothing where there is one sample."""
    return f"{number(result.low)} to {number(result.high)}" if result.samples > 1 else ""


def number(value: float) -> str:
    """Three significant figures; whole numbers as they are."""
    if value == round(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
