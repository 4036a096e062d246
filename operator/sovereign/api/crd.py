"""CustomResourceDefinitions from the pydantic models.

Run as ``python -m sovereign.api.crd DIRECTORY`` (``make crds``). What pydantic writes is JSON Schema; the API server wants a
structural OpenAPI v3 schema, so ``$ref`` is inlined, ``anyOf [X, null]`` becomes X, and what Kubernetes does not know is dropped.
Source: apiextensions "Specifying a structural schema".
"""

import sys
from pathlib import Path
from typing import Any, Final

import yaml

from sovereign.api.kinds import KINDS, Kind
from sovereign.api.meta import GROUP, VERSION
from sovereign.api.schema import Rules

_DROPPED: Final = ("title", "additionalProperties", "const", "examples", "$defs")


def _structural(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """``schema`` with references inlined and everything left out that a CRD may not hold."""
    if "$ref" in schema:
        target = definitions[schema["$ref"].rsplit("/", 1)[-1]]
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    if "anyOf" in schema:
        (present,) = [option for option in schema["anyOf"] if option.get("type") != "null"]
        outer = {key: value for key, value in schema.items() if key != "anyOf"}
        return _structural({**_resolved(present, definitions), **outer}, definitions)
    result = {key: value for key, value in schema.items() if key not in _DROPPED}
    if result.get("x-kubernetes-validations"):
        result.pop("pattern", None)
    _default(result)
    if schema.get("type") == "object":
        _object(result, schema, definitions)
    if "items" in schema:
        result["items"] = _structural(schema["items"], definitions)
    if result.get("type") == "integer":
        result["format"] = "int64"
    return result


def _default(schema: dict[str, Any]) -> None:
    """Keep of the default only what is more than its absence; an object's is kept whole, so that its fields' own apply."""
    default = _pruned(schema.pop("default", None))
    if default not in (None, []) and (default != {} or "properties" in schema):
        schema["default"] = default


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: kept for key, item in value.items() if (kept := _pruned(item)) not in (None, [], {})}
    return value


def _resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    rest = {key: value for key, value in schema.items() if key != "$ref"}
    return {**definitions[schema["$ref"].rsplit("/", 1)[-1]], **rest}


def _object(result: dict[str, Any], schema: dict[str, Any], definitions: dict[str, Any]) -> None:
    if "properties" in schema:
        result["properties"] = {name: _structural(value, definitions) for name, value in schema["properties"].items()}
        return
    values = schema.get("additionalProperties", {})
    result["additionalProperties"] = _structural(values if isinstance(values, dict) else {}, definitions)
    result.pop("propertyNames", None)


def _with_rules(schema: dict[str, Any], rules: Rules) -> None:
    if rules:
        schema["x-kubernetes-validations"] = [*schema.get("x-kubernetes-validations", []), *rules]


def _schema(model: Any) -> dict[str, Any]:
    raw = model.model_json_schema(by_alias=True)
    return _structural(raw, raw.get("$defs", {}))


def _without_defaults(schema: dict[str, Any]) -> dict[str, Any]:
    """``schema`` with no defaults: in a status they would be fields that the operator never wrote."""
    result = {key: value for key, value in schema.items() if key != "default"}
    if "properties" in result:
        result["properties"] = {name: _without_defaults(value) for name, value in result["properties"].items()}
    if "items" in result:
        result["items"] = _without_defaults(result["items"])
    return result


def _root(kind: Kind) -> dict[str, Any]:
    spec = _schema(kind.spec)
    for path, rules in kind.field_rules.items():
        _with_rules(spec["properties"][path], rules)
    _with_rules(spec, kind.spec_rules)
    properties: dict[str, Any] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "spec": spec,
    }
    if kind.status is not None:
        properties["status"] = _without_defaults(_schema(kind.status))
    root = {"type": "object", "description": kind.description, "required": ["spec"], "properties": properties}
    _with_rules(root, kind.rules)
    return root


def definition(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of ``kind``, as a manifest."""
    subresources: dict[str, Any] = {}
    if kind.status is not None:
        subresources["status"] = {}
    if kind.scale:
        subresources["scale"] = {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        }
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _root(kind)},
        "additionalPrinterColumns": [
            {"name": name, "type": type_, "jsonPath": path} | ({"priority": priority} if priority else {})
            for name, type_, path, priority in kind.columns
        ],
    }
    if subresources:
        version["subresources"] = subresources
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{GROUP}",
            "labels": {
                "app.kubernetes.io/name": "sovereign-operator",
                "app.kubernetes.io/part-of": "sovereign-operator",
            },
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short_name],
                "categories": ["sovereign", "ai"],
            },
            "versions": [version],
        },
    }


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def text(manifest: dict[str, Any]) -> str:
    """``manifest`` as YAML in the order it was built, without anchors."""
    return yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


def files() -> dict[str, str]:
    """File name and content of every generated CRD."""
    header = "# Generated by `make crds` from operator/sovereign/api. Do not edit.\n"
    return {f"{GROUP}_{kind.plural}.yaml": header + text(definition(kind)) for kind in KINDS}


def main(directory: Path, *, check: bool) -> int:
    """Write one file per kind into ``directory``; or, with ``check``, only say which are out of date."""
    stale = [name for name, content in files().items() if _read(directory / name) != content]
    if check:
        for name in stale:
            sys.stderr.write(f"{directory / name} is out of date; run `make crds`\n")
        return 1 if stale else 0
    directory.mkdir(parents=True, exist_ok=True)
    for name in stale:
        (directory / name).write_text(files()[name])
    return 0


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), check="--check" in sys.argv[2:]))
