"""What is known of a cluster at one moment, from files or from its API server, as the planning core takes it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from pydantic import TypeAdapter, ValidationError

from sovereign.api.model import Artifact, ModelSpec, Parameters
from sovereign.api.schema import ImageReference
from sovereign.cli import documents
from sovereign.cli.documents import Document
from sovereign.cli.failure import CommandFailed
from sovereign.cli.sources import Sources
from sovereign.cli.validation import Invalid, kind_of, node_of, owner_of, spec_of, status_of
from sovereign.cluster.rows import Pod
from sovereign.plan.builtin import builtin
from sovereign.plan.inventory import InferencePool, Node, Owner, Policy, Runtime, Settings, SovereignModel
from sovereign.plan.model import source_hash

Key = tuple[str, str, str]
"""Kind, namespace (empty where the kind has none), name."""
_NAMESPACED: Final = ("SovereignModel", "InferencePool")


@dataclass
class Snapshot:
    """Objects by name. Filled by `add`, then only read."""

    settings: Settings = field(default_factory=Settings)
    nodes: list[Node] | None = None
    """None when no node is known, so that nothing can be said about placement."""
    namespaces: dict[str, dict[str, str]] = field(default_factory=dict)
    assumed_namespaces: set[str] = field(default_factory=set)
    """Those that something is in but that have no manifest, so that their labels are not known."""
    policies: list[Policy] = field(default_factory=list)
    models: dict[tuple[str, str], SovereignModel] = field(default_factory=dict)
    pools: list[InferencePool] = field(default_factory=list)
    runtimes: dict[str, Runtime] = field(default_factory=dict)
    statuses: dict[Key, dict[str, Any]] = field(default_factory=dict)
    pods: list[Pod] | None = None
    """None when they were not asked for, or may not be read."""
    invalid: dict[Key, str] = field(default_factory=dict)
    """Objects of a cluster that cannot be understood, with the reason."""

    def add(self, owner: Owner, spec: Any, status: Mapping[str, Any]) -> None:
        """Take in one of our objects."""
        self.statuses[owner.kind, owner.namespace, owner.name] = dict(status)
        match owner.kind:
            case "SovereigntyPolicy":
                self.policies.append(Policy(owner, spec))
            case "SovereignModel":
                artifact = _artifact(spec, status)
                self.models[owner.namespace, owner.name] = SovereignModel(
                    owner, spec, artifact, _parameters(spec, status)
                )
            case "InferencePool":
                self.pools.append(InferencePool(owner, spec))
            case _:
                self.runtimes[owner.name] = Runtime(owner.name, spec)
        if owner.namespace and owner.namespace not in self.namespaces:
            self.assumed_namespaces.add(owner.namespace)

    def add_node(self, node: Node) -> None:
        """Take in a node."""
        if self.nodes is None:
            self.nodes = []
        self.nodes.append(node)


def _artifact(spec: ModelSpec, status: Mapping[str, Any]) -> Artifact | None:
    """The imported weights, if the status records an import of what the spec says."""
    recorded = status.get("artifact")
    if not recorded:
        return None
    artifact = Artifact.model_validate(recorded)
    return artifact if artifact.source_hash == source_hash(spec) else None


def _parameters(spec: ModelSpec, status: Mapping[str, Any]) -> Parameters | None:
    read = status.get("parameters")
    return Parameters.model_validate(read) if read else spec.parameters


def from_files(sources: Sources) -> Snapshot:
    """The cluster that files describe; the built-in runtimes are there unless a file replaces them.

    Raises:
        CommandFailed: something cannot be read or is not valid; every problem of every object is told.
    """
    read = documents.read(sources.files, recursive=sources.recursive)
    nodes = documents.read(sources.nodes)
    snapshot = Snapshot(settings=Settings(importer_image=sources.importer_image))
    snapshot.runtimes = _runtimes(sources.runtime_images)
    _fill(snapshot, read, sources.namespace)
    _fill(snapshot, [document for document in nodes if document.content.get("kind") == "Node"], sources.namespace)
    if nodes and snapshot.nodes is None:
        raise CommandFailed(f"{', '.join(sources.nodes)}: no Node is in it; `kubectl get nodes -o json` prints them")
    snapshot.assumed_namespaces -= snapshot.namespaces.keys()
    labels = _pairs(sources.namespace_labels, "--namespace-label", "sovereignai.io/tier=restricted")
    for name in snapshot.assumed_namespaces:
        snapshot.namespaces[name] = labels
    return snapshot


def _fill(snapshot: Snapshot, read: Iterable[Document], namespace: str) -> None:
    problems: list[str] = []
    places: dict[Key, str] = {}
    for document in read:
        try:
            _take(snapshot, document, namespace, places)
        except Invalid as invalid:
            problems += invalid.messages
    if problems:
        raise CommandFailed(*problems)


def _take(snapshot: Snapshot, document: Document, namespace: str, places: dict[Key, str]) -> None:
    kind = kind_of(document)
    name = document.content["kind"]
    core = document.content["apiVersion"] == "v1" and name in ("Namespace", "Node")
    if kind is None and not core:
        return
    owner = owner_of(document, name, namespace if name in _NAMESPACED else "")
    key = (owner.kind, owner.namespace, owner.name)
    if key in places:
        raise Invalid([f"{document.at()}: {name} {owner.name} is there twice; the other one is {places[key]}"])
    places[key] = document.at()
    if kind is not None:
        snapshot.add(owner, spec_of(document, kind, owner.name), status_of(document, kind, owner.name))
    elif name == "Node":
        snapshot.add_node(node_of(document, owner))
    else:
        snapshot.namespaces[owner.name] = dict(owner.labels)


def _runtimes(images: tuple[str, ...]) -> dict[str, Runtime]:
    runtimes = dict(builtin())
    example = "vllm=registry.example.eu/ai/vllm@sha256:<64 hex digits>"
    for name, image in _pairs(images, "--runtime-image", example).items():
        if name not in runtimes:
            raise CommandFailed(
                f"--runtime-image: there is no built-in runtime {name}; there are {', '.join(runtimes)}"
            )
        try:
            TypeAdapter(ImageReference).validate_python(image)
        except ValidationError as error:
            why = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise CommandFailed(f"--runtime-image {name}={image}: {why}") from error
        spec = runtimes[name].spec.model_copy(update={"image": image})
        runtimes[name] = msgspec.structs.replace(runtimes[name], spec=spec)
    return runtimes


def _pairs(options: tuple[str, ...], flag: str, example: str) -> dict[str, str]:
    pairs = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not key or not equals:
            raise CommandFailed(f"{flag} {option}: write {flag} {example}")
        pairs[key] = value
    return pairs
