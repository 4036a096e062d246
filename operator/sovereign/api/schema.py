"""Building blocks of the kinds: the base model and the annotated types shared by them.

A field's rule is stated once and used twice: by pydantic (files checked offline by ``kubectl sovereign``) and, as a
CEL rule with the same message, by the API server. Every string, list and map is bounded: the API server rejects a CRD
whose CEL rules could become too expensive.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    JsonValue,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

Rule = dict[str, JsonValue]
Rules = list[Rule]


def rule(expression: str, message: str) -> Rule:
    """One ``x-kubernetes-validations`` entry: a CEL ``expression`` over ``self``, and what to do when it fails."""
    return {"rule": expression, "message": message}


class Model(BaseModel):
    """Base of every object in the API: immutable, camelCase on the wire.

    Unknown fields are ignored here, because the API server has already refused or pruned them, and an older operator
    must be able to read objects of a newer CRD. The command line validates with ``extra="forbid"``.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore", use_enum_values=True
    )

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Itself. pydantic copies the default of a field for each object that is read, which is half of what reading costs."""
        return self


@dataclass(frozen=True, eq=False)
class Constraint:
    """What a value must be, for pydantic and for the API server alike; stands in ``Annotated``."""

    check: Callable[[Any], str]
    schema: dict[str, JsonValue]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**self.schema}


def text(pattern: str, message: str, *, max_length: int, min_length: int = 1, cel: str | None = None) -> Constraint:
    """A bounded string that must match ``pattern`` (or the CEL expression ``cel``), or is refused with ``message``."""
    compiled = re.compile(pattern)

    def check(value: Any) -> str:
        bounded = isinstance(value, str) and min_length <= len(value) <= max_length
        if not bounded or not compiled.fullmatch(value):
            raise ValueError(message)
        return str(value)

    quoted = pattern.replace("\\", "\\\\").replace("'", "\\'")
    return Constraint(
        check,
        {
            "type": "string",
            "minLength": min_length,
            "maxLength": max_length,
            "x-kubernetes-validations": [rule(cel or f"self.matches('^(?:{quoted})$')", message)],
        },
    )


_QUANTITY = re.compile(r"(?P<number>[+-]?[0-9]+(?:\.[0-9]*)?|[+-]?\.[0-9]+)(?P<suffix>[a-zA-Z]*|[eE][+-]?[0-9]{1,2})")
"""Exponents have two digits at most: the number of ``1e999999`` takes minutes to compute."""
_WRITTEN = r"[0-9]{1,15}([.][0-9]{1,9})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?"
"""Quantities as people write them. What users may state needs no exponents."""
_MULTIPLIERS: Final[dict[str, Decimal]] = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}


def parse_quantity(value: str | int | float) -> Decimal:
    """The number that a Kubernetes quantity such as ``80Gi``, ``500m`` or ``2`` stands for.

    Raises:
        ValueError: the text is not a quantity, e.g. ``80GB``.

    Source: apimachinery ``resource.Quantity``.
    """
    if not isinstance(value, str):
        return Decimal(str(value))
    match = _QUANTITY.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"{value!r} is not a quantity; write for example 80Gi, 500m or 2")
    suffix = match["suffix"]
    if suffix in _MULTIPLIERS:
        return Decimal(match["number"]) * _MULTIPLIERS[suffix]
    try:
        return Decimal(value.strip())
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a quantity; write for example 80Gi, 500m or 2") from None


def _positive_quantity(message: str) -> Callable[[Any], str]:
    written = re.compile(_WRITTEN)

    def check(value: Any) -> str:
        known = isinstance(value, (str, int)) and not isinstance(value, bool)
        if not known or not written.fullmatch(str(value)) or parse_quantity(value) <= 0:
            raise ValueError(message)
        return str(value)

    return check


def quantity(message: str, *examples: str) -> Constraint:
    """A positive Kubernetes quantity, written as a string or an integer."""
    cel = (
        "type(self) == int ? int(self) > 0 : "
        f"string(self).matches('^({_WRITTEN})$') && quantity(string(self)).isGreaterThan(quantity('0'))"
    )
    return Constraint(
        _positive_quantity(message),
        {
            "x-kubernetes-int-or-string": True,
            "maxLength": 24,
            "x-kubernetes-validations": [rule(cel, message)],
            "examples": [*examples],
        },
    )


def _cidr(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        raise ValueError(CIDR_MESSAGE) from None
    return value


CIDR_MESSAGE: Final = "write a network in CIDR form with no host bits set, for example 10.1.0.0/16 or fd00:1::/64"
Cidr = Annotated[
    str,
    Field(
        min_length=1,
        max_length=43,
        json_schema_extra={
            "x-kubernetes-validations": [rule("isCIDR(self) && cidr(self) == cidr(self).masked()", CIDR_MESSAGE)]
        },
    ),
    AfterValidator(_cidr),
]

# Longer than need be, here and elsewhere: a value that is too long is refused without the message that would help.
DURATION_MESSAGE: Final = "write a duration as a whole number with its unit: 60s, 5m or 1h"
Duration = Annotated[str, text(r"[0-9]{1,6}[smh]", DURATION_MESSAGE, max_length=32)]


def seconds(duration: str) -> int:
    """The length of a ``Duration`` such as ``5m``, in seconds."""
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]


DnsLabel = Annotated[
    str,
    text(
        r"[a-z0-9]([-a-z0-9]*[a-z0-9])?",
        "write a name of lower-case letters, digits and '-', for example mistral-small",
        max_length=63,
    ),
]
ObjectName = Annotated[
    str,
    text(
        r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?",
        "write the name of an object: lower-case letters, digits, '-' and '.', for example fast-fr",
        max_length=253,
    ),
]
SHA256_MESSAGE: Final = "write a SHA-256 digest: sha256: followed by 64 lower-case hexadecimal digits"
Sha256 = Annotated[str, text(r"sha256:[a-f0-9]{64}", SHA256_MESSAGE, max_length=256)]
# Grammar of distribution/reference. The host needs a dot, a port, or to be localhost: any other first segment is a folder of
# docker.io to a container runtime.
_HOST_LABEL: Final = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
REGISTRY_HOST: Final = (
    f"(?:(?:localhost|{_HOST_LABEL}(?:[.]{_HOST_LABEL})+)(?::[0-9]{{1,5}})?|{_HOST_LABEL}:[0-9]{{1,5}})"
)
IMAGE_PATH: Final = "/[a-z0-9]+(?:(?:[.]|_|__|-+)[a-z0-9]+)*"
IMAGE_TAG: Final = ":[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
IMAGE_DIGEST: Final = "@sha256:[a-f0-9]{64}"
ImageReference = Annotated[
    str,
    text(
        f"{REGISTRY_HOST}(?:{IMAGE_PATH})+(?:{IMAGE_TAG})?{IMAGE_DIGEST}",
        "write an image with its registry and digest, for example registry.example.eu/ai/vllm@sha256:<64 hex digits>; "
        "a tag alone may point to something else tomorrow",
        max_length=512,
    ),
]
_LABEL_KEY: Final = r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
LABEL_KEY_MESSAGE: Final = "write a label key, for example sovereignai.io/tier"
LabelKey = Annotated[str, text(_LABEL_KEY, LABEL_KEY_MESSAGE, max_length=317)]
LabelValue = Annotated[
    str,
    text(
        r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?",
        "write a label value: 63 letters, digits, '-', '_' and '.' at most, or nothing",
        max_length=63,
        min_length=0,
    ),
]
LABEL_KEYS: Final = rule(f"self.all(k, k.matches('^(?:{_LABEL_KEY})$'))", LABEL_KEY_MESSAGE)


VALUES_MESSAGE: Final = "In and NotIn need values; Exists and DoesNotExist take none"
VALUES_WHERE_NEEDED: Final = rule(
    "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)", VALUES_MESSAGE
)


class SelectorRequirement(Model):
    """One expression of a label selector."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [VALUES_WHERE_NEEDED]})

    key: LabelKey = Field(description="Label key, for example sovereignai.io/tier.")
    operator: Annotated[
        str,
        Field(
            pattern="^(In|NotIn|Exists|DoesNotExist)$",
            json_schema_extra={"enum": ["In", "NotIn", "Exists", "DoesNotExist"]},
            max_length=12,
        ),
    ] = Field(description="How the label's value relates to values: In, NotIn, Exists or DoesNotExist.")
    values: list[LabelValue] = Field(
        default=[],
        max_length=64,
        description="Values for In and NotIn; empty for Exists and DoesNotExist. Default: none.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )

    @model_validator(mode="after")
    def _values_where_needed(self) -> Self:
        if (self.operator in ("In", "NotIn")) != bool(self.values):
            raise ValueError(VALUES_MESSAGE)
        return self


class LabelSelector(Model):
    """Which objects are meant, by their labels. All that is written must hold."""

    match_labels: dict[LabelKey, LabelValue] = Field(
        default={},
        max_length=16,
        description="Labels that must be there with exactly these values, for example {sovereignai.io/tier: restricted}. Default: none.",
        json_schema_extra={"x-kubernetes-validations": [LABEL_KEYS]},
    )
    match_expressions: list[SelectorRequirement] = Field(
        default=[],
        max_length=16,
        description="Further expressions over labels. Default: none.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )

    @property
    def empty(self) -> bool:
        """Whether nothing is asked for, so that everything would match."""
        return not self.match_labels and not self.match_expressions

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with ``labels`` is selected.

        Source: apimachinery ``labels.Selector``: NotIn also holds where the key is missing.
        """
        if any(labels.get(key) != value for key, value in self.match_labels.items()):
            return False
        return all(_holds(requirement, labels) for requirement in self.match_expressions)

    def to_dict(self) -> dict[str, Any]:
        """The selector as Kubernetes writes it, with empty parts left out."""
        return self.model_dump(by_alias=True, exclude_defaults=True)


def _holds(requirement: SelectorRequirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value is not None and value in requirement.values
        case "NotIn":
            return value is None or value not in requirement.values
        case "Exists":
            return value is not None
        case _:
            return value is None


NOT_EMPTY: Final = rule(
    "(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
    "an empty selector would select everything; name at least one label, or an expression such as "
    "{key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system]}",
)
