"""Admission objects compiled from a policy: what the API server itself refuses, with the operator up or down.

Manifests are written as the API server stores them, defaults included, so that applying an unchanged plan
is no difference. The rules live in modules of their own, one for each subject.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from sovereign.api.meta import LABEL_POLICY, approved_label
from sovereign.plan import (
    access_rules,
    approval,
    canary_requests,
    child_rules,
    claim_rules,
    dedicated_rules,
    namespace_rules,
    network_rules,
    node_rules,
    pod_rules,
    reserved_rules,
    service_rules,
    status_rules,
    volume_rules,
)
from sovereign.plan.canaries import Trial
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

    @property
    def enforced(self) -> bool:
        return self.policy.spec.enforcement == "Enforce"

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


@dataclass(frozen=True)
class Admission:
    """What is compiled from a policy."""

    objects: tuple[Manifest, ...] = ()
    trials: tuple[tuple[str, Trial], ...] = ()
    """How each object that decides is tried, by its name; none in Audit, where nothing is refused."""

    def __add__(self, other: "Admission") -> "Admission":
        return Admission(self.objects + other.objects, self.trials + other.trials)


class Compiler:
    """Compiles one policy for one set of approved nodes after the other; what does not name them is compiled once."""

    def __init__(self, policy: Policy, settings: Settings) -> None:
        self._scope: Final = _Scope(policy, settings)

    def compile(self, approved: Collection[str]) -> Admission:
        """All admission objects of the policy, whose approved nodes are ``approved``, and how they are tried.

        Raises:
            ValueError: more nodes than `approval.fits` allows.
        """
        return _compiled(self._scope, _node_rules(self._scope.policy, approved, self._scope.settings)) + self._rest

    @cached_property
    def _rest(self) -> Admission:
        """What is the same whichever nodes are approved."""
        rules = _compiled(self._scope, _other_rules(self._scope.policy, self._scope.settings))
        return rules + _mutations(self._scope)


def compile_policy(policy: Policy, approved: Collection[str], settings: Settings) -> Admission:
    """What a `Compiler` makes of ``policy``."""
    return Compiler(policy, settings).compile(approved)


def compiled_rules(policy: Policy, approved: Collection[str], settings: Settings) -> tuple[Rules, ...]:
    """All rules of ``policy``, whose approved nodes are ``approved``.

    Raises:
        ValueError: more nodes than `approval.fits` allows.
    """
    return (*_node_rules(policy, approved, settings), *_other_rules(policy, settings))


def _node_rules(policy: Policy, approved: Collection[str], settings: Settings) -> tuple[Rules, ...]:
    shards = tuple(approval.shards(approved))
    return (
        *approval.approval_rules(policy, shards),
        *node_rules.node_rules(policy, shards, settings),
        *dedicated_rules.dedicated_rules(policy, shards, settings),
    )


def _other_rules(policy: Policy, settings: Settings) -> tuple[Rules, ...]:
    return (
        namespace_rules.namespace_rules(policy, settings),
        pod_rules.pod_rules(policy),
        claim_rules.claim_rules(policy),
        *network_rules.network_rules(policy, settings),
        *access_rules.access_rules(policy),
        *reserved_rules.reserved_rules(policy, settings),
        child_rules.child_rules(policy, settings),
        *service_rules.service_rules(policy, settings),
        *volume_rules.volume_rules(policy, settings),
        status_rules.status_rules(policy, settings),
    )


def admission_objects(policy: Policy, approved: Collection[str], settings: Settings) -> tuple[Manifest, ...]:
    """The objects of `compile_policy`."""
    return compile_policy(policy, approved, settings).objects


def _compiled(scope: _Scope, compiled: Sequence[Rules]) -> Admission:
    objects = [manifest for rules in compiled for manifest in _validating(scope, rules)]
    tried = compiled if scope.enforced else ()
    trials = [(scope.name(rules.suffix), rules.canary) for rules in tried if rules.canary is not None]
    return Admission(tuple(objects), tuple(trials))


def _mutations(scope: _Scope) -> Admission:
    """None in Audit, where nothing is changed."""
    if not (scope.enforced and scope.settings.mutating_admission):
        return Admission()
    dedicated = _keeping_off(scope) if scope.policy.spec.placement.dedicated else ()
    return Admission((*_pinning(scope), *dedicated), ((scope.name("pin"), canary_requests.pinned(scope.policy)),))


def _validating(scope: _Scope, rules: Rules) -> tuple[Manifest, Manifest]:
    """A ValidatingAdmissionPolicy and its binding."""
    spec: dict[str, Any] = {
        "failurePolicy": "Fail",
        "matchConstraints": scope.constraints(rules.resources, everywhere=rules.everywhere),
        "validations": [validation.to_dict() for validation in rules.validations],
    }
    conditions = (*rules.conditions, rules.screen) if rules.screened else rules.conditions
    if conditions:
        spec["matchConditions"] = [{"name": name, "expression": condition.text} for name, condition in conditions]
    if rules.variables:
        spec["variables"] = [{"name": name, "expression": expression.text} for name, expression in rules.variables]
    actions = ["Deny"] if scope.enforced else ["Warn", "Audit"]
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


def _keeping_off(scope: _Scope) -> tuple[Manifest, Manifest]:
    """A MutatingAdmissionPolicy and its binding: strangers' pods are not scheduled to dedicated nodes.

    It stands in nobody's way: where it fails, the validating rules refuse.
    """
    affinity = dedicated_rules.keep_off(scope.policy, scope.settings)
    spec: dict[str, Any] = {
        "failurePolicy": "Ignore",
        "matchConditions": [{"name": name, "expression": condition.text} for name, condition in affinity.conditions],
        "matchConstraints": scope.constraints([resources("", "v1", ["CREATE"], ["pods"])], everywhere=True),
        "mutations": [{"jsonPatch": {"expression": affinity.patches.text}, "patchType": "JSONPatch"}],
        "reinvocationPolicy": "IfNeeded",
        "variables": [{"name": name, "expression": expression.text} for name, expression in affinity.variables],
    }
    return (
        scope.manifest("MutatingAdmissionPolicy", "keepoff", spec),
        scope.manifest("MutatingAdmissionPolicyBinding", "keepoff", {"policyName": scope.name("keepoff")}),
    )
