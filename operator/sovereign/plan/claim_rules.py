"""What claims must be: of an allowed storage class, empty at first, bound by the cluster and not by hand."""

from typing import Final

from sovereign.plan import canary_requests
from sovereign.plan.cel import Cel, code, sentence, strings
from sovereign.plan.inventory import Policy
from sovereign.plan.rules import Rules, Validation, by_controllers, resources

_CLAIMS: Final = resources("", "v1", ["CREATE", "UPDATE"], ["persistentvolumeclaims"])

# The controller that binds claims sets volumeName, and storageClassName where there was none, on claims that
# exist.
_BOUND_BY_CLUSTER: Final = code("request.operation == 'UPDATE'") & by_controllers("persistent-volume-binder")

_CLASS: Final = code("object.spec.?storageClassName.orValue('')")
_CLASS_KEPT: Final = code(
    "request.operation == 'UPDATE' && object.spec.?storageClassName == oldObject.spec.?storageClassName"
)
_VOLUME_KEPT: Final = code(
    "object.spec.?volumeName.orValue('') == '' || "
    "(request.operation == 'UPDATE' && object.spec.?volumeName == oldObject.spec.?volumeName)"
)
_EMPTY: Final = code(
    "request.operation == 'UPDATE' || (!has(object.spec.dataSource) && !has(object.spec.dataSourceRef))"
)


def claim_rules(policy: Policy) -> Rules:
    """The rules about claims. What a claim already is does not stand in the way of its other changes."""
    whose = f"policy {policy.name}: "
    validations = [
        Validation(
            _VOLUME_KEPT | _BOUND_BY_CLUSTER,
            f"{whose}a claim must not choose its volume, which may lie anywhere; leave spec.volumeName out "
            "(an administrator "
            "can reserve a volume for it with the volume's spec.claimRef)",
        ),
        Validation(
            _EMPTY,
            f"{whose}a claim must not be a copy of other data; leave spec.dataSource and spec.dataSourceRef out",
        ),
    ]
    classes = policy.spec.storage.storage_classes
    if classes:
        validations.insert(0, _allowed_class(whose, classes))
    return Rules("storage", (_CLAIMS,), tuple(validations), canary=canary_requests.claim(policy))


def _allowed_class(whose: str, classes: list[str]) -> Validation:
    allowed: Cel = _CLASS.within(strings(sorted(classes)))
    advice = f"set spec.storageClassName to {' or '.join(sorted(classes))}"
    return Validation(
        allowed | _CLASS_KEPT,
        f"{whose}the claim's storage class is not allowed; {advice}",
        sentence(f"{whose}storage class '", _CLASS, f"' is not allowed; {advice}"),
    )
