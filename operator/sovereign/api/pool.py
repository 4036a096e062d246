"""InferencePool: how a model is served."""

from typing import Annotated, Literal

from pydantic import Field

from sovereign.api.conditions import Condition
from sovereign.api.model import Natural, SecretRef
from sovereign.api.policy import Fact, Jurisdiction
from sovereign.api.schema import (
    LABEL_KEYS,
    NOT_EMPTY,
    ImageReference,
    LabelKey,
    LabelSelector,
    LabelValue,
    Model,
    ObjectName,
    quantity,
    rule,
    text,
)

ResourceName = Annotated[
    str,
    text(
        r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?",
        "write an extended resource with its domain, for example nvidia.com/gpu or amd.com/gpu",
        max_length=253,
    ),
]
EnvName = Annotated[
    str, text(r"[A-Za-z_][A-Za-z0-9_]*", "write a variable's name: letters, digits and '_'", max_length=128)
]
Argument = Annotated[str, Field(min_length=1, max_length=1024)]
Degree = Annotated[int, Field(ge=1, le=64)]


class ObjectRef(Model):
    """A reference by name; to an object of the same namespace where the kind has namespaces."""

    name: ObjectName = Field(description="The object's name.")


class EnvVar(Model):
    """An environment variable."""

    name: EnvName = Field(description="Name of the variable.")
    value: str = Field(default="", max_length=4096, description="Its value, taken literally. Default: empty.")


class RuntimeRef(Model):
    """The engine, and what is different for this pool."""

    name: ObjectName = Field(
        description="Name of an InferenceRuntime: vllm, sglang, llama-cpp, tgi, ollama or one of your own. Required."
    )
    image: ImageReference | None = Field(
        default=None, description="Image by digest, instead of the runtime's. Default: the runtime's image."
    )
    args: list[Argument] = Field(
        default=[],
        max_length=32,
        description="Further arguments, as --flag or --flag=value; only flags that the runtime lists in overrides.args. Default: none.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    env: list[EnvVar] = Field(
        default=[],
        max_length=32,
        description="Further variables; only names that the runtime lists in overrides.env. Default: none.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )


class Accelerator(Model):
    """The GPUs of one replica."""

    resource_name: ResourceName = Field(
        default="nvidia.com/gpu", description="Extended resource that is asked for. Default: nvidia.com/gpu."
    )
    count: Annotated[int, Field(ge=0, le=64)] | None = Field(
        default=None,
        description="GPUs of one replica; 0 runs on CPU. Default: planned from the weights' size and the memory of a GPU.",
    )
    memory: (
        Annotated[
            str,
            quantity("write the memory of one GPU as a quantity with its unit, for example 80Gi (not 80GB)", "80Gi"),
        ]
        | None
    ) = Field(
        default=None,
        description="Memory of one GPU in bytes with a suffix, for planning. Default: the least among approved nodes, by nvidia.com/gpu.memory.",
    )
    node_selector: dict[LabelKey, LabelValue] = Field(
        default={},
        max_length=16,
        description="Further labels of the nodes, for example {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3}. It narrows what the policy approves. Default: none.",
        json_schema_extra={"x-kubernetes-validations": [LABEL_KEYS]},
    )


class Parallelism(Model):
    """How one replica is spread over its GPUs. GPUs = tensor x pipeline x data."""

    tensor: Degree | None = Field(
        default=None,
        description="GPUs that share each layer; must divide the attention heads. Default: all GPUs of the replica.",
    )
    pipeline: Degree = Field(default=1, description="Stages that the layers are cut into. Default: 1.")
    data: Degree = Field(default=1, description="Copies of the model inside one replica. Default: 1.")


class Resources(Model):
    """CPU and memory of one replica; asked for, and for memory also the limit."""

    cpu: Annotated[str, quantity("write CPU as cores or millicores, for example 8 or 500m", "8")] = Field(
        default="4", description="CPU in cores. Default: 4."
    )
    memory: Annotated[
        str, quantity("write memory as a quantity with its unit, for example 64Gi (not 64GB)", "64Gi")
    ] = Field(default="16Gi", description="Memory in bytes with a suffix. Default: 16Gi.")
    shared_memory: (
        Annotated[str, quantity("write shared memory as a quantity with its unit, for example 16Gi (not 16GB)", "16Gi")]
        | None
    ) = Field(
        default=None,
        description="Size of /dev/shm in bytes with a suffix; it counts against memory. Default: 2Gi for one GPU, 8Gi for several, 256Mi without.",
    )


class Autoscaling(Model):
    """How the number of replicas follows the load (HorizontalPodAutoscaler)."""

    min_replicas: Annotated[int, Field(ge=1, le=1000)] = Field(default=1, description="Fewest replicas. Default: 1.")
    max_replicas: Annotated[int, Field(ge=1, le=1000)] = Field(description="Most replicas. Required.")
    metric: Literal["RequestsWaiting", "RequestsRunning", "CPU"] = Field(
        default="RequestsWaiting",
        description="What is followed: requests waiting or running per replica (needs an adapter for custom metrics), or CPU use. Default: RequestsWaiting.",
    )
    target: Annotated[int, Field(ge=1, le=10000)] = Field(
        default=5,
        description="Average per replica that is aimed at: requests, or per cent of the requested CPU. Default: 5.",
    )


class Spread(Model):
    """How replicas are spread."""

    by: Literal["node", "region", "jurisdiction"] = Field(
        default="node", description="Over what replicas are spread. Default: node."
    )
    min_domains: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None,
        description="How many of them must be used; replicas that would break it stay Pending. Default: as many as there are, if possible.",
    )


class PoolPlacement(Model):
    """Where this pool's replicas may run. It only narrows what the policy approves."""

    jurisdictions: list[Jurisdiction] = Field(
        default=[],
        max_length=64,
        description="ISO 3166-1 alpha-2 codes, or EU, or EEA. Default: all that the policy approves.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    regions: list[Fact] = Field(
        default=[],
        max_length=64,
        description="Regions, as in the nodes' region fact. Default: all that the policy approves.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    spread: Spread | None = Field(
        default=None, description="How replicas are spread. Default: over nodes, where possible."
    )


class Peer(Model):
    """Pods that may call the model."""

    namespace_selector: LabelSelector | None = Field(
        default=None,
        description="Their namespaces. Default: the pool's own.",
        json_schema_extra={"x-kubernetes-validations": [NOT_EMPTY]},
    )
    pod_selector: LabelSelector | None = Field(default=None, description="The pods in them. Default: all of them.")


class PoolNetwork(Model):
    """Who may call the model."""

    ingress_from: list[Peer] = Field(
        default=[],
        max_length=16,
        description="Pods that may call the model; within what the policy allows. Default: all pods that the policy allows.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    api_key_secret_ref: SecretRef | None = Field(
        default=None,
        description="A Secret whose key api-key is the bearer token that callers must send. Default: no key.",
    )


class Rollout(Model):
    """How a new version replaces the old one."""

    strategy: Literal["Auto", "Surge", "NoSurge"] = Field(
        default="Auto",
        description="Surge starts the new replica first and needs free GPUs; NoSurge stops the old one first. Auto: NoSurge with GPUs, because "
        "one-GPU nodes would deadlock; Surge without. Default: Auto.",
    )


class PoolSpec(Model):
    """How a model is served."""

    model_ref: ObjectRef = Field(description="The SovereignModel that is served, of the same namespace. Required.")
    runtime: RuntimeRef = Field(description="The engine. Required.")
    accelerator: Accelerator = Field(default=Accelerator(), description="The GPUs of one replica. Default: planned.")
    parallelism: Parallelism = Field(
        default=Parallelism(),
        description="How one replica is spread over its GPUs. Default: tensor parallel.",
    )
    max_model_len: Annotated[int, Field(ge=128, le=16_777_216)] | None = Field(
        default=None,
        description="Longest context, in tokens; the KV cache is planned for it. Default: the model's own.",
    )
    max_num_seqs: Annotated[int, Field(ge=1, le=65536)] | None = Field(
        default=None, description="Most requests that run at once in one replica. Default: the engine's own."
    )
    gpu_memory_utilization: Annotated[float, Field(ge=0.1, le=0.99)] = Field(
        default=0.9, description="Share of a GPU's memory that the engine may use. Default: 0.9."
    )
    resources: Resources = Field(
        default=Resources(), description="CPU and memory of one replica. Default: 4 cores, 16Gi."
    )
    replicas: Annotated[int, Field(ge=0, le=1000)] | None = Field(
        default=None, description="Number of replicas; or autoscaling, exactly one of them."
    )
    autoscaling: Autoscaling | None = Field(
        default=None, description="Replicas that follow the load; or replicas, exactly one of them."
    )
    placement: PoolPlacement = Field(
        default=PoolPlacement(),
        description="Where replicas may run; it only narrows. Default: wherever the policy approves.",
    )
    rollout: Rollout = Field(default=Rollout(), description="How a new version replaces the old one. Default: Auto.")
    network: PoolNetwork = Field(
        default=PoolNetwork(), description="Who may call the model. Default: whom the policy allows."
    )
    suspend: bool = Field(
        default=False,
        description="Whether the pool is scaled to zero while everything else stays. Default: false.",
    )


class Sizing(Model):
    """What one replica needs, by the estimate."""

    gpus: Natural = Field(default=0, description="GPUs of one replica. Default: 0.")
    weights_bytes: Natural = Field(default=0, description="Weights, in bytes over all GPUs. Default: 0.")
    kv_cache_bytes: Natural = Field(
        default=0,
        description="KV cache of one sequence of the longest context, in bytes over all GPUs. Default: 0.",
    )
    per_gpu_bytes: Natural = Field(default=0, description="What one GPU has to hold, in bytes. Default: 0.")


class RegionCount(Model):
    """Pods in one region."""

    region: str = Field(max_length=63, description="The region fact of the nodes.")
    jurisdiction: str = Field(max_length=63, description="Their jurisdiction fact.")
    replicas: Natural = Field(description="Pods there.")


class PlacementStatus(Model):
    """Where the pods are."""

    lawful: Natural = Field(default=0, description="Pods on approved nodes. Default: 0.")
    unlawful: Natural = Field(default=0, description="Pods on nodes that are not approved. Default: 0.")
    by_region: list[RegionCount] = Field(
        default=[],
        max_length=64,
        description="Pods by region. Default: empty.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )


ProbeOutcome = Literal["Refused", "Reached", "Unknown"]


class NodeProbe(Model):
    """What network probes have shown on one node."""

    node: str = Field(max_length=253, description="The node.")
    node_uid: str = Field(default="", max_length=64, description="Its uid: another machine of that name is not probed.")
    outcome: ProbeOutcome = Field(
        description="Refused: egress that nobody granted was refused. Reached: it was not. Unknown: no probe has shown either."
    )
    time: str = Field(
        max_length=32, description="When that was seen, RFC 3339 in UTC.", json_schema_extra={"format": "date-time"}
    )
    policy: str = Field(default="", max_length=64, description="Hash of the pool's NetworkPolicy at that time.")
    message: str = Field(
        default="", max_length=1024, description="What was seen, or why the last probe showed nothing. Default: empty."
    )


class NetworkStatus(Model):
    """What network probes have shown."""

    probes: list[NodeProbe] = Field(
        default=[],
        max_length=256,
        description="By node, for nodes that run a pod of the pool. Default: empty.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["node"]},
    )


class Stopped(Model):
    """Why a pool was stopped by a policy whose onViolation.action is ScaleToZero."""

    policy: str = Field(max_length=63, description="The policy that asks for it.")
    policy_generation: Natural = Field(
        description="That policy's metadata.generation: when its spec changes, the pool starts again."
    )
    generation: Natural = Field(
        description="The pool's metadata.generation: when its spec changes, the pool starts again."
    )
    since: str = Field(
        max_length=32, description="When it was stopped, RFC 3339 in UTC.", json_schema_extra={"format": "date-time"}
    )
    message: str = Field(default="", max_length=1024, description="Which pod was found where. Default: empty.")


class PoolStatus(Model):
    """What the operator found."""

    observed_generation: int = Field(
        default=0, ge=0, description="The metadata.generation that this status is about. Default: 0."
    )
    replicas: Natural = Field(default=0, description="Pods that exist. Default: 0.")
    ready_replicas: Natural = Field(default=0, description="Pods that are ready. Default: 0.")
    selector: str = Field(
        default="",
        max_length=512,
        description="Label selector of the pods, for the scale subresource. Default: empty.",
    )
    endpoint: str = Field(
        default="", max_length=512, description="Where the model answers inside the cluster. Default: empty."
    )
    sizing: Sizing | None = Field(
        default=None, description="What one replica needs, by the estimate. Default: unknown."
    )
    placement: PlacementStatus = Field(default=PlacementStatus(), description="Where the pods are. Default: nowhere.")
    network: NetworkStatus | None = Field(
        default=None, description="What network probes have shown. Default: nothing yet."
    )
    stopped: Stopped | None = Field(
        default=None,
        description="Set while the pool has no replicas because a pod of it stood where it may not. Default: not stopped.",
    )
    policies: list[str] = Field(
        default=[],
        max_length=64,
        description="The policies that govern the pool's namespace. Default: empty.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    conditions: list[Condition] = Field(
        default=[],
        max_length=16,
        description="Ready, Reconciling, Stalled, PolicyAccepted, Sized, PlacementVerified, NetworkEnforced, Available. Default: empty.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )


POOL_RULES = [
    rule(
        "self.metadata.name.size() <= 50",
        "the name of an InferencePool may have 50 characters at most, because its children's names are longer",
    ),
    rule(
        "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "the name of an InferencePool must begin with a letter and hold lower-case letters, digits and '-' only, because its Service has that name",
    ),
]
POOL_SPEC_RULES = [
    rule("has(self.replicas) != has(self.autoscaling)", "set exactly one of spec.replicas and spec.autoscaling"),
    rule(
        "!has(self.accelerator.count) || self.accelerator.count == 0 || !has(self.parallelism.tensor) || "
        "self.accelerator.count == self.parallelism.tensor * self.parallelism.pipeline * self.parallelism.data",
        "accelerator.count must be parallelism.tensor x pipeline x data; leave one of them out to have it planned",
    ),
]
AUTOSCALING_RULES = [
    rule("self.minReplicas <= self.maxReplicas", "autoscaling.maxReplicas must not be less than minReplicas")
]
