"""Conditions as kstatus reads them, and the reasons that may stand in them."""

from enum import StrEnum
from typing import Final, Literal

from pydantic import Field

from sovereign.api.schema import Model

Status = Literal["True", "False", "Unknown"]


class Reason(StrEnum):
    """Every reason that a condition, an Event or a verdict may carry. The value's comment is its meaning."""

    READY = "Ready"  #: everything that was asked for is there and verified
    SUCCEEDED = "Succeeded"  #: the step is done
    PROGRESSING = "Progressing"  #: work is under way
    SUSPENDED = "Suspended"  #: spec.suspend is true; nothing runs
    NO_POLICY = "NoPolicy"  #: no SovereigntyPolicy selects the namespace, so nothing may run in it
    POLICY_ACCEPTED = "PolicyAccepted"  #: every policy of the namespace admits the object
    POLICY_CONFLICT = "PolicyConflict"  #: the object asks for what a policy of its namespace does not admit
    EMPTY_INTERSECTION = "EmptyIntersection"  #: the policies of a namespace leave no node that all of them approve
    INVALID_SPEC = "InvalidSpec"  #: the object cannot be understood; the message says what to change
    NO_APPROVED_NODE = (
        "NoApprovedNode"  #: no node satisfies the policy; the message says which rule rejected which node
    )
    INSUFFICIENT_ACCELERATORS = (
        "InsufficientAccelerators"  #: approved nodes exist, but none has the GPUs that a replica needs
    )
    ENFORCED = "Enforced"  #: the admission objects are in place, and refused what was tried
    AUDIT_ONLY = "AuditOnly"  #: the policy reports and refuses nothing
    TOO_MANY_NODES = "TooManyNodes"  #: more approved nodes than admission objects can hold
    APPLY_FAILED = "ApplyFailed"  #: the API server refused a child; the message is the server's
    CHILD_CONFLICT = "ChildConflict"  #: an object with a child's name exists and belongs to somebody else
    SOURCE_NOT_ALLOWED = "SourceNotAllowed"  #: the policy does not list the model's source
    FORMAT_NOT_ALLOWED = "FormatNotAllowed"  #: the policy does not list the model's format
    ENDPOINT_REQUIRED = "EndpointRequired"  #: the source needs an endpoint, and neither model nor policy names one
    ENDPOINT_NOT_ALLOWED = "EndpointNotAllowed"  #: the model names another endpoint than the policy does
    DIGEST_REQUIRED = "DigestRequired"  #: the policy wants a digest, and the model states none
    DIGEST_MISMATCH = "DigestMismatch"  #: what the source sent is not what spec.digest says
    SIZE_MISMATCH = "SizeMismatch"  #: a file has another size than the manifest says
    LICENSE_DENIED = "LicenseDenied"  #: the policy does not allow the model's licence
    LICENSE_UNKNOWN = "LicenseUnknown"  #: the model states no licence
    LICENSE_ACCEPTED = "LicenseAccepted"  #: the policy allows the model's licence
    STORAGE_CLASS_NOT_ALLOWED = "StorageClassNotAllowed"  #: the policy does not list the storage class
    IMAGE_NOT_ALLOWED = "ImageNotAllowed"  #: the policy does not list the image's registry, or the digest is missing
    IMAGE_REQUIRED = "ImageRequired"  #: neither the pool nor its runtime names an image
    OVERRIDE_NOT_ALLOWED = (
        "OverrideNotAllowed"  #: the runtime does not list the argument or variable among its overrides
    )
    INVALID_TEMPLATE = "InvalidTemplate"  #: a template of the runtime cannot be rendered
    PLACEMENT_NOT_ALLOWED = (
        "PlacementNotAllowed"  #: the pool asks for a jurisdiction or region that the policy does not have
    )
    IMPORTED = "Imported"  #: the weights are complete and published on the claim
    IMPORTING = "Importing"  #: the import job is running
    IMPORT_FAILED = "ImportFailed"  #: the import ended with an error that trying again will not mend
    EXISTING = "Existing"  #: the weights lie on a claim that was there before
    VERIFIED = "Verified"  #: every file has the size and SHA-256 of the manifest, whose digest is spec.digest
    DIGEST_NOT_PINNED = (
        "DigestNotPinned"  #: the weights were hashed, but spec.digest is not set, so nothing was compared
    )
    NOT_VERIFIED = "NotVerified"  #: the operator has not seen these weights hashed
    SOURCE_NOT_FOUND = "SourceNotFound"  #: the source, or a file of it, is not there
    SOURCE_UNREACHABLE = "SourceUnreachable"  #: the source does not answer
    SOURCE_CHANGED = "SourceChanged"  #: a file changed while it was being fetched
    SOURCE_INVALID = "SourceInvalid"  #: what the source answers cannot be understood
    ACCESS_DENIED = "AccessDenied"  #: the source refuses the credentials
    UNSAFE_FILE = "UnsafeFile"  #: the source holds code, pickles, links or paths outside the model
    INVALID_WEIGHTS = "InvalidWeights"  #: a weights file is damaged or not of its format
    INSUFFICIENT_STORAGE = "InsufficientStorage"  #: the claim is too small
    STORAGE_FAILED = "StorageFailed"  #: the claim cannot be written or read; the import is tried again
    INTERNAL_ERROR = "InternalError"  #: the importer failed where it should not have; the import is tried again
    MANIFEST_REQUIRED = "ManifestRequired"  #: the source has no listing, so it needs a sovereign.manifest.json
    INTERRUPTED = "Interrupted"  #: the import was stopped and goes on at the next attempt
    MODEL_NOT_FOUND = "ModelNotFound"  #: modelRef names a model that is not there
    WAITING_FOR_MODEL = "WaitingForModel"  #: the model is not imported yet
    RUNTIME_NOT_FOUND = "RuntimeNotFound"  #: runtime.name names an InferenceRuntime that is not there
    FORMAT_NOT_SUPPORTED = "FormatNotSupported"  #: the runtime cannot load the model's format
    SIZED = "Sized"  #: the model fits the accelerators
    DOES_NOT_FIT = "DoesNotFit"  #: by the estimate the model does not fit the accelerators
    SIZE_UNKNOWN = "SizeUnknown"  #: weights' size or GPU memory are not known, so nothing was computed
    COUNT_REQUIRED = "CountRequired"  #: the GPU count cannot be planned; state accelerator.count
    AVAILABLE = "Available"  #: the wanted replicas are ready
    UNAVAILABLE = "Unavailable"  #: fewer replicas are ready than wanted
    PLACED = "Placed"  #: every pod is on an approved node
    UNLAWFUL_PLACEMENT = "UnlawfulPlacement"  #: a pod is on a node that is not approved
    NOT_PROBED = "NotProbed"  #: network policies are in place, and nothing has yet shown that the network obeys them
    EGRESS_REFUSED = (
        "EgressRefused"  #: a pod like the pool's could not reach a listener that others reach, on each of its nodes
    )
    EGRESS_REACHABLE = "EgressReachable"  #: a pod like the pool's reached a listener that no network policy grants
    EGRESS_GRANTED = (
        "EgressGranted"  #: the policies grant egress to the listener of the network probe, so reaching it shows nothing
    )
    PROBE_FAILED = "ProbeFailed"  #: the network probe could not be made, or showed nothing; the message says why
    EVICTED = "Evicted"  #: a pod in the wrong place was evicted
    DELETED = "Deleted"  #: a pod in the wrong place was deleted, because its eviction was refused for too long
    REPAIR_BLOCKED = "RepairBlocked"  #: a pod in the wrong place could not be removed; the message says what blocks
    DRIFT_REPAIRED = "DriftRepaired"  #: a child was changed by somebody else and has been put back
    STATIC_POD = (
        "StaticPod"  #: a kubelet has a static pod for a governed namespace, which no rule of the API server stops
    )
    NODE_FACT_MISMATCH = "NodeFactMismatch"  #: a node's own region label contradicts its fact
    IDENTITY_CHANGED = (
        "IdentityChanged"  #: another machine has a node's name; its facts were withdrawn until they are set again
    )
    UNLAWFUL_POD = "UnlawfulPod"  #: a pod is there that the policy's rules would refuse
    UNLAWFUL_OBJECT = (
        "UnlawfulObject"  #: a Service, NetworkPolicy or claim is there that the policy's rules would refuse
    )
    DEDICATED_NODE = "DedicatedNode"  #: a pod of an ungoverned namespace is on a node dedicated to governed ones
    IMAGE_MISMATCH = "ImageMismatch"  #: a container runs another image than its pod names
    VOLUME_ELSEWHERE = "VolumeElsewhere"  #: a volume lies, or may lie, where no node is approved
    SCALED_TO_ZERO = "ScaledToZero"  #: a pool was stopped because a pod of it stood where it may not
    CANARY_ACCEPTED = "CanaryAccepted"  #: the API server accepted a request that a rule must refuse
    CANARY_UNANSWERED = "CanaryUnanswered"  #: the API server did not say whether a rule refuses
    CANARY_UNGUARDED = "CanaryUnguarded"  #: the canaries' account is not held to dry runs any more
    FIELD_PRUNED = (
        "FieldPruned"  #: the API server dropped a field that was written, so it is older than the operator needs
    )
    NAMESPACE_RELEASED = "NamespaceReleased"  #: a namespace lost the labels by which a policy governed it


class Condition(Model):
    """One condition of an object's status, as in ``metav1.Condition``."""

    type: str = Field(max_length=64, description="What the condition is about.")
    status: Status = Field(description="True, False or Unknown.")
    reason: str = Field(max_length=64, description="Why, as one CamelCase word of the documented list.")
    message: str = Field(default="", max_length=4096, description="Why, in words, and what to do. Default: empty.")
    observed_generation: int = Field(
        default=0, ge=0, description="The metadata.generation that was judged. Default: 0."
    )
    last_transition_time: str = Field(
        default="",
        max_length=32,
        description="When status last changed, RFC 3339 in UTC.",
        json_schema_extra={"format": "date-time"},
    )


READY: Final = "Ready"
RECONCILING: Final = "Reconciling"
STALLED: Final = "Stalled"
ENFORCED: Final = "Enforced"
POLICY_ACCEPTED: Final = "PolicyAccepted"
LICENSE_ACCEPTED: Final = "LicenseAccepted"
IMPORTED: Final = "Imported"
VERIFIED: Final = "Verified"
SIZED: Final = "Sized"
PLACEMENT_VERIFIED: Final = "PlacementVerified"
NETWORK_ENFORCED: Final = "NetworkEnforced"
AVAILABLE: Final = "Available"
