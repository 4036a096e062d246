"""Label selectors as CEL, for rules about what a ``namespaceSelector`` of Kubernetes cannot say: old labels, and all other namespaces.

Source: apimachinery ``labels.Selector``, as `LabelSelector.matches` has it.
"""

from collections.abc import Iterator
from typing import Final

from sovereign.api.schema import LabelSelector, SelectorRequirement
from sovereign.plan.cel import Cel, all_of, code, quote, strings
from sovereign.plan.governance import NAMESPACE_NAME
from sovereign.plan.inventory import Policy, Settings

NAMESPACE_LABELS: Final = code("namespaceObject.metadata.?labels.orValue({})")
"""The labels of the namespace that a request is about."""


def governs(policy: Policy, settings: Settings, labels: Cel) -> Cel:
    """Whether ``policy`` governs a namespace that has ``labels``, an expression of a map."""
    exempt = _in(labels, NAMESPACE_NAME, list(settings.ungoverned_namespaces))
    return all_of([*_terms(policy.spec.namespace_selector, labels), ~exempt])


def selects(selector: LabelSelector, labels: Cel) -> Cel:
    """Whether ``selector`` selects an object that has ``labels``, an expression of a map."""
    return all_of(_terms(selector, labels))


def _terms(selector: LabelSelector, labels: Cel) -> Iterator[Cel]:
    for key, value in sorted(selector.match_labels.items()):
        yield _in(labels, key, [value])
    for requirement in selector.match_expressions:
        yield _requirement(requirement, labels)


def _requirement(requirement: SelectorRequirement, labels: Cel) -> Cel:
    match requirement.operator:
        case "In":
            return _in(labels, requirement.key, requirement.values)
        case "NotIn":
            return ~_in(labels, requirement.key, requirement.values)
        case "Exists":
            return quote(requirement.key).within(labels)
        case _:
            return ~quote(requirement.key).within(labels)


def _in(labels: Cel, key: str, values: list[str]) -> Cel:
    return code("%s in %s && %s[%s] in %s").filled(quote(key), labels, labels, quote(key), strings(values))
