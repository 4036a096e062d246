"""Namespaces stay governed, and keep their level of Pod Security. Deleting one is free.

A ``namespaceSelector`` is matched against a namespace's new labels, so these rules are asked about every namespace and
look at the old labels themselves. The subresources of namespaces can change labels too.

Source: ``namespaceStatusStrategy`` and ``namespaceFinalizeStrategy`` of the API server; the Pod Security Standards.
"""

from typing import Final

from sovereign.plan import canary_requests
from sovereign.plan.cel import code, variable
from sovereign.plan.inventory import Policy, Settings
from sovereign.plan.rules import Rules, Validation, resources
from sovereign.plan.selectors import governs

_NAMESPACES: Final = resources("", "v1", ["UPDATE"], ["namespaces", "namespaces/finalize", "namespaces/status"])
_LABELS_CHANGE: Final = ("labels-change", code("object.metadata.?labels != oldObject.metadata.?labels"))

_LEVEL: Final = "pod-security.kubernetes.io/enforce"
_VERSION: Final = "pod-security.kubernetes.io/enforce-version"
_VARIABLES: Final = (
    ("before", code("oldObject.metadata.?labels.orValue({})")),
    ("after", code("object.metadata.?labels.orValue({})")),
)
# Without a label there is what the API server's own configuration says, which nobody in the cluster can lower.
_LEVEL_KEPT: Final = code(
    "variables.before[?'pod-security.kubernetes.io/enforce'] == variables.after[?'pod-security.kubernetes.io/enforce'] || "
    "['privileged', 'baseline', 'restricted'].indexOf(variables.after[?'pod-security.kubernetes.io/enforce'].orValue('')) > "
    "['privileged', 'baseline', 'restricted'].indexOf(variables.before[?'pod-security.kubernetes.io/enforce'].orValue('privileged'))"
)
_VERSION_KEPT: Final = code(
    "variables.before[?'pod-security.kubernetes.io/enforce-version'] == "
    "variables.after[?'pod-security.kubernetes.io/enforce-version'] || "
    "variables.after[?'pod-security.kubernetes.io/enforce-version'].orValue('latest') == 'latest'"
)


def namespace_rules(policy: Policy, settings: Settings) -> Rules:
    """The rules about changes to the labels of namespaces that the policy governs."""
    whose = f"policy {policy.name}: "
    governed_before = governs(policy, settings, variable("before"))
    governed_after = governs(policy, settings, variable("after"))
    validations = (
        Validation(
            ~variable("governed") | variable("stays"),
            f"{whose}these labels would release the namespace from the policy; change the policy's namespaceSelector instead, or set "
            "its enforcement to Audit first",
        ),
        Validation(
            ~variable("governed") | _LEVEL_KEPT,
            f"{whose}the label {_LEVEL} of a governed namespace may only be raised (privileged, baseline, restricted); leave it, or "
            "set the policy's enforcement to Audit first",
        ),
        Validation(
            ~variable("governed") | _VERSION_KEPT,
            f"{whose}the label {_VERSION} of a governed namespace may only become latest; leave it, or set the policy's enforcement to "
            "Audit first",
        ),
    )
    variables = (*_VARIABLES, ("governed", governed_before), ("stays", governed_after))
    canary = canary_requests.namespace_relaxed()
    return Rules(
        "namespaces", (_NAMESPACES,), validations, variables, (_LABELS_CHANGE,), everywhere=True, canary=canary
    )
