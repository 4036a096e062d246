"""The CRDs' schemas as ways to make objects: a value for each field, at random, at its largest, or one that is wrong."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any, Final

from hypothesis import strategies as st

from sovereign.api.crd import definition
from sovereign.api.kinds import BY_KIND, Kind
from tests.fuzz.networks import networks

Schema = dict[str, Any]
Path = tuple[str, ...]
ITEM: Final = "[]"
"""Stands in a path for an item of a list."""
VALUE: Final = "{}"
"""Stands in a path for a value of a map."""
KEY: Final = "{key}"
"""Stands in a path for a key of a map."""
_MATCHES = re.compile(r"^self\.matches\('\^(?:\(\?:(.*)\)|(\(.*\)))\$'\)$", re.DOTALL)
_ALL_KEYS = re.compile(r"^self\.all\(k, k\.matches\('\^(.*)\$'\)\)$", re.DOTALL)


@cache
def specs(kind: str) -> st.SearchStrategy[Any]:
    """Specs of a kind that keep the rules of each single field."""
    return objects(spec_schema(BY_KIND[kind]))


def spec_schema(kind: Kind) -> Schema:
    """The schema of ``spec``."""
    root = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    found: Schema = root["properties"]["spec"]
    return found


def strings(schema: Schema, path: Path = ()) -> Iterator[Path]:
    """Where strings are in ``schema``: the path of each, keys of maps included."""
    if schema.get("type") == "string" or schema.get("x-kubernetes-int-or-string"):
        yield path
    for name, below in schema.get("properties", {}).items():
        yield from strings(below, (*path, name))
    if "items" in schema:
        yield from strings(schema["items"], (*path, ITEM))
    if "additionalProperties" in schema:
        yield (*path, KEY)
        yield from strings(schema["additionalProperties"], (*path, VALUE))


def placed(base: Any, path: Path, value: Any) -> Any:
    """``base`` with ``value`` at ``path``. Lists have one item then, and maps one entry."""
    if not path:
        return value
    step, below = path[0], path[1:]
    if step == ITEM:
        first = base[0] if isinstance(base, list) and base else {}
        return [placed(first, below, value)]
    if step == VALUE:
        key = next(iter(base)) if isinstance(base, dict) and base else "a.node-restriction.kubernetes.io/b"
        return {key: placed(base.get(key) if isinstance(base, dict) else None, below, value)}
    if step == KEY:
        return {str(value): "a"}
    result = deepcopy(base) if isinstance(base, dict) else {}
    result[step] = placed(result.get(step), below, value)
    return result


def shown(path: Path) -> str:
    """A path for people: ``images.registries[]``."""
    return ".".join(path).replace(f".{ITEM}", ITEM).replace(f".{VALUE}", VALUE).replace(f".{KEY}", KEY)


def fields(path: Path) -> list[str]:
    """The names of fields in a path."""
    return [step for step in path if step not in (ITEM, VALUE, KEY)]


# --- at random ----------------------------------------------------------------------------------------


def objects(schema: Schema) -> st.SearchStrategy[Any]:
    """Values that keep the rules of each single field; those about several fields may be broken."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return st.one_of(st.integers(1, 10**6), st.from_regex(r"[1-9][0-9]{0,6}(m|k|M|G|Ki|Mi|Gi)?", fullmatch=True))
    match schema.get("type"):
        case "object":
            return _maps(schema)
        case "array":
            return _lists(schema)
        case "integer":
            return st.integers(schema.get("minimum", 0), schema.get("maximum", 2**31))
        case "number":
            return st.floats(schema.get("minimum", 0), schema.get("maximum", 1))
        case "boolean":
            return st.booleans()
    return texts(schema)


def texts(schema: Schema) -> st.SearchStrategy[str]:
    """Strings that match the field's pattern; any, where it has none."""
    rules = [rule["rule"] for rule in schema.get("x-kubernetes-validations", [])]
    if any("isCIDR" in rule for rule in rules):
        return networks().map(str)
    found = next((pattern for rule in rules if (pattern := _pattern(rule))), schema.get("pattern"))
    longest = schema.get("maxLength", 64)
    if found is None:
        return st.text(max_size=min(longest, 80))
    return st.from_regex(found, fullmatch=True).filter(lambda text: schema.get("minLength", 0) <= len(text) <= longest)


def _pattern(rule: str) -> str | None:
    matched = _MATCHES.match(rule)
    if matched is None:
        return None
    return (matched[1] or matched[2]).replace("\\'", "'").replace("\\\\", "\\")


def _maps(schema: Schema, *, least: int = 0) -> st.SearchStrategy[Any]:
    if "additionalProperties" in schema:
        rules = [rule["rule"] for rule in schema.get("x-kubernetes-validations", [])]
        patterns = [matched[1].replace("\\\\", "\\") for rule in rules if (matched := _ALL_KEYS.match(rule))]
        keys = st.from_regex(patterns[0] if patterns else "[a-z]{1,9}", fullmatch=True).filter(
            lambda key: len(key) < 300
        )
        return st.dictionaries(keys, objects(schema["additionalProperties"]), min_size=least, max_size=2)
    if "matchExpressions" in schema.get("properties", {}):
        return _selectors(schema["properties"])
    properties = {name: objects(below) for name, below in schema.get("properties", {}).items()}
    needed = {name: properties.pop(name) for name in schema.get("required", [])}
    return st.fixed_dictionaries(needed, optional=properties)


def _selectors(properties: Schema) -> st.SearchStrategy[Any]:
    """Label selectors that say something, with values just where the operator takes some."""
    one = properties["matchExpressions"]["items"]["properties"]
    key, values = objects(one["key"]), st.lists(objects(one["values"]["items"]), min_size=1, max_size=3)
    with_values = st.fixed_dictionaries({"key": key, "operator": st.sampled_from(["In", "NotIn"]), "values": values})
    without = st.fixed_dictionaries({"key": key, "operator": st.sampled_from(["Exists", "DoesNotExist"])})
    expressions = st.lists(with_values | without, min_size=1, max_size=3)
    labels = _maps(properties["matchLabels"], least=1)
    return st.one_of(
        st.fixed_dictionaries({"matchLabels": labels}),
        st.fixed_dictionaries({"matchExpressions": expressions}),
        st.fixed_dictionaries({"matchLabels": labels, "matchExpressions": expressions}),
    )


def _lists(schema: Schema) -> st.SearchStrategy[Any]:
    keyed = schema.get("x-kubernetes-list-type") in ("set", "map")
    return st.lists(
        objects(schema["items"]),
        min_size=schema.get("minItems", 0),
        max_size=max(min(schema.get("maxItems", 3), 3), schema.get("minItems", 0)),
        unique_by=(lambda item: json.dumps(item, sort_keys=True)) if keyed else None,
    )
