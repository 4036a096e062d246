"""Manifests become typed objects, or a list of what is wrong with them: as strict as the API server, with its messages."""

import difflib
import re
import typing
from collections.abc import Iterator
from typing import Any, Final

from pydantic import ValidationError

from sovereign.api.kinds import BY_KIND, Kind
from sovereign.api.meta import API_VERSION, GROUP
from sovereign.api.schema import Model, parse_quantity
from sovereign.cli import rules
from sovereign.cli.documents import Document, Where
from sovereign.plan.inventory import Node, Owner

_TOP: Final = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class Invalid(Exception):
    """An object that the API server would refuse.

    Args:
        messages: one line for each thing that is wrong, with its place.
    """

    def __init__(self, messages: list[str]) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages


def kind_of(document: Document) -> Kind | None:
    """Which of our kinds an object is; none when it is somebody else's.

    Raises:
        Invalid: the object says that it is ours, but of a version or kind that is not there.
    """
    version, kind = document.content.get("apiVersion"), document.content.get("kind")
    if not isinstance(version, str) or not isinstance(kind, str):
        raise Invalid([f"{document.at()}: apiVersion and kind must be set"])
    group = version.partition("/")[0]
    if group != GROUP:
        if kind in ("SovereigntyPolicy", "SovereignModel"):
            raise Invalid([f"{document.at(('apiVersion',))}: {kind} is of apiVersion {API_VERSION}, not {version}"])
        return None
    if version != API_VERSION:
        raise Invalid([f"{document.at(('apiVersion',))}: {version} is not known; write {API_VERSION}"])
    if kind not in BY_KIND:
        known = ", ".join(sorted(BY_KIND))
        raise Invalid([f"{document.at(('kind',))}: {GROUP} has no kind {kind}; it has {known}"])
    return BY_KIND[kind]


def owner_of(document: Document, kind: str, namespace: str) -> Owner:
    """Name, namespace and labels of an object; ``namespace`` is used where it names none.

    Raises:
        Invalid: it has no name, or one that no object can have.
    """
    metadata = document.content.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise Invalid([f"{document.at(('metadata',))}: {kind}: metadata.name must be set"])
    name = metadata["name"]
    own = metadata.get("namespace") or namespace
    problems = []
    if not _NAME.fullmatch(name):
        problems.append(_line(document, kind, name, ("metadata", "name"), f"{name!r} is not a name; {_NAME_ADVICE}"))
    if namespace and not (isinstance(own, str) and _NAMESPACE.fullmatch(own)):
        problems.append(_line(document, kind, name, ("metadata", "namespace"), f"{own!r} is not a namespace's name"))
    labels = metadata.get("labels") or {}
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        problems.append(_line(document, kind, name, ("metadata", "labels"), "labels must be strings; quote the values"))
    if problems:
        raise Invalid(problems)
    return Owner(
        kind=kind,
        name=name,
        uid=str(metadata.get("uid") or ""),
        namespace=own if namespace else "",
        generation=metadata.get("generation") or 0,
        labels=labels,
    )


_NAME_ADVICE: Final = "use lower-case letters, digits, '-' and '.'"


def spec_of(document: Document, kind: Kind, name: str) -> Any:
    """The typed spec of one of our objects.

    Raises:
        Invalid: a field or a rule is not kept, or a field is unknown.
    """
    problems = [
        _line(document, kind.kind, name, (key,), _unknown(key, _TOP)) for key in document.content if key not in _TOP
    ]
    spec = document.content.get("spec")
    if not isinstance(spec, dict):
        raise Invalid([*problems, _line(document, kind.kind, name, ("spec",), "spec must be set")])
    try:
        typed = kind.spec.model_validate(_pruned(spec), strict=True, extra="forbid", by_alias=True, by_name=False)
    except ValidationError as error:
        problems += [_line(document, kind.kind, name, where, text) for where, text in _complaints(kind, error)]
        raise Invalid(problems) from None
    problems += [
        _line(document, kind.kind, name, broken.where, broken.message) for broken in rules.broken(kind, name, typed)
    ]
    if problems:
        raise Invalid(problems)
    return typed


def status_of(document: Document, kind: Kind, name: str) -> dict[str, Any]:
    """The status that an object was read from a cluster with; empty when it was written by hand.

    Raises:
        Invalid: it is not what an operator writes.
    """
    status = document.content.get("status")
    if status is None or kind.status is None:
        return {}
    try:
        kind.status.model_validate(status)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        raise Invalid([_line(document, kind.kind, name, ("status", *detail["loc"]), detail["msg"])]) from None
    return dict(status)


def node_of(document: Document, owner: Owner) -> Node:
    """A Node, as far as placement is concerned.

    Raises:
        Invalid: ``spec``, ``status.nodeInfo`` or ``status.allocatable`` is not what a Node has.
    """
    spec, status = document.content.get("spec") or {}, document.content.get("status") or {}
    if not isinstance(spec, dict) or not isinstance(status, dict):
        raise Invalid([f"{document.at()}: Node {owner.name}: spec and status must be objects"])
    info = status.get("nodeInfo") or {}
    if not isinstance(info, dict):
        raise Invalid([_line(document, "Node", owner.name, ("status", "nodeInfo"), "it must be an object")])
    allocatable = status.get("allocatable") or {}
    try:
        quantities = {key: str(_quantity(value)) for key, value in allocatable.items()}
    except (AttributeError, ValueError) as error:
        raise Invalid([_line(document, "Node", owner.name, ("status", "allocatable"), str(error))]) from None
    return Node(
        name=owner.name,
        uid=owner.uid,
        labels=owner.labels,
        allocatable=quantities,
        unschedulable=bool(spec.get("unschedulable")),
        provider_id=str(spec.get("providerID") or ""),
        system_uuid=str(info.get("systemUUID") or ""),
    )


def _quantity(value: Any) -> str | int:
    """``value``, if it is a quantity that is no less than nothing."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValueError(f"{value!r} is not a quantity; write for example 80Gi, 500m or 2")  # noqa: TRY004 - told as any other
    if parse_quantity(value) < 0:
        raise ValueError(f"{value} is less than nothing")
    return value


def _line(document: Document, kind: str, name: str, where: Where, message: str) -> str:
    return f"{document.at(where)}: {kind} {name}: {_dotted(where)}: {message}"


def _dotted(where: Where) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where).removeprefix(".")


def _pruned(value: Any) -> Any:
    """``value`` without fields that are null: the API server drops them before it sets defaults."""
    if isinstance(value, dict):
        return {key: _pruned(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_pruned(item) for item in value]
    return value


def _complaints(kind: Kind, error: ValidationError) -> Iterator[tuple[Where, str]]:
    for detail in error.errors(include_url=False):
        steps = tuple(detail["loc"])
        # pydantic marks a map's key by a last step that is no field.
        where: Where = ("spec", *(step for step in steps if step != "[key]"))
        match detail["type"]:
            case "extra_forbidden":
                message = _unknown(str(steps[-1]), _fields(kind.spec, steps[:-1]))
            case "missing":
                message = "must be set"
            case _:
                message = detail["msg"].removeprefix("Value error, ")
        if isinstance(detail["input"], bool) and detail["type"] != "extra_forbidden":
            message += "; YAML reads an unquoted NO, ON or YES as true or false, so put it in quotes"
        yield where, message


def _unknown(name: str, known: typing.Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"there is no such field; did you mean {near[0]}?" if near else "there is no such field; remove it"


def _fields(model: type[Model], steps: Where) -> list[str]:
    """The names of the fields at ``steps`` below ``model``."""
    for step in steps:
        if isinstance(step, int):
            continue
        info = next((info for info in model.model_fields.values() if info.alias == step), None)
        inner = _model_in(info.annotation) if info is not None else None
        if inner is None:
            return []
        model = inner
    return [str(info.alias) for info in model.model_fields.values()]


def _model_in(annotation: Any) -> type[Model] | None:
    """The model that a field holds, alone, in a list or where it may be left out."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    return next((found for part in typing.get_args(annotation) if (found := _model_in(part))), None)
