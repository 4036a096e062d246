"""``kubectl sovereign digest``."""

from pathlib import Path
from typing import Annotated

import typer

from sovereign.cli.commands.options import Output


def command(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A folder with a model's files.")],
    write: Annotated[
        bool,
        typer.Option("--write", help="Also write sovereign.manifest.json into the folder, for https and s3 sources."),
    ] = False,
    weights: Annotated[
        str,
        typer.Option("--format", metavar="FORMAT", help="safetensors or gguf. Default: what the folder holds."),
    ] = "",
    include: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Only these files, as in spec.source.include.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Not these files, as in spec.source.exclude.")
    ] = None,
    output: Annotated[
        Output, typer.Option("--output", "-o", help="table prints the digest alone; json and yaml all files.")
    ] = Output.TABLE,
) -> None:
    """Print the digest of a model's weights.

    It is what spec.digest of the SovereignModel takes. It covers exactly the files
    that an import with the same format, include and exclude would take.

    \b
    Examples:
      kubectl sovereign digest ./mistral-7b-instruct-v0.3 --exclude consolidated.safetensors
      kubectl sovereign digest /mnt/weights --write
      kubectl sovereign digest . -o json
    """
    from sovereign.cli import digest
    from sovereign.cli import output as written

    answer = digest.digest(directory, weights, tuple(include or ()), tuple(exclude or ()), write=write)
    if output is Output.TABLE:
        typer.echo(answer.digest)
    else:
        written.data(answer, output)
