"""SovereignModel: weights, their origin, and where they may lie."""

from typing import Annotated, Final, Literal

from pydantic import Field

from sovereign.api.conditions import Condition
from sovereign.api.policy import Format, License, Url
from sovereign.api.schema import Model, ObjectName, Sha256, quantity, rule, text

SourceUri = Annotated[
    str,
    text(
        r"(s3|hf|https|oci|pvc)://[A-Za-z0-9][^\s?#\\@]*(@sha256:[a-f0-9]{64})?",
        "write a source such as s3://bucket/path, hf://organisation/model, https://host/path, oci://registry/repository "
        "or pvc://claim/path, without user name and query; plain http is not allowed",
        max_length=1024,
    ),
]
Revision = Annotated[
    str,
    text(
        r"[A-Za-z0-9][A-Za-z0-9._/-]*",
        "write a branch, tag, commit or object version: letters, digits, '.', '_', '-' and '/'",
        max_length=128,
    ),
]
Glob = Annotated[
    str,
    text(
        r"[^\x00-\x1f\\]+",
        "write a file pattern such as *.safetensors, relative to the source and with '/' between folders",
        max_length=256,
    ),
]
LARGEST: Final = 2**53
"""Every JSON reader has the integers up to this one exactly."""
Natural = Annotated[int, Field(ge=0, le=LARGEST)]


class SecretRef(Model):
    """A Secret of the same namespace."""

    name: ObjectName = Field(description="The Secret's name.")


class Source(Model):
    """Where the weights come from."""

    uri: SourceUri = Field(
        description="s3://bucket/path, hf://organisation/model, https://host/path, oci://registry/repository, or pvc://claim/path "
        "for weights that lie on a claim of the same namespace. Required."
    )
    revision: Revision | None = Field(
        default=None,
        description="Branch, tag or commit of an hf:// source; tag of an oci:// source. Default: main, or latest.",
    )
    endpoint: Url | None = Field(
        default=None,
        description="The server of an s3:// or hf:// source, for example https://s3.example.eu. There is no public default. "
        "Default: what the policy says.",
    )
    secret_ref: SecretRef | None = Field(
        default=None,
        description="A Secret with the credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for s3, HF_TOKEN for hf, "
        "username and password or .dockerconfigjson for oci, token or username and password for https; ca.crt for a "
        "private authority. Only the import job mounts it. Default: none.",
    )
    include: list[Glob] = Field(
        default=[],
        max_length=32,
        description="Patterns of files to fetch. Default: all.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    exclude: list[Glob] = Field(
        default=[],
        max_length=32,
        description="Patterns of files to leave out, for example a second copy of the weights: [consolidated.safetensors]. Default: none.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )


class Cache(Model):
    """Where the weights lie."""

    storage_class_name: ObjectName | None = Field(
        default=None,
        description="Storage class of the claim; must be one the policy lists. Cannot be changed later. Default: the cluster's default.",
    )
    size: Annotated[
        str, quantity("write the claim's size as a quantity with its unit, for example 60Gi (not 60GB)", "60Gi")
    ] = Field(
        default="100Gi",
        description="Size of the claim, in bytes with a suffix; it can grow, not shrink. Default: 100Gi. Example: 60Gi.",
    )
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = Field(
        default="ReadWriteOnce",
        description="ReadWriteMany where replicas on several nodes share one claim. Cannot be changed later. Default: ReadWriteOnce.",
    )
    retention: Literal["Retain", "Delete"] = Field(
        default="Retain",
        description="Whether the claim stays when the model is deleted. Default: Retain.",
    )


class Parameters(Model):
    """The shape of a model, as its config.json and its weights say."""

    architecture: str | None = Field(
        default=None,
        max_length=128,
        description="Class of the model, for example MistralForCausalLM. Default: unknown.",
    )
    layers: Natural | None = Field(default=None, description="Number of transformer layers. Default: unknown.")
    hidden_size: Natural | None = Field(default=None, description="Width of the residual stream. Default: unknown.")
    attention_heads: Natural | None = Field(default=None, description="Number of query heads. Default: unknown.")
    kv_heads: Natural | None = Field(default=None, description="Number of key and value heads. Default: unknown.")
    head_dim: Natural | None = Field(
        default=None, description="Width of one head. Default: hiddenSize / attentionHeads."
    )
    vocab_size: Natural | None = Field(default=None, description="Number of tokens. Default: unknown.")
    max_position_embeddings: Natural | None = Field(
        default=None, description="Longest context the model was made for, in tokens. Default: unknown."
    )
    dtype: str | None = Field(
        default=None,
        max_length=32,
        description="Type of the weights, for example bfloat16. Default: unknown.",
    )
    quantization: str | None = Field(
        default=None, max_length=32, description="Method of quantisation, for example fp8. Default: none."
    )
    weights_bytes: Natural | None = Field(default=None, description="Size of all weights in bytes. Default: unknown.")


class ModelSpec(Model):
    """Which weights, and how they are kept."""

    source: Source = Field(description="Where the weights come from. Required.")
    digest: Sha256 | None = Field(
        default=None,
        description="SHA-256 of the canonical manifest (path, size and SHA-256 of each file), as kubectl sovereign digest prints it. "
        "Policies require it unless they say otherwise. Default: none.",
    )
    format: Format = Field(
        default="safetensors", description="Format of the weights: safetensors or gguf. Default: safetensors."
    )
    license: License | None = Field(
        default=None,
        description="SPDX id of the weights' licence, or LicenseRef-<name>. Default: unknown. Example: Apache-2.0.",
    )
    parameters: Parameters | None = Field(
        default=None,
        description="The shape of the model, for planning before it is imported; what the import reads wins. Default: unknown.",
    )
    cache: Cache = Field(
        default=Cache(),
        description="Where the weights lie; not used with a pvc:// source. Default: a claim of 100Gi.",
    )


class Artifact(Model):
    """Weights that were imported."""

    digest: str = Field(max_length=71, description="SHA-256 of the canonical manifest of what lies on the claim.")
    claim: str = Field(max_length=253, description="The PersistentVolumeClaim they lie on.")
    claim_uid: str = Field(
        default="",
        max_length=64,
        description="UID of that claim: another claim of the same name holds other data.",
    )
    path: str = Field(default="", max_length=1024, description="Folder on the claim. Default: its root.")
    entrypoint: str = Field(
        default="",
        max_length=512,
        description="The file that an engine loads where it wants one file (gguf). Default: none.",
    )
    source_hash: str = Field(
        default="", max_length=64, description="Hash of the source, format and digest they were imported by."
    )
    bytes: Natural = Field(default=0, description="Size of all files, in bytes. Default: 0.")
    files: Natural = Field(default=0, description="Number of files. Default: 0.")
    imported_at: str = Field(default="", max_length=32, description="When the import ended, RFC 3339 in UTC.")


class Location(Model):
    """Where weights lie, by the facts of the nodes from which their volume can be reached."""

    volume: str = Field(max_length=253, description="The PersistentVolume.")
    storage_class: str = Field(default="", max_length=253, description="Its storage class. Default: none.")
    region: str = Field(default="", max_length=63, description="Region of nodes that reach it. Default: not known.")
    jurisdiction: str = Field(
        default="",
        max_length=63,
        description="Jurisdiction of nodes that reach it; empty where the volume or a node does not say. Default: not known.",
    )


class ModelStatus(Model):
    """What the operator found."""

    observed_generation: int = Field(
        default=0, ge=0, description="The metadata.generation that this status is about. Default: 0."
    )
    artifact: Artifact | None = Field(default=None, description="The imported weights. Default: none yet.")
    parameters: Parameters | None = Field(
        default=None, description="The shape of the model, as read from the weights. Default: unknown."
    )
    location: list[Location] = Field(
        default=[],
        max_length=16,
        description="Where the weights lie: one entry for each volume, region and jurisdiction, 16 at most. Default: no volume yet.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    policies: list[str] = Field(
        default=[],
        max_length=64,
        description="The policies that govern the model's namespace. Default: empty.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    conditions: list[Condition] = Field(
        default=[],
        max_length=16,
        description="Ready, Reconciling, Stalled, PolicyAccepted, LicenseAccepted, Imported, Verified, PlacementVerified. Default: empty.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )


MODEL_RULES = [
    rule(
        "!self.spec.source.uri.startsWith('pvc://') || !has(self.spec.source.secretRef)",
        "a pvc:// source is not fetched, so spec.source.secretRef has no use; leave it out",
    ),
    rule(
        "!has(self.spec.source.endpoint) || self.spec.source.uri.startsWith('s3://') || self.spec.source.uri.startsWith('hf://')",
        "spec.source.endpoint goes with s3:// and hf:// sources only; the other URIs name their server",
    ),
    rule(
        "!has(self.spec.source.revision) || self.spec.source.uri.startsWith('hf://') || self.spec.source.uri.startsWith('oci://')",
        "spec.source.revision goes with hf:// and oci:// sources only",
    ),
    rule(
        "!self.spec.source.uri.contains('/../') && !self.spec.source.uri.endsWith('/..')",
        "spec.source.uri must not contain '..'",
    ),
    rule(
        "self.metadata.name.size() <= 50",
        "the name of a SovereignModel may have 50 characters at most, because its children's names are longer",
    ),
    rule(
        "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "the name of a SovereignModel must begin with a letter and hold lower-case letters, digits and '-' only",
    ),
]

CACHE_RULES = [
    rule(
        "has(self.storageClassName) == has(oldSelf.storageClassName) && "
        "(!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
        "cache.storageClassName cannot be changed, because a claim cannot move; make a new SovereignModel",
    ),
    rule(
        "self.accessMode == oldSelf.accessMode",
        "cache.accessMode cannot be changed; make a new SovereignModel",
    ),
    rule(
        "!isQuantity(string(self.size)) || !quantity(string(self.size)).isLessThan(quantity(string(oldSelf.size)))",
        "cache.size can grow but not shrink, because a claim cannot",
    ),
]
