"""``kubectl sovereign plan``."""

import typer

from sovereign.cli.commands.options import (
    Files,
    ImporterImage,
    Namespace,
    NamespaceLabels,
    Nodes,
    Output,
    OutputOption,
    Recursive,
    RuntimeImages,
)
from sovereign.cli.sources import Sources


def command(
    filename: Files,
    nodes: Nodes = None,
    output: OutputOption = Output.TABLE,
    recursive: Recursive = False,
    namespace: Namespace = "default",
    namespace_label: NamespaceLabels = None,
    importer_image: ImporterImage = "",
    runtime_image: RuntimeImages = None,
) -> None:
    """Say what the operator would do with these files.

    No cluster is needed. Which nodes each policy approves and which rule rejects the others; for each model and pool what would be made,
    how many GPUs a replica gets, where it could run, and what stands in the way.

    Ends with 1 when anything would be refused or has nowhere to run, with 2 when the files are not valid.

    \b
    Examples:
      kubectl get nodes -o json > nodes.json
      kubectl sovereign plan -f policies/ -f models.yaml --nodes nodes.json
      kubectl sovereign plan -f . -R -n assistants --namespace-label sovereignai.io/tier=restricted
      kustomize build overlays/prod | kubectl sovereign plan -f - -o json
    """
    from sovereign.cli import answers, planning, snapshot, tables
    from sovereign.cli import output as written

    sources = Sources(
        files=tuple(filename),
        nodes=tuple(nodes or ()),
        recursive=recursive,
        namespace=namespace,
        namespace_labels=tuple(namespace_label or ()),
        importer_image=importer_image,
        runtime_images=tuple(runtime_image or ()),
    )
    answer = answers.plan_answer(planning.plan_all(snapshot.from_files(sources)))
    if output is Output.TABLE:
        tables.show_plan(answer)
    else:
        written.data(answer, output)
    raise typer.Exit(0 if answer.ok else 1)
