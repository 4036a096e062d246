"""Reconciling a SovereignModel: bring its weights onto a claim, and say what is known of them."""

from typing import Any, Final, TypeVar

import msgspec
from pydantic import ValidationError

from sovereign.api.conditions import (
    IMPORTED,
    LICENSE_ACCEPTED,
    PLACEMENT_VERIFIED,
    POLICY_ACCEPTED,
    Reason,
)
from sovereign.api.model import Artifact, ModelSpec, Parameters
from sovereign.api.schema import Model
from sovereign.cluster.apply import Caches
from sovereign.cluster.queue import Key
from sovereign.cluster.rows import JobState
from sovereign.cluster.status import Condition, by_type, now
from sovereign.controllers import children
from sovereign.controllers.context import Context, Outcome
from sovereign.controllers.model_status import Import, conditions_of, invalid, placement_verified
from sovereign.controllers.objects import Object
from sovereign.plan import names
from sovereign.plan.governance import Governance
from sovereign.plan.inventory import SovereignModel
from sovereign.plan.model import ModelPlan, claim_of, existing_place, plan_model, published_path, source_hash

T = TypeVar("T", bound=Model)
_KEPT: Final = ("PersistentVolumeClaim",)
_KEPT_STATUS: Final = ("artifact", "parameters", "location", "policies")
_ANNOUNCED: Final = (IMPORTED, POLICY_ACCEPTED, LICENSE_ACCEPTED, PLACEMENT_VERIFIED)


class Result(msgspec.Struct, rename="camel", forbid_unknown_fields=False):
    """What the importer leaves as its termination message."""

    result: str = ""
    reason: str = ""
    message: str = ""
    digest: str = ""
    bytes: int = 0
    files: int = 0
    seconds: float = 0.0
    bytes_per_second: float = 0.0
    bytes_done: int = 0
    entrypoint: str = ""
    architecture: dict[str, Any] | None = None


def artifact_of(item: Object, caches: Caches) -> Artifact | None:
    """The imported weights, if the status records an import of what the spec says, onto the claim that is there now."""
    artifact = _recorded(Artifact, item.status.get("artifact"))
    if artifact is None or item.spec is None:
        return None
    if artifact.source_hash != source_hash(item.spec):
        return None
    claim = caches["PersistentVolumeClaim"].rows.get((item.owner.namespace, artifact.claim))
    if item.spec.source.uri.startswith("pvc://"):
        return artifact
    return artifact if claim is not None and claim.uid == artifact.claim_uid else None


def parameters_of(item: Object) -> Parameters | None:
    """The shape read from the weights; else what the spec states."""
    read = _recorded(Parameters, item.status.get("parameters"))
    if read is not None:
        return read
    return item.spec.parameters if item.spec is not None else None


def _recorded(kind: type[T], content: Any) -> T | None:
    """A part of a status; nothing when it is not there, or is not what the operator writes."""
    try:
        return kind.model_validate(content) if content else None
    except ValidationError:
        return None


def snapshot(item: Object, context: Context) -> SovereignModel:
    """The model as the planning core sees it."""
    store, namespace = context.store, item.owner.namespace
    claim = claim_of(item.owner.name, item.spec)
    elsewhere = store.volumes.elsewhere(namespace, claim, store.governance(namespace))
    return SovereignModel(item.owner, item.spec, artifact_of(item, context.caches), parameters_of(item), elsewhere)


class ModelController:
    """One reconcile of one model."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def reconcile(self, key: Key) -> Outcome:
        """Bring the children about, read the import's result, write the status."""
        context = self._context
        item = await children.owner(context, key)
        if item is None:
            return None
        unseen = item.unseen
        if item.spec is None:
            await self._write(item, invalid(item), None)
            later: Outcome = None
        else:
            later = await self._bring(item, context.store.governance(key.namespace))
        if unseen:
            self._pools(key)
        return later

    async def _bring(self, item: Object, governance: Governance) -> Outcome:
        context = self._context
        model = snapshot(item, context)
        plan = plan_model(model, governance, context.settings)
        artifact, parameters = model.artifact, None
        if plan.existing and plan.blocking is None:
            artifact = self._existing(item, plan)
        elif artifact is None and plan.blocking is None:
            artifact, parameters = self._finished(item, plan)
            if artifact is not None:
                plan = plan_model(msgspec.structs.replace(model, artifact=artifact), governance, context.settings)
        failure = await children.bring_about(context, item, plan.children, keep=_KEPT)
        known = context.store.volumes.known(item.owner.namespace, plan.claim)
        nowhere = not all(context.store.approved.get(policy) for policy in governance.names)
        placed = placement_verified(known, model.elsewhere, nowhere=nowhere)
        conditions = conditions_of(item, plan, artifact, self._import(item, plan, artifact), failure, placed)
        content: dict[str, Any] = {
            "location": context.store.volumes.location(item.owner.namespace, plan.claim),
            "policies": list(governance.names[: children.POLICIES_SHOWN]),
        }
        if artifact is not None:
            content["artifact"] = artifact.model_dump(by_alias=True)
        shape = parameters or parameters_of(item)
        if shape is not None:
            content["parameters"] = shape.model_dump(by_alias=True, exclude_none=True)
        later = await self._write(item, conditions, content)
        if artifact != model.artifact:
            self._pools(item.key)
        return children.outcome(failure, later)

    def _pools(self, key: Key) -> None:
        for pool in self._context.store.pools_of(key):
            self._context.queue.add(pool)

    async def _write(self, item: Object, conditions: list[Condition], content: dict[str, Any] | None) -> Outcome:
        kept = {name: value for name, value in item.status.items() if name in _KEPT_STATUS}
        before = by_type(item.status)
        later = await children.write_status(self._context, item, content if content is not None else kept, conditions)
        self._announce(item, before, conditions)
        return later

    def _announce(self, item: Object, before: dict[str, Condition], conditions: list[Condition]) -> None:
        """An Event for each turn that the import, or where the weights lie, takes for the worse."""
        for entry in conditions:
            previous = before.get(entry["type"], {})
            if entry["type"] not in _ANNOUNCED or previous.get("reason") == entry["reason"]:
                continue
            if entry["status"] == "False" and entry["reason"] != Reason.IMPORTING:
                self._context.tell(item, "Warning", Reason(entry["reason"]), entry["message"])

    def _existing(self, item: Object, plan: ModelPlan) -> Artifact:
        spec: ModelSpec = item.spec
        recorded = artifact_of(item, self._context.caches)
        path, entrypoint = existing_place(spec)
        return Artifact(
            digest=spec.digest or "",
            claim=plan.claim,
            path=path,
            entrypoint=entrypoint,
            source_hash=plan.source_hash,
            imported_at=recorded.imported_at if recorded else now(),
        )

    def _finished(self, item: Object, plan: ModelPlan) -> tuple[Artifact | None, Parameters | None]:
        """What the import job left behind, once it has succeeded and its result can be believed."""
        job = self._job(item, plan)
        if job is None or not job.complete:
            return None, None
        result = self._result(item, plan)
        claim = self._context.caches["PersistentVolumeClaim"].rows.get((item.owner.namespace, plan.claim))
        if result is None or result.result != "Imported" or claim is None:
            return None, None
        if item.spec.digest and result.digest != item.spec.digest:
            return None, None
        artifact = Artifact(
            digest=result.digest,
            claim=plan.claim,
            claim_uid=claim.uid,
            path=published_path(result.digest),
            entrypoint=result.entrypoint,
            source_hash=plan.source_hash,
            bytes=result.bytes,
            files=result.files,
            imported_at=now(),
        )
        shape = Parameters.model_validate(result.architecture) if result.architecture else None
        self._context.tell(item, "Normal", Reason.IMPORTED, _summary(result))
        return artifact, shape

    def _job(self, item: Object, plan: ModelPlan) -> JobState | None:
        name = names.import_job(item.owner.name, plan.source_hash)
        row = self._context.caches["Job"].rows.get((item.owner.namespace, name))
        return row.state if row is not None and isinstance(row.state, JobState) else None

    def _result(self, item: Object, plan: ModelPlan) -> Result | None:
        """The newest termination message of the job's pods that can be read."""
        job = names.import_job(item.owner.name, plan.source_hash)
        pods = self._context.store.pods_of(item.key)
        mine = [
            pod
            for pod in pods
            if pod.owner is not None and pod.owner.kind == "Job" and pod.owner.name == job and pod.termination
        ]
        for pod in sorted(mine, key=lambda pod: pod.version, reverse=True):
            try:
                return msgspec.json.decode(pod.termination, type=Result)
            except (msgspec.DecodeError, msgspec.ValidationError):
                continue
        return None

    def _import(self, item: Object, plan: ModelPlan, artifact: Artifact | None) -> Import:
        if plan.existing:
            return Import(True, Reason.EXISTING, f"the weights are expected on claim {plan.claim}; nothing was fetched")
        if artifact is not None:
            return Import(
                True, Reason.IMPORTED, f"{artifact.files} files, {artifact.bytes} bytes on claim {artifact.claim}"
            )
        if plan.blocking is not None:
            return Import(False, plan.blocking.reason, "not fetched: " + plan.blocking.message)
        return self._under_way(item, plan)

    def _under_way(self, item: Object, plan: ModelPlan) -> Import:
        name = names.import_job(item.owner.name, plan.source_hash)
        job, result = self._job(item, plan), self._result(item, plan)
        if job is not None and job.failure:
            reason, why = _failure(result, job.failure)
            return Import(False, reason, f"{why}; mend the cause, then delete Job {name} to try again")
        if job is not None and job.complete and result is None:
            return Import(
                False,
                Reason.IMPORTING,
                f"Job {name} ended and its result is awaited; if its pod is gone, delete the Job to import again",
            )
        if job is not None and job.complete:
            return Import(
                None,
                Reason.NOT_VERIFIED,
                f"what Job {name} imported is not what spec.digest says; delete the Job to import again",
            )
        message = f"Job {name} is fetching {item.spec.source.uri}"
        if result is not None and result.result == "Failed":
            message += (
                f"; the last attempt ended with {result.reason}: {result.message}; {result.bytes_done} bytes are kept"
            )
        waiting = self._waiting(item, name)
        return Import(False, Reason.IMPORTING, f"{message}; {waiting}" if waiting else message)

    def _waiting(self, item: Object, job: str) -> str:
        """Why the job's pod does not run, in the scheduler's or kubelet's words."""
        for pod in self._context.store.pods_of(item.key):
            if pod.owner is not None and pod.owner.name == job and pod.message:
                return pod.message
        return ""


def _summary(result: Result) -> str:
    rate = f", {result.bytes_per_second / 1e6:.0f} MB/s" if result.bytes_per_second else ""
    return f"{result.files} files, {result.bytes} bytes in {result.seconds:.0f} s{rate}; manifest {result.digest}"


def _reason(result: Result) -> Reason:
    return Reason(result.reason) if result.reason in Reason._value2member_map_ else Reason.IMPORT_FAILED


def _failure(result: Result | None, job: str) -> tuple[Reason, str]:
    if result is None or not result.reason:
        return Reason.IMPORT_FAILED, job
    return _reason(result), result.message
