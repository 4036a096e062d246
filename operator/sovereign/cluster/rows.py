"""What the caches hold of an object: small typed rows instead of 34 KB dictionaries.

Rows refer to nothing that refers to them, so the garbage collector need not know them (``gc=False``), which takes 16 bytes of each.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from sys import intern
from typing import Any, Final

import msgspec
import orjson

from sovereign.api.meta import (
    COMPONENT_PROBE,
    FIELD_MANAGER,
    LABEL_COMPLIANT,
    LABEL_COMPONENT,
    LABEL_INSTANCE,
    LABEL_MODEL,
    LABEL_POOL,
    SCALE_MANAGER,
    approving_policy,
)
from sovereign.cluster.packed import Packed, pack
from sovereign.residency import pod_spec, running

Manifest = Mapping[str, Any]
_MIRROR: Final = "kubernetes.io/config.mirror"
_TEMPLATE_HASH: Final = "pod-template-hash"
_VOLATILE: Final = frozenset({"status", "metadata"})
_WRITTEN_BY_CLUSTER: Final = frozenset({"PersistentVolumeClaim", "Job", "ServiceAccount"})
"""Kinds whose spec the cluster's own controllers fill in, or that have none: foreign fields are no drift there."""

_OWNER_KINDS: Final = {
    "weights": "SovereignModel",
    "import": "SovereignModel",
    "serving": "InferencePool",
    "admission": "SovereigntyPolicy",
    "network": "SovereigntyPolicy",
}
"""Which kind has children of which component."""
PROBE_KIND: Final = "NetworkProbe"
"""Stands as the owner of the Jobs that probe the network, whatever object they go away with."""


class OwnerKey(msgspec.Struct, frozen=True, gc=False):
    """The object of ours that a child belongs to."""

    kind: str
    name: str
    uid: str = ""


class JobState(msgspec.Struct, frozen=True, gc=False):
    """How a Job stands."""

    active: int = 0
    failed: int = 0
    complete: bool = False
    failure: str = ""
    """Message of the Failed condition, when there is one."""


class DeploymentState(msgspec.Struct, frozen=True, gc=False):
    """How a Deployment stands."""

    observed: bool = False
    """Whether its controller has seen the newest generation."""
    replicas: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0
    failure: str = ""
    """Message of ReplicaFailure, or of Progressing=False."""


class Child(msgspec.Struct, gc=False):
    """An object that the operator made."""

    kind: str
    namespace: str
    name: str
    uid: str
    version: int
    owner: OwnerKey | None
    digest: bytes
    """Hash of everything the operator may have written."""
    foreign: bool
    """Whether another writer owns a field of the spec."""
    deleting: bool
    live: Packed | None
    """JSON of what was hashed; kept only until it has been compared with what is wanted."""
    state: JobState | DeploymentState | str | None = None
    """A claim's state is its phase."""
    replicas: int | None = None
    """spec.replicas where the operator owns it, so that it would be reset if it were no longer applied."""
    wanted: bytes = b""
    """Hash of the manifest that was found to agree with the digest ``agreed``, or of which that was the API server's answer."""
    agreed: bytes = b""
    pruned: str = ""
    """The field that the API server did not store as it was written, the last time; nothing where it stored all."""
    written_at: float = 0.0
    """When that was found, by the monotonic clock."""

    @property
    def settled(self) -> bool:
        """Whether it is as the manifest ``wanted`` says."""
        return self.agreed == self.digest and not self.foreign

    def agree(self, wanted: bytes) -> None:
        """It is as the manifest with this hash says: the copy of it is not needed any more."""
        self.wanted, self.agreed, self.live = wanted, self.digest, None


class Pod(msgspec.Struct, frozen=True, gc=False):
    """A pod, as far as the verifier and the statuses are concerned."""

    namespace: str
    name: str
    uid: str
    version: int
    node: str
    pool: str
    """The pool it serves, by its label."""
    probe: str
    """The Job it probes the network for; it serves no pool then."""
    model: str
    """The model it imports, by its labels."""
    owner: OwnerKey | None
    compliant: bool | None
    """The label: True, False, or None when it is not there."""
    phase: str
    ready: bool
    ends: int
    """Its deletionTimestamp in seconds since the epoch: when it was told to have ended by; 0 when it was not told to end."""
    grace: int
    """Seconds it has to end: its own, or those it was given when it was told to."""
    mirror: bool
    """Whether it stands for a static pod, which a kubelet runs from a file on its node."""
    finalizers: tuple[str, ...]
    pins: tuple[str, ...]
    """The policies whose approved label its nodeSelector asks for."""
    message: str
    """Why it is not running: the scheduler's or kubelet's word."""
    termination: str
    """Termination message of its first container (the importer's result)."""
    workload: str = ""
    """What it belongs to, as ``Kind/name``: its controller, or that controller's Deployment; nothing when it stands alone."""
    problems: tuple[str, ...] = ()
    """What is wrong with its spec whatever the policy."""
    images: tuple[str, ...] = ()
    """The images that it names."""
    mismatches: tuple[str, ...] = ()
    """Its containers that run another image than they name."""

    @property
    def deleting(self) -> bool:
        """Whether it was told to end."""
        return self.ends != 0


def owner_of(metadata: Manifest) -> OwnerKey | None:
    """The controller of an object."""
    for reference in metadata.get("ownerReferences") or ():
        if reference.get("controller"):
            return OwnerKey(intern(reference["kind"]), intern(reference["name"]), intern(reference["uid"]))
    return None


def _labelled_owner(labels: Mapping[str, str]) -> OwnerKey | None:
    """The owner by its labels: of a claim that outlives its model, and of a child that somebody orphaned."""
    kind = _OWNER_KINDS.get(labels.get(LABEL_COMPONENT, ""))
    return OwnerKey(kind, intern(labels.get(LABEL_INSTANCE, ""))) if kind else None


def child(manifest: Manifest, kind: str, *, agreed: bool = False) -> Child:
    """The row of an object that carries our managed-by label; ``agreed`` when it need not be compared any more."""
    metadata = manifest["metadata"]
    labels = metadata.get("labels") or {}
    probes = kind == "Job" and labels.get(LABEL_COMPONENT) == COMPONENT_PROBE
    owner = OwnerKey(PROBE_KIND, "") if probes else owner_of(metadata) or _labelled_owner(labels)
    live = orjson.dumps(governed(manifest), option=orjson.OPT_SORT_KEYS)
    return Child(
        kind=kind,
        namespace=intern(metadata.get("namespace", "")),
        name=intern(metadata["name"]),
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        owner=owner,
        digest=digest(live),
        foreign=kind not in _WRITTEN_BY_CLUSTER and _foreign(metadata),
        deleting="deletionTimestamp" in metadata,
        live=None if agreed else pack(kind, live),
        state=_state(manifest, kind),
        replicas=manifest["spec"].get("replicas") if kind == "Deployment" and _owns_replicas(metadata) else None,
    )


def digest(content: bytes) -> bytes:
    """A short hash for comparing content within this process and against memory only."""
    return hashlib.blake2b(content, digest_size=12).digest()


def governed(manifest: Manifest) -> dict[str, Any]:
    """What the operator may have written: labels, annotations, owners, and everything but metadata and status."""
    metadata = manifest["metadata"]
    result: dict[str, Any] = {key: value for key, value in manifest.items() if key not in _VOLATILE}
    result.pop("apiVersion", None)
    result.pop("kind", None)
    kept: dict[str, Any] = {
        key: metadata[key] for key in ("name", "namespace", "labels", "ownerReferences") if key in metadata
    }
    result["metadata"] = kept
    return result


def _owns_replicas(metadata: Manifest) -> bool:
    ours = (entry for entry in metadata.get("managedFields") or () if entry.get("manager") == FIELD_MANAGER)
    return any("f:replicas" in (entry.get("fieldsV1") or {}).get("f:spec", {}) for entry in ours)


def _foreign(metadata: Manifest) -> bool:
    for entry in metadata.get("managedFields") or ():
        if entry.get("manager") in (FIELD_MANAGER, SCALE_MANAGER) or entry.get("subresource"):
            continue
        if "f:spec" in (entry.get("fieldsV1") or {}):
            return True
    return False


def _state(manifest: Manifest, kind: str) -> JobState | DeploymentState | str | None:
    status = manifest.get("status") or {}
    match kind:
        case "Deployment":
            return _deployment(manifest, status)
        case "Job":
            conditions = {c["type"]: c for c in status.get("conditions") or () if c.get("status") == "True"}
            failed = conditions.get("Failed")
            return JobState(
                active=status.get("active", 0),
                failed=status.get("failed", 0),
                complete="Complete" in conditions,
                failure=(failed.get("message") or failed.get("reason") or "failed") if failed else "",
            )
        case "PersistentVolumeClaim":
            return str(status.get("phase", "Pending"))
    return None


def _deployment(manifest: Manifest, status: Manifest) -> DeploymentState:
    failure = ""
    for condition in status.get("conditions") or ():
        stuck = condition["type"] == "Progressing" and condition["status"] == "False"
        if stuck or (condition["type"] == "ReplicaFailure" and condition["status"] == "True"):
            failure = condition.get("message", "")
    return DeploymentState(
        observed=status.get("observedGeneration", 0) >= manifest["metadata"].get("generation", 0),
        replicas=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        ready=status.get("readyReplicas", 0),
        available=status.get("availableReplicas", 0),
        failure=failure,
    )


def pod(manifest: Manifest) -> Pod:
    """The row of a pod."""
    metadata, spec, status = manifest["metadata"], manifest["spec"], manifest.get("status") or {}
    labels = metadata.get("labels") or {}
    compliant = labels.get(LABEL_COMPLIANT)
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    owner = owner_of(metadata)
    probe = labels.get(LABEL_COMPONENT) == COMPONENT_PROBE and owner is not None and owner.kind == "Job"
    return Pod(
        namespace=intern(metadata["namespace"]),
        name=metadata["name"],
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        node=spec.get("nodeName", ""),
        pool="" if probe else labels.get(LABEL_POOL, ""),
        probe=owner.name if probe and owner is not None else "",
        model=labels.get(LABEL_MODEL, "") if labels.get(LABEL_COMPONENT) == "import" else "",
        owner=owner,
        compliant=None if compliant is None else compliant == "true",
        phase=status.get("phase", "Pending"),
        ready=conditions.get("Ready", {}).get("status") == "True",
        ends=_epoch(metadata.get("deletionTimestamp")),
        grace=metadata.get("deletionGracePeriodSeconds", spec.get("terminationGracePeriodSeconds", 30)),
        mirror=_MIRROR in (metadata.get("annotations") or {}),
        finalizers=tuple(metadata.get("finalizers") or ()),
        pins=tuple(policy for key in spec.get("nodeSelector") or () if (policy := approving_policy(key))),
        message=_why_not_running(status, conditions),
        termination=_termination(status),
        workload=_workload(owner, labels.get(_TEMPLATE_HASH, "")),
        problems=pod_spec.problems(manifest),
        images=pod_spec.images(spec),
        mismatches=running.mismatches(pod_spec.by_digest(spec), status),
    )


def _workload(owner: OwnerKey | None, template_hash: str) -> str:
    if owner is None:
        return ""
    if owner.kind == "ReplicaSet" and template_hash and owner.name.endswith(f"-{template_hash}"):
        return intern(f"Deployment/{owner.name.removesuffix(f'-{template_hash}')}")
    return intern(f"{owner.kind}/{owner.name}")


def _epoch(time: str | None) -> int:
    return int(datetime.fromisoformat(time).timestamp()) if time else 0


def _why_not_running(status: Manifest, conditions: Manifest) -> str:
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return str(scheduled.get("message") or scheduled.get("reason") or "")
    for container in status.get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting")
        if waiting and waiting.get("reason") != "ContainerCreating":
            return f"{waiting.get('reason', '')}: {waiting.get('message', '')}".rstrip(": ")
    return ""


def _termination(status: Manifest) -> str:
    for container in status.get("containerStatuses") or ():
        for state in ("state", "lastState"):
            terminated = (container.get(state) or {}).get("terminated")
            if terminated:
                return str(terminated.get("message") or "")
    return ""


def inherit(old: Child, new: Child) -> None:
    """Carry an agreement over to the next row of the same object, and drop the copy it makes needless."""
    if old.uid != new.uid:
        return
    new.owner = new.owner or old.owner
    if new.agreed:
        return  # it is the answer to what was just written
    new.wanted, new.agreed = old.wanted, old.agreed
    if new.settled:
        new.digest, new.live = old.agreed, None  # equal digests are kept once
        new.pruned, new.written_at = old.pruned, old.written_at
