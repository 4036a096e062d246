"""``python -m bench``: run, check, report."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="How fast the operator is.", no_args_is_help=True, pretty_exceptions_enable=False)


@app.command()
def run(
    out: Annotated[Path, typer.Option(help="Where the results go.")] = Path("build/bench/results.json"),
    size: Annotated[list[int] | None, typer.Option(help="Models; may be repeated.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only these benches.")] = None,
    pairs: Annotated[int, typer.Option(min=1, help="Steady turns wanted.")] = 5,
) -> None:
    """Run benches and write what they found."""
    from bench import machine
    from bench.ground import ground
    from bench.results import Result, Run, save
    from bench.benches import storm

    results: list[Result] = []
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with ground("bench") as made:
        _policy(made)
        for one in size or [100]:
            for found in storm.run(made, one, pairs):
                typer.echo(f"{found.metric:28} {found.size:6} {found.value:10.3f} {found.unit} [{found.low:.3f}, {found.high:.3f}] n={found.samples} discarded={found.discarded}")
                results.append(found)
    save(Run(machine.commit(), started, machine.command(), machine.describe(), machine.versions(), tuple(results)), out)


def _policy(made) -> None:
    from bench import objects
    from bench.ground import wait

    async def work(client) -> None:
        await client.create("/apis/sovereignai.io/v1alpha1/sovereigntypolicies", objects.policy())

    made.run(work)


@app.callback()
def main() -> None:
    """The benchmark suite."""
