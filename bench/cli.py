"""``python -m bench``: run benches, and write what they found."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench import suite

if TYPE_CHECKING:
    from bench.ground import Ground
    from bench.results import Result

app = typer.Typer(help="How fast the operator is.", no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """The benchmark suite: ratios within one run, because machines differ and share their cores."""


@app.command()
def run(
    out: Annotated[Path, typer.Option(help="Where the results go.")] = Path("build/bench/results.json"),
    size: Annotated[list[int] | None, typer.Option(help="Models; may be repeated. Default: 100.")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help=f"Only this bench of {', '.join(one.name for one in suite.BENCHES)}; may be repeated."),
    ] = None,
    pairs: Annotated[int, typer.Option(min=1, help="Steady turns wanted of each arm.")] = 5,
    shared: Annotated[bool, typer.Option(help="One control plane for all benches: sooner, and less steady.")] = False,
) -> None:
    """Run benches and write what they found."""
    from bench import machine
    from bench.results import Run, save

    try:
        benches = suite.chosen(only or [])
    except KeyError as error:
        raise typer.BadParameter(f"there is no bench {error}; choose among {_names()}") from None
    started = datetime.now(UTC).isoformat(timespec="seconds")
    results = []
    for found in _results(benches, size or [100], pairs, shared):
        spread = f"[{found.low:.3f}, {found.high:.3f}]"
        counts = f"{found.samples} samples, {found.discarded} thrown away"
        typer.echo(f"{found.metric:28} {found.size:6} {found.value:10.3f} {found.unit:9} {spread} {counts}")
        results.append(found)
    description = machine.describe()
    save(Run(machine.commit(), started, machine.command(), description, machine.versions(), tuple(results)), out)


def _names() -> str:
    return ", ".join(one.name for one in suite.BENCHES)


def _results(benches: list[suite.Bench], sizes: list[int], turns: int, shared: bool) -> Iterator["Result"]:
    with ExitStack() as all_of_them:
        common: Ground | None = None
        for size in sizes:
            for bench in benches:
                with ExitStack() as its_own:
                    if bench.needs_ground and (common is None or not shared):
                        common = _ground(all_of_them if shared else its_own)
                    yield from bench.run(common if bench.needs_ground else None, suite.Work(size, turns))


def _ground(stack: ExitStack) -> "Ground":
    from bench import objects
    from bench.ground import ground
    from sovereign.cluster.resources import BY_KIND

    made = stack.enter_context(ground("bench"))
    policies = BY_KIND["SovereigntyPolicy"].path()
    made.run(lambda client: client.create(policies, objects.policy()))
    return made
