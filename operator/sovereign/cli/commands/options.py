"""Options that several commands have in common."""

from enum import StrEnum
from typing import Annotated

import typer


class Output(StrEnum):
    """How an answer is written."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="table for people, json or yaml for programs.")]
Files = Annotated[
    list[str],
    typer.Option(
        "--filename",
        "-f",
        metavar="FILE|DIR|-",
        help="A YAML or JSON file, a folder of them, or - for standard input: policies, models, pools, runtimes, "
        "namespaces, nodes. May be repeated. Objects of other kinds are passed over.",
    ),
]
OptionalFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--filename",
        "-f",
        metavar="FILE|DIR|-",
        help="Answer from these files instead of the cluster. May be repeated.",
    ),
]
Recursive = Annotated[bool, typer.Option("--recursive", "-R", help="Also read the folders inside a folder.")]
Nodes = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE",
        help="The cluster's nodes, as `kubectl get nodes -o json` prints them. Without nodes, where things may run is "
        "not judged.",
    ),
]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of what names none.")]
NamespaceLabels = Annotated[
    list[str] | None,
    typer.Option(
        "--namespace-label",
        metavar="KEY=VALUE",
        help="A label of the namespaces that have no manifest among the files. May be repeated.",
    ),
]
ImporterImage = Annotated[
    str,
    typer.Option(
        metavar="IMAGE",
        help="The operator's image, which also imports weights. Default: one that the policies allow is assumed.",
    ),
]
RuntimeImages = Annotated[
    list[str] | None,
    typer.Option(
        "--runtime-image",
        metavar="NAME=IMAGE",
        help="The image of a built-in runtime, as it is set in the cluster. May be repeated.",
    ),
]
Kubeconfig = Annotated[
    str, typer.Option(metavar="FILE", help="Default: $KUBECONFIG, the pod's service account, ~/.kube/config.")
]
OperatorNamespace = Annotated[str, typer.Option(metavar="NAMESPACE", help="Where the operator is installed.")]
LeaseName = Annotated[
    str, typer.Option(metavar="NAME", help="The operator's Lease; the chart gives it the release's name.")
]
