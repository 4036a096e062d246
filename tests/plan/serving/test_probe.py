"""The Jobs of a network probe, and what keeps a pool from being probed."""

from typing import Any

import msgspec
import pytest

from sovereign.api.conditions import Reason
from sovereign.api.meta import (
    LABEL_COMPLIANT,
    LABEL_COMPONENT,
    LABEL_MANAGED_BY,
    LABEL_POOL,
    MANAGED_BY,
    approved_label,
)
from sovereign.plan.inventory import NetworkProbes, Settings
from sovereign.plan.probe import control_job, gate, probe_job
from tests.plan.policy.build import policy
from tests.plan.serving import samples

PROBES = NetworkProbes(targets=("10.1.2.3:8081", "[fd00::3]:8081"), pull_secrets=("own",))
IMAGE = f"registry.example.eu/ai/sovereign-operator@sha256:{'0' * 64}"
SETTINGS = Settings(importer_image=IMAGE, image_pull_secrets=("shared",), probes=PROBES)
POOL = samples.pool()
GOVERNANCE = samples.governance(samples.policy("eu"), samples.policy("fr"))


def probe() -> dict[str, Any]:
    return probe_job(POOL, "gpu-fr-1", GOVERNANCE, SETTINGS, PROBES)


def control() -> dict[str, Any]:
    return control_job(POOL, "gpu-fr-1", SETTINGS, PROBES)


def pod(job: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = job["spec"]["template"]["spec"]
    return spec


def test_the_probe_has_the_identity_of_the_pools_pods_and_serves_nobody() -> None:
    job = probe()
    labels = job["spec"]["template"]["metadata"]["labels"]
    plan = samples.planned(POOL)
    assert labels[LABEL_POOL] == "chat"
    assert LABEL_COMPLIANT not in labels
    network = samples.child(plan, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"]
    assert network.items() <= labels.items()
    for kind, selector in (
        ("Service", samples.child(plan, "Service")["spec"]["selector"]),
        ("PodDisruptionBudget", samples.child(plan, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"]),
    ):
        assert not selector.items() <= labels.items(), kind
        assert selector.items() <= samples.template(plan)["metadata"]["labels"].items()
    assert pod(job)["serviceAccountName"] == samples.template(plan)["spec"]["serviceAccountName"]
    assert pod(job)["nodeSelector"] == {approved_label("eu"): "true", approved_label("fr"): "true"}
    assert job["metadata"]["namespace"] == samples.NAMESPACE
    (owner,) = job["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["blockOwnerDeletion"]) == ("InferencePool", "pool-uid", False)


def test_the_control_has_nothing_of_the_pool_but_the_node() -> None:
    job = control()
    assert job["metadata"]["namespace"] == SETTINGS.operator_namespace
    assert LABEL_POOL not in job["metadata"]["labels"]
    assert "ownerReferences" not in job["metadata"], "an owner of another namespace would have it collected at once"
    assert "nodeSelector" not in pod(job)
    assert pod(job)["affinity"] == pod(probe())["affinity"]
    assert pod(job)["containers"][0]["image"] == pod(probe())["containers"][0]["image"]
    assert pod(job)["imagePullSecrets"] == [{"name": "own"}]
    assert pod(probe())["imagePullSecrets"] == [{"name": "shared"}]


@pytest.mark.parametrize(("make", "expected"), [(probe, "refused"), (control, "reached")])
def test_both_are_short_lived_on_one_node_and_restricted(make: Any, expected: str) -> None:
    job = make()
    assert (job["spec"]["backoffLimit"], job["spec"]["activeDeadlineSeconds"]) == (0, 70)
    assert job["spec"]["ttlSecondsAfterFinished"] > 0
    assert job["metadata"]["labels"][LABEL_COMPONENT] == "probe"
    assert job["metadata"]["labels"][LABEL_MANAGED_BY] == MANAGED_BY
    assert len(job["metadata"]["generateName"]) <= 58
    spec = pod(job)
    (term,) = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term == {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["gpu-fr-1"]}]}
    assert spec["restartPolicy"] == "Never"
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert {toleration["effect"] for toleration in spec["tolerations"]} == {"NoSchedule"}
    (container,) = spec["containers"]
    assert container["args"] == [
        "--target=10.1.2.3:8081",
        "--target=[fd00::3]:8081",
        f"--expect={expected}",
        "--timeout=10",
    ]
    # Without a request for CPU an autoscaler that follows CPU could not compute.
    assert container["resources"]["requests"]["cpu"]


def test_what_keeps_a_pool_from_being_probed() -> None:
    assert gate(GOVERNANCE, SETTINGS) is None
    off = gate(GOVERNANCE, msgspec.structs.replace(SETTINGS, probes=None))
    assert off is not None
    assert (off.reason, "networkProbe.enabled=true" in off.message) == (Reason.NOT_PROBED, True)
    listed = samples.governance(policy("eu", images={"registries": ["registry.example.eu/other"]}))
    image = gate(listed, SETTINGS)
    assert image is not None
    assert (image.reason, "workloads.importerImage" in image.message) == (Reason.IMAGE_NOT_ALLOWED, True)


@pytest.mark.parametrize(
    ("cidr", "port", "granted"),
    [
        ("10.1.0.0/16", 8081, True),
        ("10.1.0.0/16", 443, False),
        ("10.2.0.0/16", 8081, False),
        ("fd00::/64", 8081, True),
        ("fd01::/64", 8081, False),
    ],
)
def test_where_egress_to_the_listener_is_granted_reaching_it_shows_nothing(cidr: str, port: int, granted: bool) -> None:
    governance = samples.governance(policy("eu", network={"egress": [{"cidr": cidr, "ports": [port]}]}))
    found = gate(governance, SETTINGS)
    assert (found is not None and found.reason == Reason.EGRESS_GRANTED) == granted


@pytest.mark.parametrize(
    ("probes", "possible"),
    [
        (PROBES, True),
        (NetworkProbes(targets=()), False),
        (NetworkProbes(targets=("10.0.0.1:1",), interval=0), False),
        (NetworkProbes(targets=("10.0.0.1:1",), timeout=0), False),
    ],
)
def test_without_an_address_or_time_nothing_is_probed(probes: NetworkProbes, possible: bool) -> None:
    assert (probes.possible() is not None) == possible
