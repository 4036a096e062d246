"""The shape of admission rules before they become manifests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from sovereign.plan.canaries import Trial
from sovereign.plan.cel import Cel, all_of, code, quote, sentence, strings, with_variables
from sovereign.plan.inventory import Settings

SPEC_CHANGES: Final = (
    # What is in breach already must still lose its labels and finalizers, or it could never be repaired.
    "spec-changes",
    code("request.operation == 'CREATE' || object.spec != oldObject.spec"),
)
"""A condition: only what changes the spec is judged."""


@dataclass(frozen=True)
class Validation:
    """One rule: what must hold, and what is said when it does not."""

    expression: Cel
    message: str
    """For when ``explanation`` cannot be computed. Begins with the policy's name."""
    explanation: Cel | None = None
    """A string expression that also says what was found."""

    def to_dict(self) -> dict[str, Any]:
        """The entry of ``spec.validations``."""
        result = {"expression": self.expression.text, "message": self.message, "reason": "Forbidden"}
        if self.explanation is not None:
            result["messageExpression"] = self.explanation.text
        return result


@dataclass(frozen=True)
class Rules:
    """What becomes one ValidatingAdmissionPolicy."""

    suffix: str
    """The end of its name."""
    resources: tuple[dict[str, Any], ...]
    validations: tuple[Validation, ...]
    variables: tuple[tuple[str, Cel], ...] = ()
    conditions: tuple[tuple[str, Cel], ...] = ()
    """What must hold for the rules to be asked at all."""
    everywhere: bool = False
    """Whether they are asked in all namespaces, and not in the governed ones alone. Objects without a namespace always are."""
    screened: bool = False
    """Whether a last condition keeps out what breaks none of the rules: see `screen`. Not for what is said of ``namespaceObject``,
    which conditions do not have, nor for lists of nodes, which would be there twice."""
    canary: Trial | None = None
    """How it is tried whether they are in force. Only None where nothing can be, which `tests/plan/policy` has to know."""

    @property
    def screen(self) -> tuple[str, Cel]:
        """A condition: some rule is broken.

        The API server computes all explanations of a policy that matches, also when nothing is refused, and makes the object ready for
        CEL once for the conditions, once for the rules, once for the explanations and once for audit annotations. What is lawful
        is done after the first.
        """
        return "in-breach", ~with_variables(self.variables, all_of(rule.expression for rule in self.validations))


def resources(group: str, version: str, operations: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """One entry of ``resourceRules``."""
    return {
        "apiGroups": [group],
        "apiVersions": [version],
        "operations": list(operations),
        "resources": list(names),
        "scope": "*",
    }


def by_others(settings: Settings) -> tuple[str, Cel]:
    """A condition: what the operator itself writes is not judged."""
    return "by-others", code("request.userInfo.username != %s").filled(quote(settings.operator_user))


def by_controllers(*names: LiteralString) -> Cel:
    """Whether one of these controllers of the cluster asks.

    With --use-service-account-credentials each has a service account of its own, without it all are the controller manager.
    """
    accounts = (f"system:serviceaccount:kube-system:{name}" for name in names)
    return code("request.userInfo.username").within(strings(["system:kube-controller-manager", *accounts]))


def each(
    items: Cel, variable: LiteralString, lawful: Cel, whose: str, what: str, wrong: str, *, shown: Cel | None = None
) -> Validation:
    """A rule about each of ``items``, called ``variable`` in ``lawful``, which names those that break it.

    Args:
        items: a list.
        variable: what an item is called.
        lawful: whether an item is as it must be.
        whose: how messages begin.
        what: an item in words, with its article.
        wrong: what is wrong with one that is not, and what to do.
        shown: an item's name; the item itself, a string, by default.
    """
    found = items.where(variable, ~lawful)
    names = (found if shown is None else found.each(variable, shown)).joined(", ")
    return Validation(
        items.every(variable, lawful),
        f"{whose}{what} {wrong}",
        sentence(f"{whose}{what.partition(' ')[2]} ", names, f" {wrong}"),
    )
