"""Objects of our kinds, as the store keeps them: the spec understood or its problem told, and both spec and status packed."""

import json
from collections.abc import Mapping
from functools import lru_cache
from sys import intern
from typing import Any, Final, NamedTuple

import msgspec
import orjson
from pydantic import ValidationError

from sovereign.api.kinds import BY_KIND
from sovereign.cluster.forms import Metadata, Typed
from sovereign.cluster.packed import Packed, pack
from sovereign.cluster.queue import Key
from sovereign.plan.inventory import Owner
from sovereign.plan.model import claim_of

POLICY: Final = "SovereigntyPolicy"
MODEL: Final = "SovereignModel"
POOL: Final = "InferencePool"
RUNTIME: Final = "InferenceRuntime"
_NO_LABELS: Final[Mapping[str, str]] = {}
_RECENT: Final = 64
"""Specs and statuses that are kept unpacked: a reconcile reads them several times."""


class Reference(NamedTuple):
    """What objects of ours refer to by name."""

    kind: str
    """Of those that refer."""
    namespace: str
    name: str


class Object(msgspec.Struct, gc=False):
    """One of our objects. Spec and status are kept as packed JSON: as models and dictionaries they take twenty times as much."""

    owner: Owner
    packed_spec: Packed
    problem: str
    """Why the spec cannot be understood."""
    packed_status: Packed
    version: int
    deleting: bool
    reference: Reference | None
    """What its spec refers to: a pool to its model, a model to its claim."""
    runtime: str = ""
    """The InferenceRuntime that a pool names."""
    written_at: float = 0.0
    """When its status was last written, by the monotonic clock."""
    answer: tuple[dict[str, Any], dict[str, Any]] | None = None
    """The status that was written last and the one that the API server stored, where they differ."""

    @property
    def key(self) -> Key:
        """Its key in the queue."""
        return Key(self.owner.kind, self.owner.namespace, self.owner.name)

    @property
    def unseen(self) -> bool:
        """Whether it was never reconciled, and will be."""
        return not self.status and not self.written_at and not self.deleting

    @property
    def namespace(self) -> str:
        """Namespace, or nothing."""
        return self.owner.namespace

    @property
    def name(self) -> str:
        """Name."""
        return self.owner.name

    @property
    def spec(self) -> Any:
        """The typed spec, or None when it cannot be understood."""
        return None if self.problem else _spec(self.owner.kind, self.packed_spec)

    @property
    def status(self) -> dict[str, Any]:
        """The status; what is changed in it is not kept."""
        return _status(self.packed_status)

    @status.setter
    def status(self, status: dict[str, Any]) -> None:
        self.packed_status = pack(f"{self.owner.kind}/status", _json(status))


@lru_cache(_RECENT)
def _spec(kind: str, packed: Packed) -> Any:
    return BY_KIND[kind].parse({"spec": orjson.loads(packed.read())})


@lru_cache(_RECENT)
def _status(packed: Packed) -> dict[str, Any]:
    return orjson.loads(packed.read())  # type: ignore[no-any-return]


def _json(content: Any) -> bytes:
    try:
        return orjson.dumps(content)
    except TypeError:  # a number of more than 64 bits, which validation has an opinion on
        return json.dumps(content).encode()


class _Metadata(Metadata):
    uid: str = ""
    generation: int = 0
    labels: dict[str, str] | None = None
    ending: str | None = msgspec.field(name="deletionTimestamp", default=None)


class _Shape(msgspec.Struct):
    """What is read of an object of ours. Half of its JSON is managedFields, which are passed over."""

    metadata: _Metadata
    kind: str = ""
    spec: msgspec.Raw = msgspec.Raw(b"{}")
    status: msgspec.Raw = msgspec.Raw(b"{}")


def _read(shape: _Shape) -> Object:
    return _object(shape.kind, shape.metadata, _there(shape.spec), _there(shape.status))


OBJECTS: Final = Typed(_Shape, _read)
"""Objects of ours as a reflector reads them."""


def decode(body: Mapping[str, Any]) -> Object:
    """One of our objects as the API server sends it, read into a dictionary already."""
    metadata = msgspec.convert(body["metadata"], _Metadata, strict=False)
    return _object(body["kind"], metadata, _json(body.get("spec") or {}), _json(body.get("status") or {}))


def _there(content: msgspec.Raw) -> bytes:
    found = bytes(content)  # Raw is never equal to bytes
    return b"{}" if found == b"null" else found


def _object(kind: str, metadata: _Metadata, spec: bytes, status: bytes) -> Object:
    owner = Owner(
        kind=intern(kind),
        name=intern(metadata.name),
        uid=intern(metadata.uid),
        namespace=intern(metadata.namespace),
        generation=metadata.generation,
        labels=metadata.labels or _NO_LABELS,
    )
    packed, problem, reference, runtime = pack(f"{kind}/spec", spec), "", None, ""
    try:
        understood = _spec(kind, packed)
        reference = _reference(owner, understood)
        runtime = intern(understood.runtime.name) if kind == POOL else ""
    except ValidationError as error:
        problem = "; ".join(_complaint(detail) for detail in error.errors()[:5])
    return Object(
        owner=owner,
        packed_spec=packed,
        problem=problem,
        packed_status=pack(f"{kind}/status", status),
        version=metadata.version,
        deleting=metadata.ending is not None,
        reference=reference,
        runtime=runtime,
    )


def _complaint(detail: Any) -> str:
    where = ".".join(("spec", *(str(part) for part in detail["loc"])))
    return f"{where}: {detail['msg'].removeprefix('Value error, ')}"


def _reference(owner: Owner, spec: Any) -> Reference | None:
    match owner.kind:
        case "InferencePool":
            return Reference(owner.kind, owner.namespace, intern(spec.model_ref.name))
        case "SovereignModel":
            return Reference(owner.kind, owner.namespace, intern(claim_of(owner.name, spec)))
    return None
