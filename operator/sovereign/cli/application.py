"""The command line application: its commands, and how their failures are told."""

from typing import Any

import typer
from typer.core import TyperGroup

from sovereign.cli.commands import digest, doctor, evidence, explain, plan, render, version
from sovereign.cli.failure import CommandFailed


class _Group(TyperGroup):
    """Commands whose failures are lines on standard error, as compilers write them, and never tracebacks."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that ``ctx`` names."""
        try:
            return super().invoke(ctx)
        except CommandFailed as failure:
            for message in failure.messages:
                typer.echo(f"error: {message}", err=True)
            raise typer.Exit(failure.exit_code) from failure


app = typer.Typer(
    name="kubectl-sovereign",
    cls=_Group,
    help="Sovereign AI on Kubernetes: what would run where, why not elsewhere, and whether the cluster holds it.",
    epilog="Exit codes: 0 all is well, 1 something is refused or wrong, 2 the question could not be answered.",
    no_args_is_help=True,
    # Plain help, as kubectl's own: rich's takes longer to import than everything else together.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("plan")(plan.command)
app.command("render")(render.command)
app.add_typer(explain.app, name="explain")
app.command("digest")(digest.command)
app.command("doctor")(doctor.command)
app.add_typer(evidence.app, name="evidence")
app.command("version")(version.command)
