"""``python -m bench``: run benches, write what they found, and hold it against the goals."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from bench import suite

if TYPE_CHECKING:
    from bench.arms.peer import Peer
    from bench.results import Run

RESULTS = Path("build/bench/results.json")
_NAMES = ", ".join(one.name for one in suite.BENCHES)
app = typer.Typer(
    help="How fast the operator is: ratios within one run, because machines differ and share their cores.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _example(*commands: str) -> str:
    return "Examples:\n\n" + "\n\n".join(f"  $ python -m bench {command}" for command in commands)


@app.command(
    epilog=_example(
        "run", "run --only storm --size 1000 --pairs 5", "run --shared --size 20 --pairs 1 --out build/bench/smoke.json"
    )
)
def run(
    out: Annotated[Path, typer.Option(help="Where the results go; written anew after each bench.")] = RESULTS,
    size: Annotated[
        list[int] | None,
        typer.Option(
            min=1, help="Models, nodes or whatever a bench counts; may be repeated. Default: each bench's own."
        ),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="BENCH", help=f"Only this one of {_NAMES}; may be repeated.")
    ] = None,
    pairs: Annotated[int, typer.Option(min=1, help="Turns wanted of each arm.")] = 5,
    tolerance: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="How much the bare writer may differ before and after a turn that counts, as a share.",
        ),
    ] = suite.TOLERANCE,
    shared: Annotated[bool, typer.Option(help="One control plane for all benches: sooner, and less steady.")] = False,
    rivals: Annotated[
        str,
        typer.Option(help="With whom the operator is compared in the storm, besides the bare writer; empty: nobody."),
    ] = ",".join(suite.RIVALS),
    peer: Annotated[str, typer.Option(metavar="NAME", help="Another operator that takes part in the storm.")] = "",
    binary: Annotated[Path | None, typer.Option(exists=True, help="The peer's manager.")] = None,
    crds: Annotated[Path | None, typer.Option(exists=True, help="File or folder of the peer's kinds.")] = None,
    template: Annotated[
        Path | None, typer.Option(exists=True, help="One object of the peer's, with {{name}} and {{namespace}}.")
    ] = None,
    until: Annotated[
        str,
        typer.Option(
            metavar="KIND|CONDITION",
            help="What each object of the peer must have: a child of this kind, or a condition.",
        ),
    ] = "apps/v1/deployments",
    arguments: Annotated[str, typer.Option(help="Of the peer's manager.")] = "--kubeconfig={kubeconfig}",
) -> None:
    """Run benches and write what they found; a bench that fails is told, the others run, and the exit status is 1."""
    from bench.recorder import Recorder
    from bench.runner import Runner

    try:
        benches = suite.chosen(only or [])
    except KeyError as error:
        raise typer.BadParameter(f"there is no bench {error}; choose among {_NAMES}", param_hint="--only") from None
    base = suite.Work(size=0, turns=pairs, tolerance=tolerance, rivals=_rivals(rivals))
    if peer:
        base = replace(base, peer=_peer(peer, binary, crds, template, until, arguments))
    tasks = [(bench, work) for bench in benches for work in bench.work(base, size or ())]
    tasks.sort(key=lambda task: task[1].size)
    recorder = Recorder(out, show=typer.echo)
    recorder.save()
    Runner(tasks, shared, lambda line: typer.echo(line, err=True), recorder.found, recorder.ended).run()
    typer.echo(f"{out}: {recorder.summary()}", err=True)
    raise typer.Exit(1 if recorder.run.failed else 0)


@app.command(epilog=_example("report", "report build/bench/1k.json build/bench/10k.json --out docs"))
def report(
    results: Annotated[
        list[Path] | None, typer.Argument(help=f"What runs wrote; of several the newest result counts. [{RESULTS}]")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Where the page goes, and the folder of its plots.", file_okay=False)
    ] = Path("docs"),
) -> None:
    """Write a page of results, benchmarks.md, and its plots; goals that are missed are shown, and do not fail."""
    from bench.report import write

    for path in write(_load(results or [RESULTS]), out):
        typer.echo(path)


@app.command(epilog=_example("check", "check build/bench/smoke.json --ranges smoke", "check -o json"))
def check(
    results: Annotated[
        list[Path] | None, typer.Argument(help=f"What runs wrote; of several the newest result counts. [{RESULTS}]")
    ] = None,
    ranges: Annotated[
        str,
        typer.Option(metavar="goals|smoke", help="goals: a quiet machine, full sizes. smoke: any machine, any size."),
    ] = "goals",
    output: Annotated[str, typer.Option("--output", "-o", metavar="text|json")] = "text",
) -> None:
    """Hold results against the goals; exit status 1 when one is out of its range or missing, or a bench failed."""
    from bench import tables
    from bench.check import judge
    from bench.goals import SETS
    from bench.results import failures, merged

    if ranges not in SETS:
        raise typer.BadParameter(f"{ranges!r} is none of {', '.join(SETS)}", param_hint="--ranges")
    if output not in ("text", "json"):
        raise typer.BadParameter(f"{output!r} is neither text nor json", param_hint="--output")
    runs = _load(results or [RESULTS])
    judged, failed = judge(merged(runs), SETS[ranges]), failures(runs)
    if output == "json":
        typer.echo(json.dumps(tables.facts(judged, failed), indent=2))
    else:
        tables.show(judged, failed)
    raise typer.Exit(0 if not failed and all(one.verdict.ok for one in judged) else 1)


def _rivals(text: str) -> tuple[str, ...]:
    named = tuple(part.strip() for part in text.split(",") if part.strip())
    if unknown := [name for name in named if name not in suite.RIVALS]:
        raise typer.BadParameter(
            f"there is no rival {unknown[0]!r}; choose among {', '.join(suite.RIVALS)}", param_hint="--rivals"
        )
    return named


def _peer(
    name: str, binary: Path | None, crds: Path | None, template: Path | None, until: str, arguments: str
) -> "Peer":
    from bench.arms.peer import Peer

    if binary is None or crds is None or template is None:
        raise typer.BadParameter("a peer needs --binary, --crds and --template", param_hint="--peer")
    return Peer(name, binary, crds, template, until, arguments)


def _load(paths: list[Path]) -> list["Run"]:
    from bench.results import UnreadableError, load

    try:
        return [load(path) for path in paths]
    except UnreadableError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(2)
