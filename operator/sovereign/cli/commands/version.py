"""``kubectl sovereign version``."""

from typing import Annotated

import typer

from sovereign.cli.commands.options import Output


def command(
    output: Annotated[Output, typer.Option("--output", "-o", help="table prints the version alone.")] = Output.TABLE,
) -> None:
    """Print the version of this program.

    \b
    Examples:
      kubectl sovereign version
      kubectl sovereign version -o json
    """
    from sovereign import __version__

    if output is Output.TABLE:
        typer.echo(__version__)
        return
    from sovereign.api.meta import API_VERSION
    from sovereign.cli import output as written

    written.data({"version": __version__, "apiVersion": API_VERSION}, output)
