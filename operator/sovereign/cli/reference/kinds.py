"""A page for each kind: every field with its type, default, bounds and rules, as they stand in the CRD."""

import json
from collections.abc import Iterator
from typing import Any

from sovereign.api.crd import definition
from sovereign.api.kinds import Kind
from sovereign.api.meta import API_VERSION, GROUP
from sovereign.cli.reference.markdown import code, plain, table

Schema = dict[str, Any]


def page(kind: Kind) -> str:
    """The page of ``kind``."""
    (version,) = definition(kind)["spec"]["versions"]
    root = version["schema"]["openAPIV3Schema"]
    scope = "namespaced" if kind.namespaced else "cluster-scoped"
    called = f"Short name `{kind.short_name}`; in full `kubectl get {kind.plural}.{GROUP}`."
    parts = [f"# {kind.kind}\n\n{plain(kind.description)}\n\n`{API_VERSION}`, {scope}. {called}\n"]
    for section in ("spec", "status"):
        if section in root["properties"]:
            schema = root["properties"][section]
            rows = [_row(path, field, required=required) for path, field, required in _fields(schema, section)]
            parts.append(f"## {section}\n\n" + table(("Field", "Type", "Default", "Bounds", "Description"), rows))
    rules = [(code(path), plain(rule["message"]), code(rule["rule"])) for path, rule in _rules(root, "")]
    if rules:
        about = "What the API server checks, besides types and bounds, and says when it does not hold.\n\n"
        parts.append("## Rules\n\n" + about + table(("Field", "Message", "CEL"), rules))
    columns = [(name, code(path), "`-o wide`" if priority else "") for name, _, path, priority in kind.columns]
    parts.append("## Columns of `kubectl get`\n\n" + table(("Column", "Shows", "Only with"), columns))
    return "\n".join(parts)


def _fields(schema: Schema, path: str) -> Iterator[tuple[str, Schema, bool]]:
    """Every field below ``schema``, outside in: path, schema, whether it must be set."""
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}"
        yield here, field, name in required
        yield from _fields(field, here)
        if "items" in field:
            yield from _fields(field["items"], f"{here}[]")


def _row(path: str, field: Schema, *, required: bool) -> tuple[str, str, str, str, str]:
    default = "required" if required else _default(field)
    return code(path), _type(field), default, _bounds(field), plain(field.get("description", ""))


def _type(field: Schema) -> str:
    if field.get("x-kubernetes-int-or-string"):
        return "quantity"
    if field["type"] == "array":
        return f"list of {_type(field['items'])}"
    if field["type"] == "object" and "additionalProperties" in field:
        return f"map to {_type(field['additionalProperties'])}"
    return str(field["type"])


def _default(field: Schema) -> str:
    default = field.get("default")
    if default is None or isinstance(default, dict):
        return ""
    return code(default if isinstance(default, str) else json.dumps(default))


def _bounds(field: Schema) -> str:
    """What is allowed, in words; of a list also what its items may be."""
    words = [
        _range(field, "minimum", "maximum", ""),
        _range(field, "minLength", "maxLength", " characters"),
        _range(field, "minItems", "maxItems", " items"),
        _range(field, "minProperties", "maxProperties", " entries"),
    ]
    if "enum" in field:
        words.append("one of " + ", ".join(code(str(value)) for value in field["enum"]))
    if field.get("x-kubernetes-list-type") == "set":
        words.append("no item twice")
    if field.get("x-kubernetes-list-type") == "map":
        words.append("no " + ", ".join(field["x-kubernetes-list-map-keys"]) + " twice")
    inner = _bounds(field["items"]) if "items" in field else ""
    if inner:
        words.append(f"each {inner}")
    return "; ".join(word for word in words if word)


def _range(field: Schema, least: str, most: str, unit: str) -> str:
    low, high = field.get(least), field.get(most)
    if low is not None and high is not None:
        return f"{low} to {high}{unit}"
    if high is not None:
        return f"at most {high}{unit}"
    return f"at least {low}{unit}" if low is not None else ""


def _rules(schema: Schema, path: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Every CEL rule with the path of the field it stands at."""
    for rule in schema.get("x-kubernetes-validations", ()):
        yield path or "(the object)", rule
    for name, field in schema.get("properties", {}).items():
        yield from _rules(field, f"{path}.{name}".removeprefix("."))
    if "items" in schema:
        yield from _rules(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _rules(schema["additionalProperties"], f"{path}.*")
