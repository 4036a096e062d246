"""What the core is given to plan with: nodes, policies, models and pools as typed rows."""

from collections.abc import Mapping
from typing import Any

import msgspec

from sovereign.api.conditions import Reason
from sovereign.api.meta import FACT_JURISDICTION, FACT_PROVIDER, FACT_REGION
from sovereign.api.model import Artifact, ModelSpec, Parameters
from sovereign.api.policy import PolicySpec
from sovereign.api.pool import PoolSpec
from sovereign.api.runtime import RuntimeSpec

Manifest = dict[str, Any]


class Node(msgspec.Struct, frozen=True):
    """A node, as far as placement is concerned."""

    name: str
    uid: str = ""
    labels: Mapping[str, str] = {}
    allocatable: Mapping[str, str] = {}
    unschedulable: bool = False
    provider_id: str = ""
    """What the cloud knows the machine by, or nothing."""
    system_uuid: str = ""
    """What the machine's firmware says it is, as its kubelet reports it."""

    @property
    def jurisdiction(self) -> str:
        """The jurisdiction fact, or nothing."""
        return self.labels.get(FACT_JURISDICTION, "")

    @property
    def region(self) -> str:
        """The region fact, or nothing."""
        return self.labels.get(FACT_REGION, "")

    @property
    def provider(self) -> str:
        """The provider fact, or nothing."""
        return self.labels.get(FACT_PROVIDER, "")

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> "Node":
        """The row of a Node object."""
        metadata, spec, status = manifest["metadata"], manifest.get("spec") or {}, manifest.get("status") or {}
        return cls(
            name=metadata["name"],
            uid=metadata.get("uid", ""),
            labels=metadata.get("labels") or {},
            allocatable=status.get("allocatable") or {},
            unschedulable=bool(spec.get("unschedulable")),
            provider_id=spec.get("providerID") or "",
            system_uuid=(status.get("nodeInfo") or {}).get("systemUUID") or "",
        )


class Owner(msgspec.Struct, frozen=True, gc=False):
    """One of our objects, as its children refer to it."""

    kind: str
    name: str
    uid: str = ""
    namespace: str = ""
    generation: int = 0
    labels: Mapping[str, str] = {}


class Policy(msgspec.Struct, frozen=True):
    """A SovereigntyPolicy."""

    owner: Owner
    spec: PolicySpec

    @property
    def name(self) -> str:
        """The policy's name."""
        return self.owner.name


class Elsewhere(msgspec.Struct, frozen=True):
    """A volume with weights that lies where a policy does not want it, or may lie there."""

    rule: str
    """Path of the policy's field."""
    reason: Reason
    message: str
    enforced: bool
    """Whether a policy that is enforced says so: nothing is imported onto it."""
    stops: bool
    """Whether one of these has pools stopped that mount it."""


class SovereignModel(msgspec.Struct, frozen=True):
    """A SovereignModel, with what is known of its weights."""

    owner: Owner
    spec: ModelSpec
    artifact: Artifact | None = None
    """Set once the weights that the spec names are imported, or found on an existing claim."""
    parameters: Parameters | None = None
    """The shape read from the weights, else what the spec states."""
    elsewhere: Elsewhere | None = None
    """What is wrong with where its volume lies, once it has one."""


class InferencePool(msgspec.Struct, frozen=True):
    """An InferencePool."""

    owner: Owner
    spec: PoolSpec


class Runtime(msgspec.Struct, frozen=True):
    """An InferenceRuntime."""

    name: str
    spec: RuntimeSpec


class NetworkProbes(msgspec.Struct, frozen=True):
    """How the network is probed."""

    targets: tuple[str, ...]
    """Where the operator's own listener is reached, as ``IP:PORT``, one for each family of addresses."""
    interval: int = 600
    """Seconds from one probe to the next of a pool on a node."""
    concurrency: int = 1
    """Probes at once in the whole cluster."""
    timeout: int = 10
    """Seconds that a probe tries to reach the listener."""
    pull_secrets: tuple[str, ...] = ()
    """Pull secrets in the operator's own namespace, for the control of a probe."""

    def possible(self) -> "NetworkProbes | None":
        """This, or None where there is nothing to reach, or no time for it."""
        return self if self.targets and self.interval and self.timeout else None


class Subjects(msgspec.Struct, frozen=True):
    """Users and groups as the API server knows them."""

    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


class Settings(msgspec.Struct, frozen=True):
    """What the installation decides. The command line uses the defaults."""

    operator_namespace: str = "sovereign-system"
    operator_user: str = "system:serviceaccount:sovereign-system:sovereign-operator"
    system_namespaces: tuple[str, ...] = ("kube-system", "kube-public", "kube-node-lease")
    """Never governed, besides the operator's own."""
    node_facts_writers: Subjects = Subjects(groups=("system:masters", "kubeadm:cluster-admins"))
    """Who may change the facts of nodes, besides the operator."""
    node_agents: tuple[str, ...] = ()
    """DaemonSets, as ``namespace/name``, whose pods dedicated nodes take."""
    canary_user: str = ""
    """As whom the rules are tried; empty: they are not."""
    importer_image: str = ""
    image_pull_secrets: tuple[str, ...] = ()
    cluster_domain: str = "cluster.local"
    mutating_admission: bool = True
    """Whether the API server serves MutatingAdmissionPolicy v1."""
    probes: NetworkProbes | None = None
    """None: the network is not probed."""

    @property
    def ungoverned_namespaces(self) -> tuple[str, ...]:
        """Namespaces that no policy governs, sorted."""
        return tuple(sorted({*self.system_namespaces, self.operator_namespace}))
