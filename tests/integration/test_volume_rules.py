"""Copies of data and moves of volumes, tried by a tenant, by the administrator of the cluster and by the cluster itself."""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sovereign.plan.inventory import Manifest
from tests.integration.actors import controller
from tests.integration.api import Answer, Api, address
from tests.integration.conftest import Kubectl
from tests.integration.enforcement import eventually, names
from tests.integration.governed import Place, governed, stand_in

# One at a time: the kinds that stand in for the snapshots' API are the whole cluster's, and so are volumes.
pytestmark = pytest.mark.integration

CLASS = f"class-{secrets.token_hex(4)}"
"""A storage class of this module's own: the rule about volumes holds in the whole cluster."""
SNAPSHOT, GROUP_SNAPSHOT = "snapshot.storage.k8s.io", "groupsnapshot.storage.k8s.io"
FRANCE = {"key": "topology.kubernetes.io/region", "operator": "In", "values": ["fr-par"]}
ELSEWHERE = {"key": "topology.kubernetes.io/region", "operator": "In", "values": ["us-east"]}


@pytest.fixture(scope="module")
def place(api: Api, kubectl: Kubectl) -> Iterator[Place]:
    """A namespace whose policy allows one storage class and one class of snapshots."""
    storage = {"storageClasses": [CLASS], "snapshotClasses": ["fast-fr"]}
    with governed(api, kubectl, storage=storage) as made:
        yield made


# --- snapshots ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def snapshots(api: Api, kubectl: Kubectl, place: Place) -> None:
    """The snapshots' API, installed after the policy."""
    stand_in(api, kubectl, SNAPSHOT, "v1", volumesnapshots="VolumeSnapshot")
    stand_in(api, kubectl, GROUP_SNAPSHOT, "v1beta1", volumegroupsnapshots="VolumeGroupSnapshot")


def snapshot(namespace: str, name: str = "copy", **spec: Any) -> Manifest:
    """A snapshot of a claim, with fields of ``spec`` on top."""
    return {
        "apiVersion": f"{SNAPSHOT}/v1",
        "kind": "VolumeSnapshot",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"source": {"persistentVolumeClaimName": "weights"}} | spec,
    }


def test_row_20_a_snapshot_of_a_class_that_is_not_allowed_is_refused(place: Place, snapshots: None) -> None:
    for spec in ({}, {"volumeSnapshotClassName": ""}, {"volumeSnapshotClassName": "far-us"}):
        answer = place.api.create(snapshot(place.namespace, **spec), dry_run=True)
        place.refused(
            answer,
            "VolumeSnapshot copy copies data with a class that is not allowed; take a VolumeSnapshot with "
            "spec.volumeSnapshotClassName fast-fr",
        )
    lawful = snapshot(place.namespace, volumeSnapshotClassName="fast-fr")
    assert place.api.create(lawful).ok
    changed = {"spec": {"volumeSnapshotClassName": "far-us"}}
    place.refused(place.api.request("PATCH", address(lawful), changed), "class that is not allowed")
    meta = {"metadata": {"labels": {"a": "b"}, "finalizers": []}}
    place.accepted(place.api.request("PATCH", address(lawful), meta))
    assert place.api.request("DELETE", address(lawful)).ok


def test_row_20_a_snapshot_of_several_claims_is_refused(place: Place, snapshots: None) -> None:
    group = {
        "apiVersion": f"{GROUP_SNAPSHOT}/v1beta1",
        "kind": "VolumeGroupSnapshot",
        "metadata": {"name": "copies", "namespace": place.namespace},
        "spec": {"volumeGroupSnapshotClassName": "fast-fr", "volumeSnapshotClassName": "fast-fr"},
    }
    place.refused(place.api.create(group, dry_run=True), "VolumeGroupSnapshot copies copies data", "fast-fr")


def test_row_20_without_classes_there_are_no_snapshots(api: Api, kubectl: Kubectl, snapshots: None) -> None:
    with governed(api, kubectl) as strict:
        lawful = snapshot(strict.namespace, volumeSnapshotClassName="fast-fr")
        answer = eventually(lambda: api.create(lawful, dry_run=True), names(strict.enforcement, "-snapshots"))
        strict.refused(answer, "leave it out, or have the class added to storage.snapshotClasses")


# --- volumes ------------------------------------------------------------------------------------------


def volume(name: str, claim: dict[str, str] | None, storage_class: str = CLASS, **spec: Any) -> Manifest:
    """A volume, bound to a claim by hand where there is one, which is an administrator's right."""
    bound = {"claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim}} if claim else {}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "persistentVolumeReclaimPolicy": "Retain",
            "nfs": {"server": "192.0.2.10", "path": "/"},
        }
        | bound
        | spec,
    }


def affinity(*expressions: dict[str, Any]) -> dict[str, Any]:
    """Where a volume lies."""
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": list(expressions)}]}}


@pytest.fixture
def bound(place: Place) -> Iterator[Manifest]:
    """A volume that a claim of the namespace has, which says nothing about where it lies."""
    made = volume(f"bound-{secrets.token_hex(4)}", {"name": "weights", "namespace": place.namespace})
    assert place.api.create(made).ok
    # The rule is in force when it refuses.
    wrong = {"spec": {"storageClassName": "other"}}
    eventually(
        lambda: place.api.request("PATCH", address(made), wrong, dryRun="All"), names(place.enforcement, "-volumes")
    )
    yield made
    assert place.api.request("DELETE", address(made)).ok


def test_row_20_a_volume_with_data_stays_what_and_where_it_is(place: Place, bound: Manifest) -> None:
    words = f"PersistentVolume {bound['metadata']['name']} holds data of claim {place.namespace}/weights"
    for change, advice in (
        ({"nodeAffinity": affinity(FRANCE)}, "leave it as it is"),
        ({"storageClassName": "local-us-east"}, "leave spec.storageClassName as it is"),
        ({"claimRef": {"namespace": "elsewhere"}}, "which no other claim must get"),
        ({"claimRef": {"name": "other", "uid": None}}, "which no other claim must get"),
        ({"claimRef": None}, "or delete the volume and make one with another name for it"),
    ):
        answer = place.api.request("PATCH", address(bound), {"spec": change}, dryRun="All")
        place.refused(answer, words, advice)


def test_row_20_the_api_server_itself_keeps_the_source_of_a_volume_and_where_it_says_it_lies(place: Place) -> None:
    """Which is why no rule of ours says so."""
    made = volume(f"source-{place.namespace}", None, nodeAffinity=affinity(FRANCE))
    assert place.api.create(made).ok
    for change, words in (
        ({"nfs": {"server": "192.0.2.11"}}, "spec.persistentvolumesource is immutable after creation"),
        ({"nodeAffinity": affinity(ELSEWHERE)}, "nodeAffinity"),
    ):
        answer = place.api.request("PATCH", address(made), {"spec": change}, dryRun="All")
        assert answer.code == 422, answer.body
        assert words in answer.message
    assert place.api.request("DELETE", address(made)).ok


def test_a_volume_with_data_can_be_labelled_retained_and_bound_anew_to_its_claim(place: Place, bound: Manifest) -> None:
    for change in (
        {"metadata": {"labels": {"a": "b"}, "finalizers": []}},
        {"spec": {"persistentVolumeReclaimPolicy": "Delete"}},
        {"spec": {"capacity": {"storage": "2Gi"}}},
        {"spec": {"claimRef": {"uid": None, "resourceVersion": None}}},
    ):
        place.accepted(place.api.request("PATCH", address(bound), change, dryRun="All"))


def test_the_cluster_lets_go_of_volumes_and_others_do_not(place: Place, bound: Manifest) -> None:
    stored = place.api.get(address(bound))
    del stored["spec"]["claimRef"]
    binder = controller(place.api, "persistent-volume-binder")
    answer = binder.request("PUT", address(bound), stored, dryRun="All")
    assert answer.ok, answer.message
    scheduler = place.api.as_user("system:kube-scheduler")
    place.refused(scheduler.request("PUT", address(bound), stored, dryRun="All"), "which no other claim must get")


def test_volumes_without_a_claim_of_other_classes_and_of_the_system_are_untouched(
    place: Place, bound: Manifest
) -> None:
    others = (
        volume(f"free-{place.namespace}", None),
        volume(f"class-{place.namespace}", {"name": "x", "namespace": place.namespace}, "other"),
        volume(f"system-{place.namespace}", {"name": "x", "namespace": "kube-system"}),
    )
    for made in others:
        assert place.api.create(made).ok
        for change in ({"storageClassName": "third"}, {"claimRef": None}, {"nodeAffinity": affinity(FRANCE)}):
            answer = place.api.request("PATCH", address(made), {"spec": change}, dryRun="All")
            # The rule is about the whole cluster: another test's policy may list no class, and hold all volumes with data.
            assert answer.ok or place.enforcement.policy.name not in answer.message, answer.message
        assert place.api.request("DELETE", address(made)).ok


def test_where_any_class_is_allowed_every_volume_with_data_stays(api: Api, kubectl: Kubectl) -> None:
    with governed(api, kubectl, storage={}) as place:
        made = volume(f"any-{place.namespace}", {"name": "x", "namespace": "somewhere"}, "whatever")
        assert api.create(made).ok
        free = {"spec": {"claimRef": None}}
        answer = eventually(
            lambda: api.request("PATCH", address(made), free, dryRun="All"), names(place.enforcement, "-volumes")
        )
        place.refused(answer, "holds data of claim somewhere/x")
    eventually(lambda: api.request("PATCH", address(made), free, dryRun="All"), lambda answer: answer.ok)
    assert api.request("DELETE", address(made)).ok


def test_claims_are_bound_by_scheduler_and_binder_under_the_rule(place: Place, kubectl: Kubectl) -> None:
    """A whole life of a volume, by the cluster's own parts: reserved, bound, released, gone."""
    namespace = place.namespace
    made = volume(f"life-{namespace}", {"name": "life", "namespace": namespace})
    assert place.api.create(made).ok
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "life", "namespace": namespace},
        "spec": {
            "storageClassName": CLASS,
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    assert place.tenant.create(claim).ok
    kubectl("wait", "--for=jsonpath={.status.phase}=Bound", "pvc/life", "-n", namespace, "--timeout=60s")
    assert place.api.get(address(made))["spec"]["claimRef"]["uid"]
    assert place.tenant.request("DELETE", address(claim)).ok
    kubectl("wait", "--for=jsonpath={.status.phase}=Released", f"pv/{made['metadata']['name']}", "--timeout=60s")
    again = {"spec": {"claimRef": None}}
    place.refused(place.api.request("PATCH", address(made), again), "which no other claim must get")
    kubectl("delete", "pv", made["metadata"]["name"], "--wait", "--timeout=60s")


def test_audit_warns_and_refuses_nothing(api: Api, kubectl: Kubectl, snapshots: None) -> None:
    storage = {"storageClasses": ["audited"]}
    with governed(api, kubectl, enforcement="Audit", storage=storage) as place:
        made = volume(f"audit-{place.namespace}", {"name": "x", "namespace": place.namespace}, "audited")
        assert api.create(made).ok

        def warned(suffix: str) -> Callable[[Answer], bool]:
            """Rules of tests before may refuse for another moment."""
            named = names(place.enforcement, suffix)
            return lambda answer: answer.ok and named(answer)

        eventually(
            lambda: api.request("PATCH", address(made), {"spec": {"claimRef": None}}, dryRun="All"), warned("-volumes")
        )
        eventually(lambda: api.create(snapshot(place.namespace), dry_run=True), warned("-snapshots"))
        assert api.request("DELETE", address(made)).ok
