"""Admission objects compiled from a policy: what the API server itself refuses, with the operator up or down.

Manifests are written as the API server stores them, defaults included, so that applying an unchanged plan
is no difference. The rules live in modules of their own, one for each subject.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sovereign.api.meta import LABEL_POLICY, approved_label
from sovereign.plan import (
    access_rules,
    approval,
    child_rules,
    claim_rules,
    dedicated_rules,
    namespace_rules,
    network_rules,
    node_rules,
    pod_rules,
    reserved_rules,
)
from sovereign.plan.cel import choose, code, quote
from sovereign.plan.children import child
from sovereign.plan.governance import NAMESPACE_NAME
from sovereign.plan.inventory import Manifest, Policy, Settings
from sovereign.plan.rules import Rules, resources

API_VERSION: Final = "admissionregistration.k8s.io/v1"


@dataclass(frozen=True)
class _Scope:
    """The policy that is compiled, and the installation it is compiled for."""

    policy: Policy
    settings: Settings

    def name(self, suffix: str) -> str:
        return f"sovereign-{self.policy.name}-{suffix}"

    def manifest(self, kind: str, suffix: str, spec: dict[str, Any]) -> Manifest:
        return child(
            API_VERSION,
            kind,
            self.name(suffix),
            self.policy.owner,
            component="admission",
            extra_labels={LABEL_POLICY: self.policy.name},
            spec=spec,
        )

    def constraints(self, resource_rules: Sequence[dict[str, Any]], *, everywhere: bool = False) -> dict[str, Any]:
        """``matchConstraints``: these resources, in the governed namespaces or ``everywhere``."""
        return {
            "matchPolicy": "Equivalent",
            "namespaceSelector": {} if everywhere else self._governed(),
            "objectSelector": {},
            "resourceRules": list(resource_rules),
        }

    def _governed(self) -> dict[str, Any]:
        selector = self.policy.spec.namespace_selector.to_dict()
        ungoverned = {
            "key": NAMESPACE_NAME,
            "operator": "NotIn",
            "values": list(self.settings.ungoverned_namespaces),
        }
        selector["matchExpressions"] = [*selector.get("matchExpressions", []), ungoverned]
        return selector


def admission_objects(policy: Policy, approved: Collection[str], settings: Settings) -> tuple[Manifest, ...]:
    """All admission objects of ``policy``, whose approved nodes are ``approved``.

    Raises:
        ValueError: more nodes than `approval.fits` allows.
    """
    scope = _Scope(policy, settings)
    shards = tuple(approval.shards(approved))
    compiled = [
        *approval.approval_rules(policy, shards),
        *node_rules.node_rules(policy, shards, settings),
        *dedicated_rules.dedicated_rules(policy, shards, settings),
        namespace_rules.namespace_rules(policy, settings),
        pod_rules.pod_rules(policy),
        claim_rules.claim_rules(policy),
        *network_rules.network_rules(policy, settings),
        *access_rules.access_rules(policy),
        *reserved_rules.reserved_rules(policy, settings),
        child_rules.child_rules(policy, settings),
    ]
    objects = [manifest for rules in compiled for manifest in _validating(scope, rules)]
    if settings.mutating_admission and policy.spec.enforcement == "Enforce":
        objects += _pinning(scope)
    return tuple(objects)


def _validating(scope: _Scope, rules: Rules) -> tuple[Manifest, Manifest]:
    """A ValidatingAdmissionPolicy and its binding."""
    spec: dict[str, Any] = {
        "failurePolicy": "Fail",
        "matchConstraints": scope.constraints(rules.resources, everywhere=rules.everywhere),
        "validations": [validation.to_dict() for validation in rules.validations],
    }
    if rules.conditions:
        spec["matchConditions"] = [{"name": name, "expression": condition.text} for name, condition in rules.conditions]
    if rules.variables:
        spec["variables"] = [{"name": name, "expression": expression.text} for name, expression in rules.variables]
    actions = ["Deny"] if scope.policy.spec.enforcement == "Enforce" else ["Warn", "Audit"]
    binding = {"policyName": scope.name(rules.suffix), "validationActions": actions}
    return (
        scope.manifest("ValidatingAdmissionPolicy", rules.suffix, spec),
        scope.manifest("ValidatingAdmissionPolicyBinding", rules.suffix, binding),
    )


def _pinning(scope: _Scope) -> tuple[Manifest, Manifest]:
    """A MutatingAdmissionPolicy and its binding: a pod that nobody pinned selects approved nodes.

    By JSONPatch, because a node selector is atomic to ApplyConfiguration. A pod that comes with a node is left to
    the validating rules.
    """
    label = quote(approved_label(scope.policy.name))
    selector = code("object.spec.nodeSelector")
    has_selector = code("has(object.spec.nodeSelector)")
    unpinned = ~has_selector | ~label.within(selector)
    without_node = code("object.spec.?nodeName.orValue('') == ''")
    add_key = code("[JSONPatch{op: 'add', path: '/spec/nodeSelector/' + jsonpatch.escapeKey(%s), value: 'true'}]")
    add_map = code("[JSONPatch{op: 'add', path: '/spec/nodeSelector', value: {%s: 'true'}}]")
    patch = choose(has_selector, add_key.filled(label), add_map.filled(label))
    spec: dict[str, Any] = {
        "failurePolicy": "Fail",
        "matchConditions": [
            {"name": "without-node", "expression": without_node.text},
            {"name": "not-pinned", "expression": unpinned.text},
        ],
        "matchConstraints": scope.constraints([resources("", "v1", ["CREATE"], ["pods"])]),
        "mutations": [{"jsonPatch": {"expression": patch.text}, "patchType": "JSONPatch"}],
        "reinvocationPolicy": "IfNeeded",  # another mutation may replace the whole selector afterwards
    }
    return (
        scope.manifest("MutatingAdmissionPolicy", "pin", spec),
        scope.manifest("MutatingAdmissionPolicyBinding", "pin", {"policyName": scope.name("pin")}),
    )
