"""What snapshots may be taken, and what volumes with data stay: no copy of a claim, and no move, that the policy does not know.

A PersistentVolume belongs to no namespace, so that the rules about volumes hold in the whole cluster: for volumes of the storage
classes that the policy allows, or for all where it allows any. To make a volume by hand, also for a claim, is an administrator's right.

Sources: the API reference of PersistentVolume, whose source the API server itself keeps as it is; the VolumeSnapshot API.
"""

from collections.abc import Iterator
from typing import Any, Final

from sovereign.plan import canary_requests
from sovereign.plan.cel import Cel, code, sentence, strings
from sovereign.plan.inventory import Policy, Settings
from sovereign.plan.rules import Rules, Validation, by_controllers, resources

_VOLUMES: Final = resources("", "v1", ["UPDATE"], ["persistentvolumes"])
_SNAPSHOTS: Final[dict[str, Any]] = {
    # Whatever versions there are: none is known before its CRD is installed.
    "apiGroups": ["snapshot.storage.k8s.io", "groupsnapshot.storage.k8s.io"],
    "apiVersions": ["*"],
    "operations": ["CREATE", "UPDATE"],
    "resources": ["volumesnapshots", "volumegroupsnapshots"],
    "scope": "Namespaced",
}

_NAME: Final = code("object.metadata.?name.orValue('')")
_SNAPSHOT_CLASS: Final = code("object.?spec.?volumeSnapshotClassName.orValue('')")
_STORAGE_CLASS: Final = code("oldObject.spec.?storageClassName.orValue('')")
_CLAIM: Final = code("oldObject.spec.claimRef.?namespace.orValue('') + '/' + oldObject.spec.claimRef.?name.orValue('')")


def volume_rules(policy: Policy, settings: Settings) -> Iterator[Rules]:
    """The rules about snapshots in governed namespaces, and about volumes that have a claim."""
    whose = f"policy {policy.name}: "
    yield _snapshots(whose, sorted(policy.spec.storage.snapshot_classes))
    yield _volumes(whose, sorted(policy.spec.storage.storage_classes), settings)


def _snapshots(whose: str, classes: list[str]) -> Rules:
    """A snapshot of several claims has no class of this kind, and none that the policy could name."""
    advice = (
        f"take a VolumeSnapshot with spec.volumeSnapshotClassName {' or '.join(classes)}"
        if classes
        else "leave it out, or have the class added to storage.snapshotClasses"
    )
    wrong = f"copies data with a class that is not allowed; {advice}"
    allowed = Validation(
        code("request.kind.kind == 'VolumeSnapshot'") & _SNAPSHOT_CLASS.within(strings(classes)),
        f"{whose}the snapshot {wrong}",
        sentence(whose, code("request.kind.kind"), " ", _NAME, f" {wrong}"),
    )
    changes = code("request.operation == 'CREATE' || object.?spec != oldObject.?spec")
    canary = canary_requests.snapshot()
    return Rules("snapshots", (_SNAPSHOTS,), (allowed,), conditions=(("spec-changes", changes),), canary=canary)


def _volumes(whose: str, classes: list[str], settings: Settings) -> Rules:
    bound = code("has(oldObject.spec.claimRef) && !(oldObject.spec.claimRef.?namespace.orValue('') in %s)")
    conditions = [
        ("by-others", ~by_controllers("persistent-volume-binder")),
        ("bound", bound.filled(strings(settings.ungoverned_namespaces))),
    ]
    if classes:
        conditions.append(("class", _STORAGE_CLASS.within(strings(classes))))
    validations = (
        _volume(
            code("object.spec.?nodeAffinity == oldObject.spec.?nodeAffinity"),
            whose,
            "and its spec.nodeAffinity says where that lies; leave it as it is",
        ),
        _volume(
            code("object.spec.?storageClassName == oldObject.spec.?storageClassName"),
            whose,
            "and its class says what it is; leave spec.storageClassName as it is",
        ),
        _volume(
            code(
                "object.spec.?claimRef.?namespace == oldObject.spec.?claimRef.?namespace && "
                "object.spec.?claimRef.?name == oldObject.spec.?claimRef.?name"
            ),
            whose,
            "which no other claim must get; leave spec.claimRef, or delete the volume and make one with another name for it",
        ),
    )
    canary = canary_requests.nothing
    return Rules("volumes", (_VOLUMES,), validations, conditions=tuple(conditions), everywhere=True, canary=canary)


def _volume(condition: Cel, whose: str, wrong: str) -> Validation:
    return Validation(
        condition,
        f"{whose}the PersistentVolume holds data of a claim, {wrong}",
        sentence(f"{whose}PersistentVolume ", _NAME, " holds data of claim ", _CLAIM, f", {wrong}"),
    )


__all__ = ["volume_rules"]
