"""The Jobs of a network probe: a pod in a pool's network identity that must fail to reach the operator's listener, and
beside it, on the same node, a control that no network policy selects and that must reach it.
"""

from ipaddress import ip_address
from typing import Any, Final

from sovereign.api.conditions import Reason
from sovereign.api.meta import COMPONENT_PROBE, LABEL_POOL, approved_label
from sovereign.plan import names
from sovereign.plan.children import labels, owner_reference
from sovereign.plan.deployment import USER_ID
from sovereign.plan.governance import Governance
from sovereign.plan.inventory import InferencePool, Manifest, NetworkProbes, Owner, Settings
from sovereign.plan.verdict import Verdict

DEADLINE: Final = 60
"""Seconds that scheduling, pulling the image and starting may take, besides the time of the probe itself."""
TIME_TO_LIVE: Final = 600
"""Seconds after which the cluster removes a probe that the operator did not live to remove."""
_RULE: Final = "network"
_UNSCHEDULABLE: Final = "node.kubernetes.io/unschedulable"


def deadline(probes: NetworkProbes) -> int:
    """Seconds that a probe may take in all."""
    return DEADLINE + probes.timeout


def gate(governance: Governance, settings: Settings) -> Verdict | None:
    """What keeps pools of a namespace from being probed, if anything does."""
    probes = settings.probes
    if probes is None:
        message = (
            "the network policies are in place; nothing has shown that the cluster's network plugin obeys them, because "
            "network probes are off: set networkProbe.enabled=true in the chart's values (--probe-listen, --pod-ips and "
            "--probe-interval of the operator)"
        )
        return Verdict(False, _RULE, Reason.NOT_PROBED, message)
    image = governance.check_image(settings.importer_image)
    if not image.ok:
        message = f"the network cannot be probed: {image.message}; name such an image in the chart's value workloads.importerImage"
        return Verdict(False, image.rule, image.reason, message, image.found)
    for target in probes.targets:
        if _granted(target, governance):
            message = (
                "the policies grant serving pods egress to the address and port at which the operator listens for network "
                "probes, so that reaching it shows nothing; narrow network.egress of one of them, or change networkProbe.port"
            )
            return Verdict(False, "network.egress", Reason.EGRESS_GRANTED, message, target)
    return None


def probe_job(
    pool: InferencePool, node: str, governance: Governance, settings: Settings, probes: NetworkProbes
) -> Manifest:
    """The Job whose pod has the network identity of the pool's pods, on ``node``. It goes away with the pool."""
    pod = _pod(pool, node, settings, probes, "refused")
    pod |= {
        "serviceAccountName": names.serving(pool.owner.name),
        "nodeSelector": {approved_label(name): "true" for name in governance.names},
    }
    _pull_with(pod, settings.image_pull_secrets)
    job = _job(f"{pool.owner.name}-probe-", pool.owner, pod, probes, {LABEL_POOL: pool.owner.name})
    job["metadata"] |= {"namespace": pool.owner.namespace, "ownerReferences": [owner_reference(pool.owner)]}
    return job


def control_job(pool: InferencePool, node: str, settings: Settings, probes: NetworkProbes) -> Manifest:
    """The Job of the control: in the operator's own namespace, which no policy governs.

    It has no owner: an owner must not be of another namespace.
    """
    pod = _pod(pool, node, settings, probes, "reached")
    _pull_with(pod, probes.pull_secrets)
    job = _job("network-control-", Owner(pool.owner.kind, pool.owner.name), pod, probes, {})
    job["metadata"]["namespace"] = settings.operator_namespace
    return job


def _granted(target: str, governance: Governance) -> bool:
    host, _, port = target.rpartition(":")
    address = ip_address(host.strip("[]"))
    return any(int(port) in grant.ports and address in grant.network for grant in governance.egress())


def _job(base: str, owner: Owner, pod: dict[str, Any], probes: NetworkProbes, own: dict[str, str]) -> Manifest:
    known = labels(owner, COMPONENT_PROBE) | own
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"generateName": base, "labels": known},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": deadline(probes),
            "ttlSecondsAfterFinished": TIME_TO_LIVE,
            "template": {"metadata": {"labels": known}, "spec": pod},
        },
    }


def _pod(pool: InferencePool, node: str, settings: Settings, probes: NetworkProbes, expected: str) -> dict[str, Any]:
    """A pod that runs on ``node`` alone, wherever the pool's own pods can: network policies are enforced node by node."""
    on_node = {"key": "metadata.name", "operator": "In", "values": [node]}
    required = {"nodeSelectorTerms": [{"matchFields": [on_node]}]}
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}},
        "tolerations": [
            {"key": pool.spec.accelerator.resource_name, "operator": "Exists", "effect": "NoSchedule"},
            # A cordoned node goes on serving.
            {"key": _UNSCHEDULABLE, "operator": "Exists", "effect": "NoSchedule"},
        ],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "probe",
                "image": settings.importer_image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["python", "-m", "sovereign.probe"],
                "args": [
                    *(f"--target={target}" for target in probes.targets),
                    f"--expect={expected}",
                    f"--timeout={probes.timeout}",
                ],
                "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "readOnlyRootFilesystem": True,
                },
                "terminationMessagePolicy": "File",
            }
        ],
    }


def _pull_with(pod: dict[str, Any], secrets: tuple[str, ...]) -> None:
    if secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in secrets]
