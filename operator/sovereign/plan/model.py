"""The plan for a SovereignModel: its claim, and while it is imported the job, its identity and its network."""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import orjson

from sovereign.api.conditions import Reason
from sovereign.api.meta import LABEL_MODEL, approved_label
from sovereign.api.model import ModelSpec
from sovereign.plan import names
from sovereign.plan.children import child, labels
from sovereign.plan.governance import Governance
from sovereign.plan.inventory import Manifest, Settings, SovereignModel
from sovereign.plan.network import import_policy
from sovereign.plan.verdict import Verdict, first_failure

COMPONENT: Final = "import"
FILE_SYSTEM_GROUP: Final = 65532
"""Everything that mounts weights has this group: on local volumes pods with different groups cannot share a claim."""
IMPORT_DEADLINE: Final = 7 * 24 * 3600
"""Seconds after which an import is given up."""
PERMANENT_FAILURE: Final = 3
"""The importer's exit code for what trying again will not mend."""
_VOLUME: Final = "/weights"
_CREDENTIALS: Final = "/credentials"


@dataclass(frozen=True)
class ModelPlan:
    """What should be there for a model."""

    children: tuple[Manifest, ...]
    verdicts: tuple[Verdict, ...]
    license: Verdict
    claim: str
    """The claim that holds, or will hold, the weights."""
    source_hash: str
    """Identifies what is imported: another source, format or digest is another import."""
    existing: bool
    """Whether the weights lie on a claim that the operator does not make."""
    storage: Verdict
    """Whether enforced policies want the weights, which are not there yet, where the claim's volume lies."""

    @property
    def blocking(self) -> Verdict | None:
        """The first rule that forbids the import."""
        return first_failure([*self.verdicts, self.license, self.storage])


def source_hash(spec: ModelSpec) -> str:
    """A hash over all that decides what is imported (32 hex digits)."""
    source = spec.source
    content = [source.uri, source.revision, source.endpoint, source.include, source.exclude, spec.format, spec.digest]
    return hashlib.sha256(orjson.dumps(content)).hexdigest()[:32]


def plan_model(model: SovereignModel, governance: Governance, settings: Settings) -> ModelPlan:
    """The children of ``model`` in the namespace that ``governance`` is about.

    Once the weights are imported only the claim is wanted: job, identity and network of the import go, so that nothing can
    reach the source any more. They are not wanted either while the claim's volume lies where an enforced policy
    does not want it.
    """
    spec = model.spec
    existing = spec.source.uri.startswith("pvc://")
    claim = claim_of(model.owner.name, spec)
    identity = source_hash(spec)
    verdicts = _verdicts(spec, governance, settings, existing=existing)
    license_ = governance.check_license(spec.license)
    storage = _storage(model)
    children: list[Manifest] = []
    if not existing and first_failure([*verdicts, license_]) is None:
        children.append(_claim(model))
        if model.artifact is None and storage.ok:
            children += [
                import_policy(model, governance, settings),
                _service_account(model),
                _job(model, governance, settings, identity),
            ]
    return ModelPlan(tuple(children), tuple(verdicts), license_, claim, identity, existing, storage)


def claim_of(name: str, spec: ModelSpec) -> str:
    """The claim with the weights of the model ``name``: its own, or the one that a ``pvc://`` source names."""
    return existing_claim(spec) if spec.source.uri.startswith("pvc://") else names.claim(name)


def _storage(model: SovereignModel) -> Verdict:
    found = model.elsewhere
    fetched = model.artifact is not None or model.spec.source.uri.startswith("pvc://")
    if found is None or not found.enforced or fetched:
        return Verdict(True, "storage", Reason.PLACED)
    return Verdict(False, found.rule, found.reason, found.message)


def existing_claim(spec: ModelSpec) -> str:
    """The claim that a ``pvc://claim/path`` source names."""
    return spec.source.uri.removeprefix("pvc://").partition("/")[0]


def existing_place(spec: ModelSpec) -> tuple[str, str]:
    """The folder, and with gguf the file in it, that a ``pvc://claim/path`` source names, relative to the claim's root."""
    path = spec.source.uri.removeprefix("pvc://").partition("/")[2].strip("/")
    if not path.lower().endswith(".gguf"):
        return path, ""
    folder, _, file = path.rpartition("/")
    return folder, file


def published_path(digest: str) -> str:
    """The folder in which the importer publishes weights with this manifest digest."""
    return digest.replace(":", "-")


def _verdicts(spec: ModelSpec, governance: Governance, settings: Settings, *, existing: bool) -> list[Verdict]:
    if not governance.governed:
        return [
            Verdict(
                False,
                "namespaceSelector",
                Reason.NO_POLICY,
                "no SovereigntyPolicy selects this namespace, so nothing may run in it; label the namespace as a policy's "
                "namespaceSelector says, or write a policy",
            )
        ]
    verdicts = [
        governance.check_source(spec.source.uri),
        governance.check_format(spec.format),
        governance.check_digest(spec.digest),
    ]
    if not existing:
        verdicts.append(governance.check_endpoint(spec.source.uri, spec.source.endpoint))
        verdicts.append(governance.check_storage_class(spec.cache.storage_class_name))
        verdicts.append(governance.check_image(settings.importer_image))
    return verdicts


def _claim(model: SovereignModel) -> Manifest:
    cache = model.spec.cache
    spec: dict[str, Any] = {
        "accessModes": [cache.access_mode],
        "resources": {"requests": {"storage": cache.size}},
        "volumeMode": "Filesystem",
    }
    if cache.storage_class_name:
        spec["storageClassName"] = cache.storage_class_name
    return child(
        "v1",
        "PersistentVolumeClaim",
        names.claim(model.owner.name),
        model.owner,
        component="weights",
        extra_labels={LABEL_MODEL: model.owner.name},
        owned=cache.retention == "Delete",
        spec=spec,
    )


def _service_account(model: SovereignModel) -> Manifest:
    return child(
        "v1",
        "ServiceAccount",
        names.importer(model.owner.name),
        model.owner,
        component=COMPONENT,
        extra_labels={LABEL_MODEL: model.owner.name},
        automountServiceAccountToken=False,
    )


def _job(model: SovereignModel, governance: Governance, settings: Settings, identity: str) -> Manifest:
    pod_labels = labels(model.owner, COMPONENT) | {LABEL_MODEL: model.owner.name}
    return child(
        "batch/v1",
        "Job",
        names.import_job(model.owner.name, identity),
        model.owner,
        component=COMPONENT,
        extra_labels={LABEL_MODEL: model.owner.name},
        spec={
            "backoffLimit": 6,
            "activeDeadlineSeconds": IMPORT_DEADLINE,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "FailJob",
                        "onExitCodes": {"containerName": "importer", "operator": "In", "values": [PERMANENT_FAILURE]},
                    },
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                ]
            },
            "template": {"metadata": {"labels": pod_labels}, "spec": _pod(model, governance, settings)},
        },
    )


def _pod(model: SovereignModel, governance: Governance, settings: Settings) -> dict[str, Any]:
    volumes: list[dict[str, Any]] = [
        {"name": "weights", "persistentVolumeClaim": {"claimName": names.claim(model.owner.name)}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
    ]
    secret = model.spec.source.secret_ref
    if secret is not None:
        volumes.append({"name": "credentials", "secret": {"secretName": secret.name, "defaultMode": 0o440}})
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "serviceAccountName": names.importer(model.owner.name),
        "nodeSelector": {approved_label(name): "true" for name in governance.names},
        "terminationGracePeriodSeconds": 15,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": FILE_SYSTEM_GROUP,
            "runAsGroup": FILE_SYSTEM_GROUP,
            "fsGroup": FILE_SYSTEM_GROUP,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(model, governance, settings)],
        "volumes": volumes,
    }
    if settings.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in settings.image_pull_secrets]
    return pod


def _container(model: SovereignModel, governance: Governance, settings: Settings) -> dict[str, Any]:
    mounts: list[dict[str, Any]] = [{"name": "weights", "mountPath": _VOLUME}, {"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108
    if model.spec.source.secret_ref is not None:
        mounts.append({"name": "credentials", "mountPath": _CREDENTIALS, "readOnly": True})
    return {
        "name": "importer",
        "image": settings.importer_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "sovereign.importer"],
        "args": importer_arguments(model.spec, governance),
        "env": [{"name": "HOME", "value": "/tmp"}, {"name": "HF_HUB_DISABLE_TELEMETRY", "value": "1"}],  # noqa: S108
        "resources": {"requests": {"cpu": "1", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePolicy": "File",
        "volumeMounts": mounts,
    }


def importer_arguments(spec: ModelSpec, governance: Governance) -> list[str]:
    """The importer's command line. Each value is one argument with its flag, so that none can become another flag.

    Every ``$`` is doubled, which Kubernetes undoes: nothing is expanded.
    """
    source = spec.source
    endpoint = governance.endpoint_for(source.uri, source.endpoint)
    arguments = [f"--source={source.uri}", f"--format={spec.format}", f"--dest={_VOLUME}", "--log-format=json"]
    optional = {"--revision": source.revision, "--endpoint": endpoint, "--digest": spec.digest}
    arguments += [f"{flag}={value}" for flag, value in optional.items() if value]
    arguments += [f"--include={pattern}" for pattern in source.include]
    arguments += [f"--exclude={pattern}" for pattern in source.exclude]
    if source.secret_ref is not None:
        arguments.append(f"--credentials={_CREDENTIALS}")
    return [argument.replace("$", "$$") for argument in arguments]
