"""``kubectl sovereign explain``: node, policy, pool."""

from typing import TYPE_CHECKING, Annotated

import typer

from sovereign.cli.commands.options import (
    Kubeconfig,
    Namespace,
    NamespaceLabels,
    Nodes,
    OptionalFiles,
    Output,
    OutputOption,
    Recursive,
)
from sovereign.cli.sources import Sources

if TYPE_CHECKING:
    from sovereign.cli.snapshot import Snapshot

app = typer.Typer(
    help="Say why: which rule rejects which node.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _snapshot(
    kubeconfig: str,
    filename: list[str] | None,
    nodes: list[str] | None,
    recursive: bool,
    namespace: str,
    namespace_label: list[str] | None,
    *,
    pods: bool = False,
) -> "Snapshot":
    if not filename:
        from sovereign.cli import live

        return live.from_cluster(kubeconfig, pods=pods)
    from sovereign.cli import snapshot

    labels = tuple(namespace_label or ())
    return snapshot.from_files(Sources(tuple(filename), tuple(nodes or ()), recursive, namespace, labels))


@app.command()
def node(
    name: Annotated[str, typer.Argument(metavar="NODE", help="The node's name.")],
    kubeconfig: Kubeconfig = "",
    filename: OptionalFiles = None,
    nodes: Nodes = None,
    recursive: Recursive = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say why a node is approved or not.

    What each policy says of it, rule by rule, and which pools could run on it.

    \b
    Examples:
      kubectl sovereign explain node gpu-fr-1
      kubectl sovereign explain node gpu-fr-1 -f policies/ --nodes nodes.json -o json
    """
    from sovereign.cli import explain, tables
    from sovereign.cli import output as written

    snapshot = _snapshot(kubeconfig, filename, nodes, recursive, "default", None)
    answer = explain.node(snapshot, name)
    if output is Output.TABLE:
        tables.show_node(answer)
    else:
        written.data(answer, output)


@app.command()
def policy(
    name: Annotated[str, typer.Argument(metavar="POLICY", help="The SovereigntyPolicy's name.")],
    kubeconfig: Kubeconfig = "",
    filename: OptionalFiles = None,
    nodes: Nodes = None,
    recursive: Recursive = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say which nodes a policy approves, and what is there that it does not admit.

    With the rule that rejects each other node, all workloads whose pods break a rule (in Audit: what Enforce would evict), and what the
    policy's conditions ask for.

    \b
    Examples:
      kubectl sovereign explain policy eu
      kubectl sovereign explain policy eu -f policies/ --nodes nodes.json
    """
    from sovereign.cli import explain, tables
    from sovereign.cli import output as written

    snapshot = _snapshot(kubeconfig, filename, nodes, recursive, "default", None, pods=True)
    answer = explain.policy(snapshot, name)
    if output is Output.TABLE:
        tables.show_policy(answer)
    else:
        written.data(answer, output)


@app.command()
def pool(
    name: Annotated[str, typer.Argument(metavar="POOL", help="The InferencePool's name.")],
    namespace: Namespace = "default",
    kubeconfig: Kubeconfig = "",
    filename: OptionalFiles = None,
    nodes: Nodes = None,
    recursive: Recursive = False,
    namespace_label: NamespaceLabels = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say which nodes could take a pool.

    With what is against each other one, and what the pool's conditions ask for.

    \b
    Examples:
      kubectl sovereign explain pool mistral-7b -n assistants
      kubectl sovereign explain pool mistral-7b -n assistants -f . --nodes nodes.json
    """
    from sovereign.cli import explain, tables
    from sovereign.cli import output as written

    snapshot = _snapshot(kubeconfig, filename, nodes, recursive, namespace, namespace_label)
    answer = explain.pool(snapshot, namespace, name)
    if output is Output.TABLE:
        tables.show_pool(answer)
    else:
        written.data(answer, output)
