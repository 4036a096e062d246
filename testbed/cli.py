"""The command line: ``python -m testbed``."""

import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from testbed import binaries, cluster, conformance, process, providers, state
from testbed.cluster import Cluster
from testbed.errors import TestbedError
from testbed.images.cli import app as images
from testbed.nodes import layout, machine
from testbed.services import Service

app = typer.Typer(
    help="Real Kubernetes control planes with fake GPU nodes, for tests and demonstrations on one machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(images, name="images")
_out = Console(highlight=False)
_err = Console(stderr=True, highlight=False)


def _text_or_json(output: str) -> str:
    if output not in ("text", "json"):
        raise typer.BadParameter(f"{output!r} is neither text nor json")
    return output


_Name = Annotated[str, typer.Option("--name", "-n", help="Which cluster; several may be up side by side.")]
_Output = Annotated[
    str, typer.Option("--output", "-o", callback=_text_or_json, help="[b]text[/] or [b]json[/].", metavar="text|json")
]


def _example(*commands: str) -> str:
    return "Examples:\n\n" + "\n\n".join(f"  $ python -m testbed {command}" for command in commands)


@app.command(
    epilog=_example(
        "up", "up --provider binaries --name two", "up --inventory many.yaml -o json", "up --nodes fr:2,de:1,us:1"
    )
)
def up(
    name: _Name = cluster.DEFAULT_NAME,
    provider: Annotated[str, typer.Option(help=f"One of {', '.join(providers.NAMES)}.")] = "auto",
    inventory: Annotated[
        Path | None, typer.Option(help="Nodes and volumes; by default last time's, or testbed/inventory.yaml.")
    ] = None,
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Use this existing cluster; TESTBED_KUBECONFIG does the same.")
    ] = None,
    with_fake_nodes: Annotated[
        bool | None,
        typer.Option("--with-fake-nodes/--without-fake-nodes", help="By default in all but an existing cluster."),
    ] = None,
    apiserver_arg: Annotated[
        list[str] | None,
        typer.Option(help="A further flag of the API server; may be repeated.", metavar="--FLAG=VALUE"),
    ] = None,
    nodes: Annotated[
        str | None,
        typer.Option(help="Real nodes by jurisdiction, such as fr:2,de:1,us:1; needs root.", metavar="CODE:N,..."),
    ] = None,
    plugin: Annotated[
        str | None,
        typer.Option(help="Network plugin of the real nodes: calico enforces NetworkPolicy, bridge does not."),
    ] = None,
    output: _Output = "text",
) -> None:
    """Bring a cluster up, or repair it; returns at once when it is up."""
    started = time.monotonic()
    try:
        made = Cluster.up(
            name,
            provider=provider,
            inventory_file=inventory,
            kubeconfig=kubeconfig,
            fake_nodes=with_fake_nodes,
            apiserver_args=apiserver_arg or (),
            nodes=nodes,
            plugin=plugin,
            report=lambda step: _err.print(f"{name}: {step}", markup=False),
        )
    except TestbedError as error:
        _fail(error)
    seconds = round(time.monotonic() - started, 1)
    facts = _facts(made) | {"seconds": seconds}
    text = f"cluster {name} is up ({seconds} s)\n  export KUBECONFIG={shlex.quote(str(made.kubeconfig))}"
    _print(facts, text, output)


@app.command(epilog=_example("down", "down --name two", "down --all"))
def down(
    name: _Name = cluster.DEFAULT_NAME,
    all_: Annotated[bool, typer.Option("--all", help="Every cluster of this user.")] = False,
    output: _Output = "text",
) -> None:
    """Take a cluster down, in whatever state it is; nothing of it is left."""
    try:
        gone = [each for each in (state.names() if all_ else [name]) if cluster.down(each)]
    except TestbedError as error:
        _fail(error)
    _print(
        {"down": gone},
        "\n".join(f"cluster {each} is gone" for each in gone) or "nothing to take down",
        output,
    )


@app.command(epilog=_example("status", "status --name two -o json"))
def status(name: _Name = cluster.DEFAULT_NAME, output: _Output = "text") -> None:
    """Show a cluster's processes; exit status 1 unless all of them run and answer."""
    try:
        found = Cluster.load(name)
        healthy = found.healthy()
        rows = [_service_row(found, service) for service in found.services()]
    except TestbedError as error:
        _fail(error)
    table = Table("process", "pid", "state", box=None)
    for row in rows:
        table.add_row(row["process"], str(row["pid"] or "-"), row["state"])
    _print(_facts(found) | {"healthy": healthy, "processes": rows}, table, output)
    raise typer.Exit(0 if healthy else 1)


@app.command(epilog=_example("env", "env --name two -o json") + '\n\n  $ eval "$(python -m testbed env)"')
def env(name: _Name = cluster.DEFAULT_NAME, output: _Output = "text") -> None:
    """Print what a shell needs to work with a cluster."""
    try:
        found = Cluster.load(name)
        variables = {
            "KUBECONFIG": str(found.kubeconfig),
            "PATH": f"{found.kubectl_program.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        }
    except TestbedError as error:
        _fail(error)
    _print(variables, "\n".join(f"export {key}={shlex.quote(value)}" for key, value in variables.items()), output)


@app.command("list", epilog=_example("list", "list -o json"))
def list_(output: _Output = "text") -> None:
    """List this user's clusters."""
    rows = [_cluster_row(name) for name in state.names()]
    table = Table("name", "provider", "healthy", box=None)
    for row in rows:
        table.add_row(row["name"], row["provider"] or "-", "yes" if row["healthy"] else "no")
    _print(rows, table, output)


@app.command(epilog=_example("build", "build helm registry"))
def build(
    programs: Annotated[list[str] | None, typer.Argument(help="Which; all when none is named.")] = None,
    output: _Output = "text",
) -> None:
    """Build programs into the cache that are not there yet, and print where they are."""
    try:
        built = binaries.build(programs or ())
    except TestbedError as error:
        _fail(error)
    table = Table("program", "path", box=None)
    for program, path in built.items():
        table.add_row(program, str(path))
    _print({program: str(path) for program, path in built.items()}, table, output)


@app.command(epilog=_example("requirements", "requirements --install"))
def requirements(
    install: Annotated[bool, typer.Option("--install", help="Install what is missing (Debian, as root).")] = False,
) -> None:
    """Say what this machine lacks for real nodes; exit status 1 when it lacks something."""
    try:
        if install:
            machine.install()
    except TestbedError as error:
        _fail(error)
    lacking = machine.requirement()
    typer.echo(lacking or "this machine has what real nodes need")
    raise typer.Exit(1 if lacking else 0)


@app.command("conformance", epilog=_example("conformance", "conformance --plugin calico --focus default-deny -o json"))
def conformance_(
    plugin: Annotated[str, typer.Option(help=f"{', '.join(layout.PLUGINS)} or both.")] = "both",
    focus: Annotated[
        str | None,
        typer.Option(help="Only the tests whose names match; by default all that say something of a plugin."),
    ] = None,
    output: _Output = "text",
) -> None:
    """Check the test bed itself: the upstream NetworkPolicy suite has to pass on calico, and to fail on bridge.

    Each plugin gets a cluster of its own, which is taken down afterwards. Needs root on Linux.
    """
    plugins = layout.PLUGINS if plugin == "both" else (plugin,)
    if not set(plugins) <= set(layout.PLUGINS):
        raise typer.BadParameter(f"{plugin!r} is none of {', '.join(layout.PLUGINS)}, both", param_hint="--plugin")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # by way of what takes the cluster down
    try:
        results = [conformance.check(each, focus, _say(each)) for each in plugins]
    except TestbedError as error:
        _fail(error)
    _print([_figures(result) for result in results], "\n".join(map(_sentence, results)), output)
    raise typer.Exit(0 if all(result.verdict.ok for result in results) else 1)


def _say(plugin: str) -> Callable[[str], None]:
    return lambda text: _err.print(f"{plugin}: {text}", markup=False, soft_wrap=True)


def _figures(result: conformance.Result) -> dict[str, Any]:
    outcome = result.outcome
    return {
        "plugin": result.plugin,
        "ok": result.verdict.ok,
        "reason": result.verdict.reason,
        "passed": len(outcome.passed),
        "failed": len(outcome.failed),
        "skipped": outcome.skipped,
        "seconds": outcome.seconds,
        "failures": [{"name": test.name, "message": test.message} for test in outcome.failed],
        "report": str(result.report),
        "log": str(result.log),
    }


def _sentence(result: conformance.Result) -> str:
    outcome, verdict = result.outcome, result.verdict
    figures = f"{len(outcome.passed)} passed, {len(outcome.failed)} failed, {outcome.skipped} skipped"
    text = f"{result.plugin}: {figures} in {outcome.seconds} s; {'as it is to be' if verdict.ok else 'WRONG'}: "
    return text + verdict.reason + ("" if verdict.ok else f"\n  see {result.report} and {result.log}")


def _facts(found: Cluster) -> dict[str, Any]:
    log = found.audit_log
    return {
        "name": found.name,
        "dir": str(found.dir),
        "kubeconfig": str(found.kubeconfig),
        "server": found.server,
        "auditLog": str(log) if log else None,
    }


def _cluster_row(name: str) -> dict[str, Any]:
    folder = state.folder(name)
    try:
        known = state.load(folder)
        healthy = Cluster(name, folder).healthy()
    except TestbedError:  # of another version; `down` can still remove it
        known, healthy = None, False
    return {"name": name, "provider": known.provider if known else None, "healthy": healthy}


def _service_row(found: Cluster, service: Service) -> dict[str, Any]:
    pidfile = service.pidfile(found.dir)
    known = process.read(pidfile)
    alive = known is not None and known.alive()
    condition = ("answers" if service.healthy() else "does not answer") if alive else "does not run"
    pid = known.pid if known and alive else None
    return {"process": service.name, "pid": pid, "state": condition, "log": str(service.log(found.dir))}


def _print(data: Any, text: str | Table, output: str) -> None:
    if output == "json":
        typer.echo(json.dumps(data, indent=2))
    elif isinstance(text, str):
        typer.echo(text)  # never wrapped: it may be for a shell to read
    else:
        _out.print(text)


def _fail(error: TestbedError) -> NoReturn:
    _err.print(f"error: {error}", style="red", markup=False)
    raise typer.Exit(1) from None
