"""``kubectl sovereign render``."""

from sovereign.cli.commands.options import (
    Files,
    ImporterImage,
    Namespace,
    NamespaceLabels,
    Nodes,
    Recursive,
    RuntimeImages,
)
from sovereign.cli.sources import Sources


def command(
    filename: Files,
    nodes: Nodes = None,
    recursive: Recursive = False,
    namespace: Namespace = "default",
    namespace_label: NamespaceLabels = None,
    importer_image: ImporterImage = "",
    runtime_image: RuntimeImages = None,
) -> None:
    """Print what the operator would make, as YAML.

    Models are taken to be imported, so that the workloads of their pools show. What is refused makes nothing; `plan` says
    why. Owner references are left out, because the owners have no UID yet.

    \b
    Examples:
      kubectl sovereign render -f policies/ -f models.yaml --nodes nodes.json
      kubectl sovereign render -f . -R > made.yaml
    """
    from sovereign.cli import output as written
    from sovereign.cli import planning, snapshot

    sources = Sources(
        files=tuple(filename),
        nodes=tuple(nodes or ()),
        recursive=recursive,
        namespace=namespace,
        namespace_labels=tuple(namespace_label or ()),
        importer_image=importer_image,
        runtime_images=tuple(runtime_image or ()),
    )
    planned = planning.plan_all(snapshot.from_files(sources))
    written.manifests(planning.children(planned))
    for note in planned.notes:
        written.note(note)
