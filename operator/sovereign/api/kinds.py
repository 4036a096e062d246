"""The four kinds: their names, schemas, rules and printer columns."""

from dataclasses import dataclass, field
from typing import Any, Final

from sovereign.api import model, policy, pool, runtime
from sovereign.api.meta import API_VERSION
from sovereign.api.schema import Model, Rules, rule


@dataclass(frozen=True)
class Kind:
    """One custom resource: everything its CRD says besides the fields."""

    kind: str
    plural: str
    singular: str
    short_name: str
    spec: type[Model]
    status: type[Model] | None
    namespaced: bool
    description: str
    columns: tuple[tuple[str, str, str, int], ...]
    """Printer columns: name, type, JSON path, priority (1 shows with -o wide only)."""
    rules: Rules = field(default_factory=list)
    spec_rules: Rules = field(default_factory=list)
    field_rules: dict[str, Rules] = field(default_factory=dict)
    """Rules by the path of an object field below spec, e.g. ``cache``."""
    scale: bool = False

    @property
    def api_version(self) -> str:
        """``group/version`` as in apiVersion."""
        return API_VERSION

    def parse(self, manifest: dict[str, Any]) -> Any:
        """The spec of ``manifest`` as a typed model.

        Raises:
            pydantic.ValidationError: a field has a value that the API server would have refused.
        """
        return self.spec.model_validate(manifest.get("spec") or {})


def _condition(kind: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].status'


_READY = ("Ready", "string", _condition("Ready"), 0)
_REASON = ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', 0)
_AGE = ("Age", "date", ".metadata.creationTimestamp", 0)

POLICY: Final = Kind(
    kind="SovereigntyPolicy",
    plural="sovereigntypolicies",
    singular="sovereigntypolicy",
    short_name="sovpol",
    spec=policy.PolicySpec,
    status=policy.PolicyStatus,
    namespaced=False,
    description="SovereigntyPolicy says where workloads of the selected namespaces may run, what they may load and whom they may talk to.",
    columns=(
        ("Enforcement", "string", ".spec.enforcement", 0),
        ("Jurisdictions", "string", ".spec.placement.jurisdictions", 0),
        ("Nodes", "integer", ".status.approvedNodes", 0),
        ("Violations", "integer", ".status.violations.current", 0),
        ("Enforced", "string", _condition("Enforced"), 0),
        _READY,
        ("Rejected", "integer", ".status.rejectedNodes", 1),
        ("Namespaces", "integer", ".status.governedNamespaces", 1),
        _AGE,
    ),
    rules=[
        rule(
            "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 50",
            "the name of a SovereigntyPolicy may hold lower-case letters, digits and '-' only, 50 at most, because it is part of a node label",
        )
    ],
)
MODEL: Final = Kind(
    kind="SovereignModel",
    plural="sovereignmodels",
    singular="sovereignmodel",
    short_name="smodel",
    spec=model.ModelSpec,
    status=model.ModelStatus,
    namespaced=True,
    description="SovereignModel names weights: where they come from, what they must be, and where they may lie.",
    columns=(
        ("Source", "string", ".spec.source.uri", 0),
        ("Format", "string", ".spec.format", 1),
        ("License", "string", ".spec.license", 1),
        ("Imported", "string", _condition("Imported"), 0),
        ("Verified", "string", _condition("Verified"), 0),
        _READY,
        _REASON,
        ("Bytes", "integer", ".status.artifact.bytes", 1),
        _AGE,
    ),
    rules=model.MODEL_RULES,
    field_rules={"cache": model.CACHE_RULES},
)
POOL: Final = Kind(
    kind="InferencePool",
    plural="inferencepools",
    singular="inferencepool",
    short_name="sovpool",
    spec=pool.PoolSpec,
    status=pool.PoolStatus,
    namespaced=True,
    description="InferencePool serves a SovereignModel with an InferenceRuntime, on nodes that every policy of its namespace approves.",
    columns=(
        ("Model", "string", ".spec.modelRef.name", 0),
        ("Runtime", "string", ".spec.runtime.name", 0),
        ("Replicas", "integer", ".status.replicas", 0),
        ("Available", "integer", ".status.readyReplicas", 0),
        ("Lawful", "string", _condition("PlacementVerified"), 0),
        _READY,
        _REASON,
        ("Network", "string", _condition("NetworkEnforced"), 1),
        ("GPUs", "integer", ".status.sizing.gpus", 1),
        ("Endpoint", "string", ".status.endpoint", 1),
        _AGE,
    ),
    rules=pool.POOL_RULES,
    spec_rules=pool.POOL_SPEC_RULES,
    field_rules={"autoscaling": pool.AUTOSCALING_RULES},
    scale=True,
)
RUNTIME: Final = Kind(
    kind="InferenceRuntime",
    plural="inferenceruntimes",
    singular="inferenceruntime",
    short_name="infrt",
    spec=runtime.RuntimeSpec,
    status=None,
    namespaced=False,
    description="InferenceRuntime describes an inference engine as data: image, arguments, probes, metrics and drain.",
    columns=(
        ("Formats", "string", ".spec.formats", 0),
        ("Accelerator", "string", ".spec.accelerator", 0),
        ("Image", "string", ".spec.image", 1),
        _AGE,
    ),
    spec_rules=runtime.RUNTIME_SPEC_RULES,
)
KINDS: Final = (POLICY, MODEL, POOL, RUNTIME)
BY_KIND: Final = {kind.kind: kind for kind in KINDS}
