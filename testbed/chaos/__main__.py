"""``python -m testbed.chaos``."""

import asyncio
import os
import secrets
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from testbed import Cluster
from testbed.chaos.run import run
from testbed.errors import TestbedError

app = typer.Typer(add_completion=False)


@app.command()
def main(
    seed: Annotated[
        int | None, typer.Option(help="Decides on faults and workload; a random one, and said, if none.")
    ] = None,
    faults: Annotated[int, typer.Option(min=1, help="How many.")] = 1000,
    report: Annotated[Path | None, typer.Option(help="Also write the report to this file, as JSON.")] = None,
) -> None:
    """Break everything around the operator for a while, and see whether it all comes right.

    Exit status 1 when something did not hold.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # by way of what takes the cluster down
    chosen = secrets.randbelow(10**6) if seed is None else seed
    typer.echo(f"seed {chosen}, {faults} faults", err=True)
    folder = Path(tempfile.mkdtemp(prefix="sovereign-chaos-"))
    try:
        cluster = Cluster.up(f"chaos-{os.getpid()}", provider="binaries")
        try:
            came = asyncio.run(run(cluster, folder, chosen, faults, lambda line: typer.echo(line, err=True)))
        finally:
            cluster.down()
    except TestbedError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    typer.echo(came.text())
    if report is not None:
        came.write(report)
    if came.failures:
        typer.echo(f"the operators' logs are in {folder}")
        raise typer.Exit(1)
    shutil.rmtree(folder)


app(prog_name="python -m testbed.chaos")
