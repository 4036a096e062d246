"""Where a command's objects come from, as its options say."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sources:
    """Files that stand for a cluster, and what they do not say."""

    files: tuple[str, ...]
    """Files and folders; ``-`` is standard input."""
    nodes: tuple[str, ...] = ()
    """Files with Nodes only."""
    recursive: bool = False
    namespace: str = "default"
    """Of objects that name none."""
    namespace_labels: tuple[str, ...] = ()
    """``key=value``, for namespaces without a manifest."""
    importer_image: str = ""
    runtime_images: tuple[str, ...] = ()
    """``name=image``, for built-in runtimes."""
