"""``python -m bench``: run benches, and write what they found."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bench.results import Result

BENCHES = ("planner", "storm")
app = typer.Typer(help="How fast the operator is.", no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """The benchmark suite: ratios within one run, because machines differ and share their cores."""


@app.command()
def run(
    out: Annotated[Path, typer.Option(help="Where the results go.")] = Path("build/bench/results.json"),
    size: Annotated[list[int] | None, typer.Option(help="Models; may be repeated. Default: 100.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help=f"Only this bench of {', '.join(BENCHES)}; may be repeated.")
    ] = None,
    pairs: Annotated[int, typer.Option(min=1, help="Steady turns wanted of each arm.")] = 5,
) -> None:
    """Run benches and write what they found."""
    from bench import machine
    from bench.results import Run, save

    if unknown := sorted(set(only or ()) - set(BENCHES)):
        raise typer.BadParameter(f"there is no bench {unknown[0]}; choose among {', '.join(BENCHES)}")
    started = datetime.now(UTC).isoformat(timespec="seconds")
    results = []
    for found in _results(set(only or BENCHES), size or [100], pairs):
        spread = f"[{found.low:.3f}, {found.high:.3f}]"
        counts = f"{found.samples} samples, {found.discarded} thrown away"
        typer.echo(f"{found.metric:28} {found.size:6} {found.value:10.3f} {found.unit:9} {spread} {counts}")
        results.append(found)
    description = machine.describe()
    save(Run(machine.commit(), started, machine.command(), description, machine.versions(), tuple(results)), out)


def _results(chosen: set[str], sizes: list[int], pairs: int) -> Iterator["Result"]:
    from bench import objects
    from bench.benches import planner, storm
    from bench.ground import ground
    from sovereign.cluster.resources import BY_KIND

    if "planner" in chosen:
        for size in sizes:
            yield from planner.run(size)
    if "storm" in chosen:
        with ground("bench") as made:
            policies = BY_KIND["SovereigntyPolicy"].path()
            made.run(lambda client: client.create(policies, objects.policy()))
            for size in sizes:
                yield from storm.run(made, size, pairs)
