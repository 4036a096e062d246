"""``kubectl sovereign doctor``."""

import typer

from sovereign.cli.commands.options import Kubeconfig, LeaseName, OperatorNamespace, Output, OutputOption


def command(
    kubeconfig: Kubeconfig = "",
    operator_namespace: OperatorNamespace = "sovereign-system",
    lease: LeaseName = "sovereign-operator",
    output: OutputOption = Output.TABLE,
) -> None:
    """Check a cluster, and say what to do.

    From the API server's version to the labels on its nodes. Only reads. Ends with 1 when a check fails; what cannot be checked has failed.

    \b
    Examples:
      kubectl sovereign doctor
      kubectl sovereign doctor --operator-namespace ai-platform -o json
    """
    from sovereign.cli import doctor, tables
    from sovereign.cli import output as written

    answer = doctor.examine(kubeconfig, operator_namespace, lease)
    if output is Output.TABLE:
        tables.show_checks(answer)
    else:
        written.data(answer, output)
    raise typer.Exit(0 if answer.ok else 1)
