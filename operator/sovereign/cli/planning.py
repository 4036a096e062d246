"""Planning a whole snapshot with the operator's own core: what it would do, all at once.

Two things that only time tells are assumed, and said: weights are imported (so that what their pools would become can be
planned), and the operator's image lies where the policies want images.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from sovereign.api.model import Artifact
from sovereign.cli.snapshot import Snapshot
from sovereign.importer.architecture import entrypoint
from sovereign.plan import names
from sovereign.plan.governance import Governance, govern
from sovereign.plan.inventory import InferencePool, Manifest, Node, Policy, Settings, SovereignModel
from sovereign.plan.model import ModelPlan, existing_claim, existing_place, plan_model, published_path, source_hash
from sovereign.plan.placement import lawful
from sovereign.plan.policy import PolicyPlan, plan_policy
from sovereign.plan.pool import PoolPlan, plan_pool

_NO_DIGEST: Final = "sha256:" + "0" * 64
_ASSUMED_REPOSITORY: Final = "sovereign-operator"
_ANY_REGISTRY: Final = "registry.example.invalid"


@dataclass(frozen=True)
class PlannedModel:
    """A model and its plan."""

    model: SovereignModel
    governance: Governance
    plan: ModelPlan


@dataclass(frozen=True)
class PlannedPool:
    """A pool and its plan."""

    pool: InferencePool
    governance: Governance
    lawful: tuple[Node, ...]
    """The nodes that every policy of its namespace approves."""
    plan: PoolPlan
    waits: bool
    """Whether it first waits for its model."""


@dataclass(frozen=True)
class Planned:
    """Everything that the operator would do."""

    snapshot: Snapshot
    policies: tuple[tuple[Policy, PolicyPlan], ...]
    models: tuple[PlannedModel, ...]
    pools: tuple[PlannedPool, ...]
    notes: tuple[str, ...]
    """What was assumed or could not be judged."""


def plan_all(snapshot: Snapshot) -> Planned:
    """The plan of every policy, model and pool of ``snapshot``, in the order of their names."""
    policies = sorted(snapshot.policies, key=lambda policy: policy.name)
    nodes = snapshot.nodes or []
    namespaces = {pool.owner.namespace for pool in snapshot.pools}
    governed = {namespace: _governed(snapshot, namespace) for namespace in namespaces}
    return Planned(
        snapshot,
        tuple(
            (policy, plan_policy(policy, nodes, snapshot.namespaces, policies, snapshot.settings))
            for policy in policies
        ),
        tuple(_planned_model(snapshot, snapshot.models[key]) for key in sorted(snapshot.models)),
        tuple(
            _planned_pool(snapshot, pool, *governed[pool.owner.namespace])
            for pool in sorted(snapshot.pools, key=lambda pool: (pool.owner.namespace, pool.owner.name))
        ),
        tuple(_notes(snapshot)),
    )


def children(planned: Planned) -> Iterator[Manifest]:
    """All manifests of a plan: policies, then models, then pools."""
    for _, policy in planned.policies:
        yield from policy.admission
        yield from policy.network
    for model in planned.models:
        yield from model.plan.children
    for pool in planned.pools:
        yield from pool.plan.children


def governance_of(snapshot: Snapshot, namespace: str) -> Governance:
    """The policies of a namespace."""
    return govern(namespace, snapshot.namespaces.get(namespace, {}), snapshot.policies, snapshot.settings)


def _planned_model(snapshot: Snapshot, model: SovereignModel) -> PlannedModel:
    governance = governance_of(snapshot, model.owner.namespace)
    return PlannedModel(model, governance, plan_model(model, governance, _settings(snapshot.settings, governance)))


def _governed(snapshot: Snapshot, namespace: str) -> tuple[Governance, tuple[Node, ...]]:
    """The policies of a namespace and the nodes that all of them approve, by name."""
    governance = governance_of(snapshot, namespace)
    nodes = sorted(snapshot.nodes or (), key=lambda node: node.name)
    return governance, tuple(lawful(nodes, governance)) if governance.governed else ()


def _planned_pool(
    snapshot: Snapshot, pool: InferencePool, governance: Governance, approved: tuple[Node, ...]
) -> PlannedPool:
    """The plan of one pool, with its model imported."""
    model = snapshot.models.get((pool.owner.namespace, pool.spec.model_ref.name))
    runtime = snapshot.runtimes.get(pool.spec.runtime.name)
    status = snapshot.statuses.get(("InferencePool", pool.owner.namespace, pool.owner.name), {})
    plan = plan_pool(
        pool,
        imported(model) if model else None,
        runtime,
        governance,
        approved,
        snapshot.settings,
        previous_gpus=(status.get("sizing") or {}).get("gpus"),
    )
    return PlannedPool(pool, governance, approved, plan, model is not None and model.artifact is None)


def imported(model: SovereignModel) -> SovereignModel:
    """``model`` as it will be once its weights are imported; unchanged when they are."""
    if model.artifact is not None:
        return model
    spec = model.spec
    if spec.source.uri.startswith("pvc://"):
        path, entrypoint = existing_place(spec)
        artifact = Artifact(digest=spec.digest or "", claim=existing_claim(spec), path=path, entrypoint=entrypoint)
    else:
        digest = spec.digest or _NO_DIGEST
        artifact = Artifact(
            digest=digest,
            claim=names.claim(model.owner.name),
            path=published_path(digest),
            entrypoint=_entrypoint(model),
            source_hash=source_hash(spec),
        )
    return msgspec.structs.replace(model, artifact=artifact)


def _entrypoint(model: SovereignModel) -> str:
    """The file that a gguf engine would open: the one that include names, else one called like the model."""
    if model.spec.format != "gguf":
        return ""
    named = [pattern for pattern in model.spec.source.include if not _is_glob(pattern)]
    return entrypoint(named) or f"{model.owner.name}.gguf"


def _is_glob(pattern: str) -> bool:
    return any(character in pattern for character in "*?[")


def _settings(settings: Settings, governance: Governance) -> Settings:
    """``settings`` with an image for import jobs where none was given."""
    if settings.importer_image:
        return settings
    candidates = [registry for policy in governance.policies for registry in policy.spec.images.registries]
    images = [f"{registry}/{_ASSUMED_REPOSITORY}@{_NO_DIGEST}" for registry in (*candidates, _ANY_REGISTRY)]
    allowed = (image for image in images if governance.check_image(image).ok)
    return msgspec.structs.replace(settings, importer_image=next(allowed, images[0]))


def _notes(snapshot: Snapshot) -> Iterator[str]:
    if snapshot.nodes is None:
        yield "no nodes were given, so where things may run was not judged; use --nodes"
    if snapshot.assumed_namespaces:
        listed = ", ".join(sorted(snapshot.assumed_namespaces))
        yield (
            f"there is no manifest of namespace {listed}; its labels, which policies select by, are those of "
            "--namespace-label"
        )
    imports = [model for model in snapshot.models.values() if model.artifact is None]
    fetched = [model for model in imports if not model.spec.source.uri.startswith("pvc://")]
    if fetched and not snapshot.settings.importer_image:
        yield "the operator's image is not known, so one that the policies allow stands in its place; use --importer-image"
    if fetched and any(not model.spec.digest for model in fetched):
        yield "models without a digest are shown at a path of zeros, because only the import tells it"
