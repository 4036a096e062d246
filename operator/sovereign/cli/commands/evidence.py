"""``kubectl sovereign evidence``: verify, head."""

from typing import Annotated

import typer

from sovereign.cli.commands.options import Kubeconfig, LeaseName, OperatorNamespace, Output, OutputOption

app = typer.Typer(
    help="Check what the operator has put on record.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def verify(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="The operator's output, other lines included; - for standard input."),
    ],
    key: Annotated[
        str, typer.Option(metavar="FILE", help="The Ed25519 public key (PEM) that seals must be signed with.")
    ] = "",
    anchor: Annotated[
        str,
        typer.Option(metavar="SEQ:DIGEST", help="A head that was kept elsewhere, as `evidence head` prints it."),
    ] = "",
    silence: Annotated[
        int,
        typer.Option(
            min=0, metavar="SECONDS", help="Longest time between entries. Default: three of the ledger's own intervals."
        ),
    ] = 0,
    output: OutputOption = Output.TABLE,
) -> None:
    """Check a ledger, without a cluster.

    That no entry was changed, taken out, put in or cut off, that it is not another ledger, and where nobody was verifying.
    Without an anchor its end cannot be judged, without a key not who wrote it. Ends with 1 when something failed.

    \b
    Examples:
      kubectl logs -n sovereign-system deploy/sovereign-operator | kubectl sovereign evidence verify -
      kubectl sovereign evidence verify *.log --key evidence.pub --anchor "$(cat head-of-last-week)"
    """
    from sovereign.cli import evidence, tables
    from sovereign.cli import output as written

    answer = evidence.examine(tuple(files), key, anchor, silence)
    if output is Output.TABLE:
        tables.show_evidence(answer)
    else:
        written.data(answer, output)
    raise typer.Exit(0 if answer.ok else 1)


@app.command()
def head(
    kubeconfig: Kubeconfig = "",
    operator_namespace: OperatorNamespace = "sovereign-system",
    lease: LeaseName = "sovereign-operator",
) -> None:
    """Print how far the ledger goes now, to be kept where the cluster's administrators cannot change it.

    \b
    Examples:
      kubectl sovereign evidence head >> heads-of-ledgers
    """
    from sovereign.cli import evidence

    typer.echo(evidence.head(kubeconfig, operator_namespace, lease))
