"""What the operator made is changed by the operator alone, and by the controllers of the cluster whose work it is.

Whoever wants something else changes the object that it was made for. Deleting is let through: it comes back, and deletion must always
finish. Labels and annotations that mean nothing to the operator stay everybody's.
"""

from typing import Final

from sovereign.api.meta import (
    GROUP,
    LABEL_COMPONENT,
    LABEL_INSTANCE,
    LABEL_MANAGED_BY,
    MANAGED_BY,
    RESERVED_LABELS,
)
from sovereign.plan import canary_requests
from sovereign.plan.cel import Cel, all_of, choose, code, quote, sentence, variable
from sovereign.plan.inventory import Policy, Settings
from sovereign.plan.rules import Rules, Validation, by_controllers, by_others, resources

IDENTITY: Final = (*RESERVED_LABELS, LABEL_MANAGED_BY, LABEL_COMPONENT, LABEL_INSTANCE)
"""Labels by which the operator knows what it made."""

CHILDREN: Final = (
    resources("", "v1", ["UPDATE"], ["persistentvolumeclaims", "serviceaccounts", "services"]),
    resources("apps", "v1", ["UPDATE"], ["deployments"]),
    resources("autoscaling", "v2", ["UPDATE"], ["horizontalpodautoscalers"]),
    resources("batch", "v1", ["UPDATE"], ["jobs"]),
    resources("networking.k8s.io", "v1", ["UPDATE"], ["networkpolicies"]),
    resources("policy", "v1", ["UPDATE"], ["poddisruptionbudgets"]),
)
"""Kinds that the operator makes in governed namespaces."""

MADE: Final = code("oldObject.metadata.?labels[?%s].orValue('') == %s").filled(
    quote(LABEL_MANAGED_BY), quote(MANAGED_BY)
)
"""Whether what is changed was made by the operator."""

# `dyn`, because the kinds differ: a ServiceAccount has no spec, and what it has instead only it has.
_SAME: Final = code(
    "dyn(object).?spec == dyn(oldObject).?spec && "
    "dyn(object).?automountServiceAccountToken == dyn(oldObject).?automountServiceAccountToken"
)
_CLAIM: Final = code("request.resource.resource == 'persistentvolumeclaims'")
_SAME_OWNERS: Final = code(
    "object.metadata.?ownerReferences.orValue([]) == oldObject.metadata.?ownerReferences.orValue([])"
)

_OWNERS: Final = code("oldObject.metadata.?ownerReferences.orValue([])").where(
    "o", code("o.apiVersion").starts_with(quote(f"{GROUP}/"))
)
_INSTANCE: Final = code("oldObject.metadata.labels[?%s].orValue('')").filled(quote(LABEL_INSTANCE))
# Weights that outlive their model have no owner.
_MADE_FOR: Final = choose(
    code("variables.owners.size() > 0"),
    variable("owners").each("o", code("o.kind + ' ' + o.name")).joined(", "),
    sentence("the object called ", _INSTANCE),
)


def child_rules(policy: Policy, settings: Settings) -> Rules:
    """The rules about changes of what the operator made."""
    whose = f"policy {policy.name}: "
    return Rules(
        "children",
        CHILDREN,
        (
            _kept(_SAME | (_CLAIM & by_controllers("persistent-volume-binder")), whose, "spec"),
            _kept(same_labels(IDENTITY), whose, "labels"),
            _kept(_SAME_OWNERS | by_controllers("generic-garbage-collector"), whose, "owners"),
        ),
        (("owners", _OWNERS),),
        (by_others(settings), ("made-by-the-operator", MADE)),
        canary=canary_requests.child_relabelled(policy),
    )


def same_labels(keys: tuple[str, ...]) -> Cel:
    """Whether the labels ``keys`` are as they were, those that are missing too."""
    same = code("object.metadata.?labels[?%s] == oldObject.metadata.?labels[?%s]")
    return all_of(same.filled(quote(key), quote(key)) for key in keys)


def _kept(condition: Cel, whose: str, what: str) -> Validation:
    wrong = f"is the operator's, and its {what} with it"
    return Validation(
        condition,
        f"{whose}this object {wrong}; change the object that it was made for",
        sentence(
            f"{whose}", code("request.kind.kind + ' ' + request.name"), f" {wrong}; change ", _MADE_FOR, " instead"
        ),
    )
