"""The Deployment of a pool.

Its pod template is a promise: as long as pool, model, runtime and the names of the policies stay the same, so does the template, from one
version of the operator to the next. Changing it restarts every model pod of every user; golden templates in the tests hold it.
"""

from typing import Any, Final

from sovereign.api.meta import LABEL_COMPLIANT, LABEL_MODEL, LABEL_POOL
from sovereign.api.runtime import Probe, RuntimeSpec
from sovereign.plan import names
from sovereign.plan.children import child, labels
from sovereign.plan.engine import HOME, CommandLine, Replica
from sovereign.plan.governance import Governance
from sovereign.plan.inventory import InferencePool, Manifest, Settings
from sovereign.plan.quantity import canonical
from sovereign.plan.scheduling import scheduling
from sovereign.plan.sizing import startup_seconds, weights_bytes

COMPONENT: Final = "serving"
CONTAINER: Final = "engine"
PORT_NAME: Final = "http"
USER_ID: Final = 65532
"""User and group of engine and importer alike: on local volumes, pods of different fsGroups cannot share a claim."""
SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 - a volume of the pod's own
TEMPORARY: Final = "/tmp"  # noqa: S108 - a volume of the pod's own
_VERSION_LABEL: Final = "app.kubernetes.io/version"
_DEADLINE_MARGIN: Final = 600
"""Seconds for scheduling, mounting and pulling the image, besides the start-up of the engine."""


def selector(pool: InferencePool) -> dict[str, str]:
    """The labels that select the pool's pods. A Deployment's selector cannot be changed, so it is the shortest possible."""
    return {LABEL_POOL: pool.owner.name}


def deployment(
    replica: Replica,
    command: CommandLine,
    governance: Governance,
    settings: Settings,
    replicas: int | None,
) -> Manifest:
    """The Deployment; without ``replicas`` when an autoscaler owns the number."""
    pool = replica.pool
    size = {} if replicas is None else {"replicas": replicas}
    return child(
        "apps/v1",
        "Deployment",
        pool.owner.name,
        pool.owner,
        component=COMPONENT,
        extra_labels=_own_labels(pool),
        spec={
            **size,
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": _startup_budget(replica) + _DEADLINE_MARGIN,
            "selector": {"matchLabels": selector(pool)},
            "strategy": _strategy(replica),
            "template": {
                "metadata": {"labels": pod_labels(pool)},
                "spec": _pod(replica, command, governance, settings),
            },
        },
    )


def _own_labels(pool: InferencePool) -> dict[str, str]:
    return {LABEL_POOL: pool.owner.name, LABEL_MODEL: pool.spec.model_ref.name}


def pod_labels(pool: InferencePool) -> dict[str, str]:
    """The labels of the pool's pods."""
    copied = labels(pool.owner, COMPONENT)
    # A new chart version of the user's must not restart the model.
    copied.pop(_VERSION_LABEL, None)
    return copied | _own_labels(pool) | {LABEL_COMPLIANT: "true"}


def _strategy(replica: Replica) -> dict[str, Any]:
    wanted = replica.pool.spec.rollout.strategy
    surge = wanted == "Surge" or (wanted == "Auto" and replica.layout.gpus == 0)
    # A new replica that waits for the GPU of the old one, which waits for the new one, waits for ever.
    rolling = {"maxSurge": 1, "maxUnavailable": 0} if surge else {"maxSurge": 0, "maxUnavailable": 1}
    return {"type": "RollingUpdate", "rollingUpdate": rolling}


def _pod(replica: Replica, command: CommandLine, governance: Governance, settings: Settings) -> dict[str, Any]:
    pool, runtime = replica.pool, replica.runtime.spec
    pod: dict[str, Any] = {
        "serviceAccountName": names.serving(pool.owner.name),
        "automountServiceAccountToken": False,
        # A Service named vllm would set VLLM_PORT, which vLLM reads.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": runtime.drain.grace_period_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **scheduling(pool, governance, replica.layout.gpus),
        "containers": [_container(replica, command)],
        "volumes": _volumes(replica),
    }
    if settings.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in settings.image_pull_secrets]
    return pod


def _container(replica: Replica, command: CommandLine) -> dict[str, Any]:
    runtime = replica.runtime.spec
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": replica.image,
        "imagePullPolicy": "IfNotPresent",
        "env": command.env,
        "ports": [{"name": PORT_NAME, "containerPort": runtime.port, "protocol": "TCP"}],
        "resources": _resources(replica),
        "startupProbe": _probe(runtime.probes.startup, failures=_startup_failures(replica)),
        "readinessProbe": _probe(runtime.probes.readiness),
        "livenessProbe": _probe(runtime.probes.liveness),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": _mounts(replica),
    }
    if command.args:
        container["args"] = command.args
    if runtime.command:
        container["command"] = list(runtime.command)
    if runtime.drain.pre_stop_seconds:
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": runtime.drain.pre_stop_seconds}}}
    return container


def _resources(replica: Replica) -> dict[str, Any]:
    wanted = replica.pool.spec.resources
    memory = canonical(wanted.memory)
    requests, limits = {"cpu": canonical(wanted.cpu), "memory": memory}, {"memory": memory}
    if replica.layout.gpus:
        resource, count = replica.pool.spec.accelerator.resource_name, str(replica.layout.gpus)
        requests[resource] = limits[resource] = count
    return {"requests": requests, "limits": limits}


def _startup_failures(replica: Replica) -> int:
    probe = replica.runtime.spec.probes.startup
    budget = startup_seconds(weights_bytes(replica.model) or 0)
    return max(-(-budget // probe.period_seconds), probe.failure_threshold)


def _startup_budget(replica: Replica) -> int:
    return _startup_failures(replica) * replica.runtime.spec.probes.startup.period_seconds


def _probe(probe: Probe, failures: int | None = None) -> dict[str, Any]:
    return {
        "httpGet": {"path": probe.path, "port": PORT_NAME, "scheme": "HTTP"},
        "periodSeconds": probe.period_seconds,
        "timeoutSeconds": probe.timeout_seconds,
        "failureThreshold": failures or probe.failure_threshold,
    }


# --- volumes ------------------------------------------------------------------------------------------


def _volumes(replica: Replica) -> list[dict[str, Any]]:
    artifact = replica.model.artifact
    if artifact is None:
        raise ValueError(f"SovereignModel {replica.model.owner.name} has no weights to mount")
    shared = {"medium": "Memory", "sizeLimit": _shared_memory(replica)}
    return [
        # Not readOnly here: of two pods on one local volume, the second would fail to mount it.
        {"name": "weights", "persistentVolumeClaim": {"claimName": artifact.claim}},
        {"name": "shared-memory", "emptyDir": shared},
        {"name": "tmp", "emptyDir": {}},
        {"name": "home", "emptyDir": {}},
        *({"name": name, "emptyDir": {}} for name, _ in _writable(replica.runtime.spec)),
    ]


def _mounts(replica: Replica) -> list[dict[str, Any]]:
    weights: dict[str, Any] = {"name": "weights", "mountPath": replica.folder, "readOnly": True}
    if replica.model.artifact is not None and replica.model.artifact.path:
        weights["subPath"] = replica.model.artifact.path
    return [
        weights,
        {"name": "shared-memory", "mountPath": SHARED_MEMORY},
        {"name": "tmp", "mountPath": TEMPORARY},
        {"name": "home", "mountPath": HOME},
        *({"name": name, "mountPath": path} for name, path in _writable(replica.runtime.spec)),
    ]


def _writable(runtime: RuntimeSpec) -> list[tuple[str, str]]:
    """Names and paths of the runtime's own folders; sorted, because they are a set."""
    own = sorted({*runtime.writable_paths} - {SHARED_MEMORY, TEMPORARY, HOME})
    return [(f"writable-{index}", path) for index, path in enumerate(own)]


def _shared_memory(replica: Replica) -> str:
    stated = replica.pool.spec.resources.shared_memory
    if stated is not None:
        return canonical(stated)
    gpus = replica.layout.gpus
    return "256Mi" if gpus == 0 else "2Gi" if gpus == 1 else "8Gi"
