"""The rules of the CRDs beyond single fields, as Python: what the API server evaluates in CEL, checked without one.

Each CEL rule of ``api`` has its check here, in the same order; the message is the rule's own. A check looks at a typed
value, in which defaults are set, as CEL does. Rules about changes (``oldSelf``) have none: a file has no past.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sovereign.api import kinds, model, policy, pool, runtime, schema
from sovereign.api.kinds import Kind
from sovereign.api.policy import Ports
from sovereign.api.schema import LabelSelector, Model, Rules
from sovereign.cli.documents import Where

Check = Callable[[Any], bool]
_MAX_NAME: Final = 50


@dataclass(frozen=True)
class Named:
    """What the rules of a whole object look at."""

    name: str
    spec: Any


@dataclass(frozen=True)
class Broken:
    """A rule that does not hold, and where."""

    where: Where
    message: str


def _paired(rules: Rules, *checks: Check) -> dict[str, Check]:
    """Each rule's expression with its check, in order; a rule without a check is a mistake that no test could miss."""
    return {str(rule["rule"]): check for rule, check in zip(rules, checks, strict=True)}


def _rules(holder: type[Model], field: str) -> Rules:
    extra = holder.model_fields[field].json_schema_extra
    assert isinstance(extra, dict)
    return extra["x-kubernetes-validations"]  # type: ignore[return-value]


# --- whole objects ------------------------------------------------------------------------------------


def _short(item: Named) -> bool:
    return len(item.name) <= _MAX_NAME


def _label(item: Named) -> bool:
    return set(item.name) <= _NAME_CHARACTERS and item.name[:1].isalnum() and item.name[-1:].isalnum()


_NAME_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


def _policy_name(item: Named) -> bool:
    return _short(item) and _label(item)


def _service_name(item: Named) -> bool:
    return _label(item) and item.name[:1].isalpha()


def _uri_starts(item: Named, *schemes: str) -> bool:
    return bool(item.spec.source.uri.startswith(schemes))


def _secret_of_use(item: Named) -> bool:
    return not _uri_starts(item, "pvc://") or item.spec.source.secret_ref is None


def _endpoint_of_use(item: Named) -> bool:
    return item.spec.source.endpoint is None or _uri_starts(item, "s3://", "hf://")


def _revision_of_use(item: Named) -> bool:
    return item.spec.source.revision is None or _uri_starts(item, "hf://", "oci://")


def _no_climbing(item: Named) -> bool:
    uri = item.spec.source.uri
    return "/../" not in uri and not uri.endswith("/..")


# --- parts of them ------------------------------------------------------------------------------------


def _one_of_replicas_and_autoscaling(spec: pool.PoolSpec) -> bool:
    return (spec.replicas is None) != (spec.autoscaling is None)


def _count_is_the_product(spec: pool.PoolSpec) -> bool:
    count, parallelism = spec.accelerator.count, spec.parallelism
    if not count or parallelism.tensor is None:
        return True
    return count == parallelism.tensor * parallelism.pipeline * parallelism.data


def _ordered(autoscaling: pool.Autoscaling) -> bool:
    return autoscaling.min_replicas <= autoscaling.max_replicas


def _writable_elsewhere(spec: runtime.RuntimeSpec) -> bool:
    return all(".." not in path and not path.startswith("/models") for path in spec.writable_paths)


def _grace_is_longer(spec: runtime.RuntimeSpec) -> bool:
    return spec.drain.pre_stop_seconds < spec.drain.grace_period_seconds


def _selects_something(selector: LabelSelector) -> bool:
    return not selector.empty


def _not_everywhere(networks: list[Ports]) -> bool:
    return all(not entry.cidr.endswith("/0") for entry in networks)


def _not_every_server(networks: list[str]) -> bool:
    return all(not network.endswith("/0") for network in networks)


def _trusted_keys(labels: dict[str, str]) -> bool:
    domain = "node-restriction.kubernetes.io"
    prefixes = [key.partition("/")[0] for key in labels]
    return all(prefix == domain or prefix.endswith(f".{domain}") for prefix in prefixes)


CHECKS: Final[dict[str, Check]] = {
    **_paired(kinds.POLICY.rules, _policy_name),
    **_paired(
        model.MODEL_RULES, _secret_of_use, _endpoint_of_use, _revision_of_use, _no_climbing, _short, _service_name
    ),
    **_paired(pool.POOL_RULES, _short, _service_name),
    **_paired(pool.POOL_SPEC_RULES, _one_of_replicas_and_autoscaling, _count_is_the_product),
    **_paired(pool.AUTOSCALING_RULES, _ordered),
    **_paired(runtime.RUNTIME_SPEC_RULES, _writable_elsewhere, _grace_is_longer),
    **_paired([schema.NOT_EMPTY], _selects_something),
    **_paired(_rules(policy.Network, "egress"), _not_everywhere),
    **_paired(_rules(policy.Dns, "resolvers"), _not_every_server),
    **_paired(_rules(policy.Placement, "node_selector"), _trusted_keys),
}
"""The check of each CEL rule, by its expression."""
BY_PYDANTIC: Final = frozenset(str(rule["rule"]) for rule in (schema.LABEL_KEYS, schema.VALUES_WHERE_NEEDED))
"""Rules that the typed models already hold by themselves."""


def broken(kind: Kind, name: str, spec: Model) -> Iterator[Broken]:
    """The rules of ``kind`` that an object does not keep, besides those of single values."""
    yield from _failed(kind.rules, Named(name, spec), ())
    yield from _failed(kind.spec_rules, spec, ("spec",))
    for path, rules in kind.field_rules.items():
        yield from _failed(rules, getattr(spec, path), ("spec", path))
    yield from _inside(spec, ("spec",))


def _failed(rules: Rules, value: Any, where: Where) -> Iterator[Broken]:
    if value is None:
        return
    for rule in rules:
        check = CHECKS.get(str(rule["rule"]))
        if check is not None and not check(value):
            yield Broken(where, str(rule["message"]))


def _inside(value: Model, where: Where) -> Iterator[Broken]:
    """The rules and list types that stand at the fields of ``value``, at any depth."""
    for name, info in type(value).model_fields.items():
        content, path = getattr(value, name), (*where, info.alias or name)
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        yield from _failed(extra.get("x-kubernetes-validations", []), content, path)  # type: ignore[arg-type]
        if isinstance(content, list):
            yield from _repeated(content, extra, path)
            for index, item in enumerate(content):
                if isinstance(item, Model):
                    yield from _inside(item, (*path, index))
        elif isinstance(content, Model):
            yield from _inside(content, path)


def _repeated(items: list[Any], extra: dict[str, Any], where: Where) -> Iterator[Broken]:
    """Items of a set, or keys of a map, that stand there twice."""
    keys = extra.get("x-kubernetes-list-map-keys")
    if extra.get("x-kubernetes-list-type") not in ("set", "map"):
        return
    seen = []
    for index, item in enumerate(items):
        identity = tuple(getattr(item, key) for key in keys) if keys else item
        if identity in seen:
            shown = ", ".join(map(str, identity)) if keys else identity
            yield Broken((*where, index), f"{shown} stands in the list twice; remove one")
        seen.append(identity)


__all__ = ["BY_PYDANTIC", "CHECKS", "Broken", "Named", "broken"]
