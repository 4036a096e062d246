"""The plan for an InferencePool."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sovereign.api.conditions import Reason
from sovereign.api.pool import Sizing
from sovereign.plan import gpus
from sovereign.plan.autoscaler import autoscaler, metric_verdict
from sovereign.plan.deployment import deployment, selector
from sovereign.plan.disruption import disruption_budget
from sovereign.plan.engine import CommandLine, Replica, command_line, override_verdicts, weights_verdict
from sovereign.plan.governance import Governance
from sovereign.plan.gpus import GpuPlan
from sovereign.plan.inventory import InferencePool, Manifest, Node, Runtime, Settings, SovereignModel
from sovereign.plan.network import serving_policy
from sovereign.plan.placement import narrowing
from sovereign.plan.service import endpoint, service
from sovereign.plan.serviceaccount import service_account
from sovereign.plan.templates import InvalidTemplateError
from sovereign.plan.verdict import Verdict, first_failure


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """What should be there for a pool."""

    children: tuple[Manifest, ...]
    """In the order in which they are to be applied: the network is closed before the first pod starts. Empty when something blocks;
    without Deployment and autoscaler while the pool waits for its model."""
    verdicts: tuple[Verdict, ...]
    """Every rule that was looked at, in order. Not every failure blocks: a pool that finds no node or may not fit is still made."""
    blocking: Verdict | None
    """The first rule that stops planning."""
    waiting: Verdict | None
    """What the pool waits for, when nothing blocks."""
    sizing: Sizing | None
    """What one replica needs, when it could be computed."""
    sized: Verdict
    """Whether the model fits its accelerators."""
    selector: dict[str, str]
    """The labels that select the pool's pods."""
    endpoint: str
    """Where the model answers; empty while the runtime is not known."""
    replicas: int | None
    """How many pods are wanted; None when the autoscaler decides."""
    stopped: Verdict | None = None
    """Why nothing may run although the pool is not suspended. It runs again when this has ended."""


def plan_pool(
    pool: InferencePool,
    model: SovereignModel | None,
    runtime: Runtime | None,
    governance: Governance,
    nodes: Sequence[Node],
    settings: Settings,
    previous_gpus: int | None = None,
) -> PoolPlan:
    """What should be there for ``pool``.

    Args:
        pool: the pool.
        model: the SovereignModel that it names, or None when there is none.
        runtime: the InferenceRuntime that it names, or None when there is none.
        governance: the policies of its namespace.
        nodes: the nodes that all of them approve.
        settings: what the installation decides.
        previous_gpus: GPUs of one replica as last planned; kept while they will do (see ``plan.gpus``).
    """
    verdicts = _gates(pool, model, runtime, governance)
    plan = PoolPlan(
        children=(),
        verdicts=tuple(verdicts),
        blocking=first_failure(verdicts),
        waiting=None,
        sizing=None,
        sized=_not_computed(),
        selector=selector(pool),
        endpoint=endpoint(pool, runtime, settings) if runtime else "",
        replicas=_replicas(pool, model),
        stopped=_stopped(model),
    )
    if plan.blocking is not None or model is None or runtime is None:
        return plan
    candidates = gpus.candidates(nodes, pool)
    planned = gpus.plan_gpus(pool, model, runtime, candidates, previous_gpus)
    verdicts.append(planned.blocking or planned.sized)
    if planned.blocking is not None:
        return replace(plan, verdicts=tuple(verdicts), blocking=planned.blocking, sized=planned.sized)
    verdicts.append(gpus.availability(pool, candidates, planned.layout.gpus))
    verdicts.append(weights_verdict(model, runtime))
    return _with_children(plan, verdicts, _replica(pool, model, runtime, planned), planned, governance, settings)


def _with_children(
    plan: PoolPlan,
    verdicts: list[Verdict],
    replica: Replica,
    planned: GpuPlan,
    governance: Governance,
    settings: Settings,
) -> PoolPlan:
    ready = verdicts[-1]
    waiting = ready if ready.reason == Reason.WAITING_FOR_MODEL else None
    blocking = ready if not ready.ok and waiting is None else None
    children: list[Manifest] = []
    if blocking is None:
        children = _surroundings(replica, governance, settings)
    if ready.ok:
        rendered = _rendered(replica)
        if isinstance(rendered, Verdict):
            verdicts.append(rendered)
            blocking, children = rendered, []
        else:
            children += _workload(replica, rendered, governance, settings, plan.replicas)
    return replace(
        plan,
        children=tuple(children),
        verdicts=tuple(verdicts),
        blocking=blocking,
        waiting=waiting,
        sizing=planned.sizing,
        sized=planned.sized,
    )


# --- gates --------------------------------------------------------------------------------------------


def _gates(
    pool: InferencePool, model: SovereignModel | None, runtime: Runtime | None, governance: Governance
) -> list[Verdict]:
    """The rules that block; as many as can be judged, so that a user sees all that is wrong at once."""
    verdicts = [_governed(governance), _runtime_found(pool, runtime), _model_found(pool, model)]
    if runtime is not None:
        verdicts.append(_image(pool, runtime, governance))
        verdicts.extend(override_verdicts(pool, runtime))
        verdicts.append(metric_verdict(pool, runtime))
    if runtime is not None and model is not None:
        verdicts.append(_format(model, runtime))
    verdicts.append(narrowing(pool.spec.placement, governance))
    return verdicts


def _governed(governance: Governance) -> Verdict:
    if governance.governed:
        return Verdict(True, "namespaceSelector", Reason.POLICY_ACCEPTED)
    message = (
        "no SovereigntyPolicy selects this namespace, so nothing may run in it; label the namespace as a policy's namespaceSelector "
        "says, or write a policy"
    )
    return Verdict(False, "namespaceSelector", Reason.NO_POLICY, message)


def _runtime_found(pool: InferencePool, runtime: Runtime | None) -> Verdict:
    rule, name = "runtime.name", pool.spec.runtime.name
    if runtime is not None:
        return Verdict(True, rule, Reason.READY)
    message = f"there is no InferenceRuntime {name}; create it, or use vllm, sglang, llama-cpp, tgi or ollama"
    return Verdict(False, rule, Reason.RUNTIME_NOT_FOUND, message, name)


def _model_found(pool: InferencePool, model: SovereignModel | None) -> Verdict:
    rule, name = "modelRef.name", pool.spec.model_ref.name
    if model is not None:
        return Verdict(True, rule, Reason.READY)
    message = (
        f"there is no SovereignModel {name} in namespace {pool.owner.namespace}; create it, or correct modelRef.name"
    )
    return Verdict(False, rule, Reason.MODEL_NOT_FOUND, message, name)


def _image(pool: InferencePool, runtime: Runtime, governance: Governance) -> Verdict:
    image = image_of(pool, runtime)
    if image:
        return governance.check_image(image)
    message = f"runtime {runtime.name} names no image; set runtime.image to one by digest, or spec.image of the InferenceRuntime"
    return Verdict(False, "runtime.image", Reason.IMAGE_REQUIRED, message)


def image_of(pool: InferencePool, runtime: Runtime) -> str:
    """The image that the pool runs: its own, else the runtime's, else nothing."""
    return pool.spec.runtime.image or runtime.spec.image or ""


def _format(model: SovereignModel, runtime: Runtime) -> Verdict:
    wanted, formats = model.spec.format, runtime.spec.formats
    if wanted in formats:
        return Verdict(True, "runtime.name", Reason.READY)
    message = (
        f"runtime {runtime.name} loads {' or '.join(formats)}, but SovereignModel {model.owner.name} is {wanted}; "
        "choose another runtime"
    )
    return Verdict(False, "runtime.name", Reason.FORMAT_NOT_SUPPORTED, message, wanted)


def _not_computed() -> Verdict:
    return Verdict(
        False, "accelerator.count", Reason.SIZE_UNKNOWN, "not computed, because something else stops the pool first"
    )


# --- children -----------------------------------------------------------------------------------------


def _stopped(model: SovereignModel | None) -> Verdict | None:
    """The volume with the weights is where a policy wants nothing to mount it."""
    found = model.elsewhere if model is not None else None
    return Verdict(False, found.rule, found.reason, found.message) if found is not None and found.stops else None


def _replicas(pool: InferencePool, model: SovereignModel | None) -> int | None:
    if pool.spec.suspend or _stopped(model) is not None:
        return 0
    if pool.spec.autoscaling is not None:
        return None
    return 1 if pool.spec.replicas is None else pool.spec.replicas


def _replica(pool: InferencePool, model: SovereignModel, runtime: Runtime, planned: GpuPlan) -> Replica:
    return Replica(pool, model, runtime, image_of(pool, runtime), planned.layout)


def _rendered(replica: Replica) -> CommandLine | Verdict:
    try:
        return command_line(replica)
    except InvalidTemplateError as error:
        message = f"InferenceRuntime {replica.runtime.name}: {error}"
        return Verdict(False, "runtime.name", Reason.INVALID_TEMPLATE, message, replica.runtime.name)


def _surroundings(replica: Replica, governance: Governance, settings: Settings) -> list[Manifest]:
    """What can be there before the pods, and has to be before they start."""
    pool, runtime = replica.pool, replica.runtime
    return [
        service_account(pool),
        serving_policy(pool, runtime, governance, settings),
        service(pool, runtime),
        disruption_budget(pool),
    ]


def _workload(
    replica: Replica,
    command: CommandLine,
    governance: Governance,
    settings: Settings,
    replicas: int | None,
) -> list[Manifest]:
    pool = replica.pool
    workload = [deployment(replica, command, governance, settings, replicas)]
    if pool.spec.autoscaling is not None and replicas is None:
        workload.append(autoscaler(pool, replica.runtime, pool.spec.autoscaling))
    return workload
