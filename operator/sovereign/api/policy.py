"""SovereigntyPolicy: where workloads of the selected namespaces may run, what they may load, whom they may talk to."""

from typing import Annotated, Literal

from pydantic import Field

from sovereign.api.conditions import Condition
from sovereign.api.schema import (
    IMAGE_PATH,
    NOT_EMPTY,
    REGISTRY_HOST,
    Cidr,
    DnsLabel,
    Duration,
    LabelKey,
    LabelSelector,
    LabelValue,
    Model,
    ObjectName,
    rule,
    text,
)

Jurisdiction = Annotated[
    str,
    text(
        r"[A-Z]{2}|EEA",
        "write a country as its two-letter ISO 3166-1 code in capitals (FR, DE), or EU, or EEA",
        max_length=64,
    ),
]
Fact = Annotated[
    str,
    text(
        r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?",
        "write a label value as it stands on the node: letters, digits, '-', '_' and '.'",
        max_length=63,
    ),
]
Registry = Annotated[
    str,
    text(
        f"{REGISTRY_HOST}(?:{IMAGE_PATH})*",
        "write a registry host with a dot or a port, and an optional path, without scheme and trailing slash, "
        "for example registry.example.eu/ai",
        max_length=253,
    ),
]
SourcePrefix = Annotated[
    str,
    text(
        r"((s3|hf|https|oci|pvc)://[A-Za-z0-9][^\s?#@\\]*/)|pvc://",
        "write the beginning of a source up to a '/', for example s3://weights-fr/ or oci://registry.example.eu/models/",
        max_length=512,
    ),
]
Url = Annotated[
    str,
    text(
        r"https?://[A-Za-z0-9\[][^\s?#@\\]*",
        "write a URL without user name, query and fragment, for example https://s3.example.eu",
        max_length=512,
    ),
]
License = Annotated[
    str,
    text(
        r"[A-Za-z0-9][-A-Za-z0-9.+]*",
        "write an SPDX licence id such as Apache-2.0, or LicenseRef-<name>",
        max_length=64,
    ),
]
Format = Literal["safetensors", "gguf"]


class OnViolation(Model):
    """What is done about a pod that stands where it may not."""

    action: Literal["Evict", "ScaleToZero", "Report"] = Field(
        default="Evict",
        description="Evict removes the pod (by eviction; by deletion when that is refused for as long as the grace period allows). "
        "ScaleToZero does so too, and stops its whole pool until the pool's or the policy's spec changes. "
        "Report only reports it. In every case the pod leaves the endpoints of its Service at once. Default: Evict.",
    )
    grace_period: Duration = Field(
        default="60s",
        description="How long an unlawful pod may take to be gone, as 60s, 5m or 1h: its eviction, the time in which a disruption "
        "budget may refuse that, and its own ending (terminationGracePeriodSeconds, which is shortened where it is longer). "
        "Default: 60s.",
    )
    max_concurrent: int = Field(
        default=10,
        ge=1,
        le=1000,
        description="Pods of this policy that repair removes at once. It does not hold up pods of pools that were ready: "
        "those served until now. Default: 10.",
    )


class Placement(Model):
    """Which nodes are approved. A node must satisfy every field that is set."""

    jurisdictions: list[Jurisdiction] = Field(
        min_length=1,
        max_length=64,
        description="Where the nodes must be: ISO 3166-1 alpha-2 codes, or EU, or EEA. Required. Example: [FR, DE].",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    regions: list[Fact] = Field(
        default=[],
        max_length=64,
        description="Regions the nodes must be in, as in their region fact; narrower than jurisdictions. Default: any. Example: [fr-par].",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    providers: list[Fact] = Field(
        default=[],
        max_length=64,
        description="Who must run the machines, as in their provider fact. Default: anyone. Example: [on-prem].",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    node_selector: dict[LabelKey, LabelValue] = Field(
        default={},
        max_length=16,
        description="Further labels that nodes must carry. Only keys that a kubelet cannot set on itself: those under "
        "node-restriction.kubernetes.io. Default: none.",
        json_schema_extra={
            "x-kubernetes-validations": [
                rule(
                    "self.all(k, k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?[.])?node-restriction[.]kubernetes[.]io/"
                    "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",
                    "only keys under node-restriction.kubernetes.io can be trusted, because a kubelet may set any other "
                    "label on itself; for example example.node-restriction.kubernetes.io/tier",
                )
            ]
        },
    )
    dedicated: bool = Field(
        default=False,
        description="Whether the approved nodes take only pods of the namespaces that this policy governs, besides the "
        "installation's system namespaces and node agents. Default: false.",
    )


class Ports(Model):
    """Networks and ports that may be reached."""

    cidr: Cidr = Field(description="The network, IPv4 or IPv6, for example 10.1.0.0/16.")
    ports: list[Annotated[int, Field(ge=1, le=65535)]] = Field(
        min_length=1,
        max_length=32,
        description="TCP ports. Required. Example: [443].",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )


_NOT_EVERYWHERE = rule(
    "self.all(e, !isCIDR(e.cidr) || cidr(e.cidr).prefixLength() > 0)",
    "0.0.0.0/0 and ::/0 would allow the whole internet; name the networks that are needed",
)


_NOT_EVERY_SERVER = rule(
    "self.all(e, !isCIDR(e) || cidr(e).prefixLength() > 0)",
    "0.0.0.0/0 and ::/0 would have names asked of any server in the world; name the networks of the DNS servers",
)


class Dns(Model):
    """Name resolution of import jobs and of serving pods that have egress."""

    resolvers: list[Cidr] = Field(
        default=[],
        max_length=8,
        description="Networks of the DNS servers that may be asked, port 53. Default: the cluster's DNS pods "
        "(k8s-app=kube-dns in kube-system).",
        json_schema_extra={"x-kubernetes-list-type": "set", "x-kubernetes-validations": [_NOT_EVERY_SERVER]},
    )


Permission = Literal["Deny", "Allow"]


class Network(Model):
    """Whom governed workloads may talk to. Nothing else is reachable."""

    egress: list[Ports] = Field(
        default=[],
        max_length=32,
        description="Networks that serving pods may reach. Default: none.",
        json_schema_extra={"x-kubernetes-list-type": "atomic", "x-kubernetes-validations": [_NOT_EVERYWHERE]},
    )
    import_egress: list[Ports] = Field(
        default=[],
        max_length=32,
        description="Networks that import jobs may reach, while they run. Default: none. Example: [{cidr: 10.1.0.0/16, ports: [443]}].",
        json_schema_extra={"x-kubernetes-list-type": "atomic", "x-kubernetes-validations": [_NOT_EVERYWHERE]},
    )
    dns: Dns = Field(default=Dns(), description="Name resolution. Default: the cluster's DNS pods.")
    ingress_namespaces: LabelSelector | None = Field(
        default=None,
        description="Namespaces that may call the models. A pool's network.ingressFrom only narrows this. Default: the "
        "pool's own namespace.",
        json_schema_extra={"x-kubernetes-validations": [NOT_EMPTY]},
    )
    service_types: list[Literal["NodePort", "LoadBalancer"]] = Field(
        default=[],
        max_length=2,
        description="Types of Services that open a way in from outside the cluster, and may be used. Default: none, so that every "
        "Service is a ClusterIP.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    routes: Permission = Field(
        default="Deny",
        description="Ingresses, and what the Gateway API has in a namespace (Gateways, routes, ReferenceGrants), by which callers "
        "outside the cluster reach Services. Where they are allowed, a route leads to Services of its own namespace. "
        "Default: Deny.",
    )


class Storage(Model):
    """Where weights and other data may lie."""

    storage_classes: list[ObjectName] = Field(
        default=[],
        max_length=32,
        description="Storage classes that claims may use. Default: any. Example: [fast-fr].",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    snapshot_classes: list[ObjectName] = Field(
        default=[],
        max_length=32,
        description="VolumeSnapshotClasses with which claims may be copied. Default: none. Example: [fast-fr].",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    require_topology: bool = Field(
        default=False,
        description="Whether a volume must say by its node affinity where it lies, as those of local and most block storage "
        "do and NFS does not. Default: false.",
    )


class Images(Model):
    """Which container images may run."""

    registries: list[Registry] = Field(
        default=[],
        max_length=32,
        description="Registries, with an optional path below which images must lie. Matched by whole path segments. Default: any. "
        "Example: [registry.example.eu/ai].",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    require_digest: bool = Field(
        default=True, description="Whether an image must be named by its digest. Default: true."
    )


class Models(Model):
    """Which weights may be loaded."""

    sources: list[SourcePrefix] = Field(
        default=[],
        max_length=32,
        description="What a model's source must begin with, up to a '/'. Default: any source that importEgress reaches. "
        "Example: [s3://weights-fr/].",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    formats: list[Format] = Field(
        default=["safetensors", "gguf"],
        min_length=1,
        max_length=2,
        description="Formats of weights. Default: [safetensors, gguf].",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    require_digest: bool = Field(
        default=True,
        description="Whether a model must state the digest of its manifest, so that what is served is what was approved. Default: true.",
    )
    hub_endpoint: Url | None = Field(
        default=None,
        description="The hub that hf:// sources are fetched from, for example https://hub.example.eu. A model may then name no "
        "other. There is no public default. Default: what the model says.",
    )
    s3_endpoint: Url | None = Field(
        default=None,
        description="The server that s3:// sources are fetched from, for example https://s3.example.eu. A model may then name no "
        "other. Default: what the model says.",
    )


class Licenses(Model):
    """Which licences weights may be under."""

    allow: list[License] = Field(
        default=[],
        max_length=64,
        description="SPDX ids, or LicenseRef-<name>. Default: any. Example: [Apache-2.0, MIT].",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    unknown: Literal["Deny", "Allow"] = Field(
        default="Deny",
        description="What happens to a model that states no licence, where allow is set. Default: Deny.",
    )


class Access(Model):
    """Ways into running pods. What is denied is denied to everybody, cluster administrators included."""

    exec: Permission = Field(
        default="Deny",
        description="kubectl exec, attach and cp, and all of a node's proxy but what is read there. Default: Deny.",
    )
    port_forward: Permission = Field(
        default="Deny",
        description="kubectl port-forward, and the API server's proxy to pods and Services. Default: Deny.",
    )
    ephemeral_containers: Permission = Field(
        default="Deny", description="kubectl debug, which adds a container to a running pod. Default: Deny."
    )
    resize: Permission = Field(
        default="Deny",
        description="Changing CPU and memory of a running pod in place. Pods with weights are the operator's alone in any "
        "case. Default: Deny.",
    )
    service_account_tokens: Permission = Field(
        default="Deny",
        description="kubectl create token, and Secrets that hold a token, which take a service account's identity out of its pod. "
        "Kubelets always may, for the pods they run. Default: Deny.",
    )


class PolicySpec(Model):
    """What must hold in the selected namespaces."""

    namespace_selector: LabelSelector = Field(
        description="The namespaces that are governed, by their labels. The cluster's system namespaces and the operator's own "
        "are never governed. Several policies on one namespace intersect. Required. "
        "Example: {matchLabels: {sovereignai.io/tier: restricted}}.",
        json_schema_extra={"x-kubernetes-validations": [NOT_EMPTY]},
    )
    enforcement: Literal["Enforce", "Audit"] = Field(
        default="Enforce",
        description="Enforce refuses and repairs. Audit only warns and reports: it refuses nothing and moves nothing. Default: Enforce.",
    )
    on_violation: OnViolation = Field(
        default=OnViolation(),
        description="What is done about a pod that stands where it may not. Default: evict it within 60 s.",
    )
    placement: Placement = Field(description="Which nodes are approved. Required.")
    network: Network = Field(default=Network(), description="Whom governed workloads may talk to. Default: nobody.")
    storage: Storage = Field(default=Storage(), description="Where data may lie. Default: any storage class.")
    images: Images = Field(default=Images(), description="Which images may run. Default: any registry, by digest.")
    models: Models = Field(default=Models(), description="Which weights may be loaded. Default: any source, by digest.")
    licenses: Licenses = Field(default=Licenses(), description="Which licences weights may be under. Default: any.")
    access: Access = Field(default=Access(), description="Ways into running pods. Default: all denied.")


class RejectedNode(Model):
    """A node that is not approved, and the first rule that rejects it."""

    node: str = Field(max_length=253, description="The node's name.")
    rule: str = Field(
        max_length=128,
        description="The rule that rejects it, as the path of the field, for example placement.jurisdictions.",
    )
    found: str = Field(
        default="",
        max_length=256,
        description="What the node has instead; empty when the fact is missing. Default: empty.",
    )


class ViolatingWorkload(Model):
    """Objects that a policy does not admit, by the workload they belong to and the rule they break."""

    kind: str = Field(max_length=64, description="Kind of the workload, or of the object itself where it has none.")
    namespace: str = Field(default="", max_length=253, description="Its namespace. Default: none.")
    name: str = Field(max_length=253, description="Its name.")
    rule: str = Field(
        max_length=128,
        description="The rule that is broken, as the path of the policy's field or the name of its rules.",
    )
    count: int = Field(default=1, ge=0, description="How many of its pods break it now. Default: 1.")
    message: str = Field(
        default="", max_length=512, description="What is wrong with the first of them. Default: empty."
    )
    step: str = Field(
        default="",
        max_length=64,
        description="What repair has come to: Reported, WouldEvict (in Audit), Waiting, Evicting, Deleting, ScaledToZero or "
        "RepairBlocked. Default: empty.",
    )


class Violations(Model):
    """What the policy does not admit, and is there."""

    current: int = Field(default=0, ge=0, description="Violations now. Default: 0.")
    total: int = Field(default=0, ge=0, description="Violations since the policy was made. Default: 0.")
    workloads: list[ViolatingWorkload] = Field(
        default=[],
        max_length=20,
        description="The first 20 workloads by namespace and name. In Audit: what Enforce would refuse or evict. Default: empty.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )


class PolicyStatus(Model):
    """What the operator found."""

    observed_generation: int = Field(
        default=0, ge=0, description="The metadata.generation that this status is about. Default: 0."
    )
    jurisdictions: list[str] = Field(
        default=[],
        max_length=300,
        description="placement.jurisdictions with EU and EEA written out, as it is enforced. Default: empty.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    approved_nodes: int = Field(default=0, ge=0, description="How many nodes are approved. Default: 0.")
    rejected_nodes: int = Field(default=0, ge=0, description="How many nodes are rejected. Default: 0.")
    rejections: list[RejectedNode] = Field(
        default=[],
        max_length=20,
        description="The first 20 rejected nodes by name, each with the rule that rejects it; "
        "kubectl sovereign explain shows all. Default: empty.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    namespaces: list[str] = Field(
        default=[],
        max_length=100,
        description="The first 100 governed namespaces by name. Default: empty.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    governed_namespaces: int = Field(default=0, ge=0, description="How many namespaces are governed. Default: 0.")
    violations: Violations = Field(
        default=Violations(), description="What the policy does not admit, and is there. Default: none."
    )
    conditions: list[Condition] = Field(
        default=[],
        max_length=16,
        description="Ready, Reconciling, Stalled, Enforced. Default: empty.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )


__all__ = [
    "DnsLabel",
    "OnViolation",
    "Placement",
    "PolicySpec",
    "PolicyStatus",
    "Ports",
    "RejectedNode",
    "Violations",
]
