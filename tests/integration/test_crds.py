"""The CRDs on a real API server: what they accept, what they refuse, and what they say then."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sovereign.api.crd import definition
from sovereign.api.kinds import KINDS, Kind
from sovereign.api.meta import API_VERSION, GROUP
from tests.integration import crd_examples as examples
from tests.integration.api import Api, address
from tests.integration.conftest import Kubectl

pytestmark = pytest.mark.integration

_BY_KIND = {kind.kind: kind for kind in KINDS}


class Rule(NamedTuple):
    """One CEL rule of a CRD, and the field it stands on: ``.spec.placement.regions[]``."""

    kind: str
    path: str
    expression: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind}{self.path}: {self.message[:40]}"


def _rules() -> Iterator[Rule]:
    for kind in KINDS:
        schema = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        yield from _rules_below(kind.kind, "", schema)


def _rules_below(kind: str, path: str, schema: dict[str, Any]) -> Iterator[Rule]:
    for rule in schema.get("x-kubernetes-validations", []):
        yield Rule(kind, path, rule["rule"], rule["message"])
    for name, below in schema.get("properties", {}).items():
        yield from _rules_below(kind, f"{path}.{name}", below)
    if "items" in schema:
        yield from _rules_below(kind, f"{path}[]", schema["items"])
    if "additionalProperties" in schema:
        yield from _rules_below(kind, f"{path}{{}}", schema["additionalProperties"])


RULES = list(_rules())


def _example(table: dict[str, Any], rule: Rule) -> Any:
    found = [value for beginning, value in table.items() if rule.message.startswith(beginning)]
    assert len(found) == 1, f"add what {rule} accepts and refuses to crd_examples.py"
    return found[0]


def _object(kind: str, namespace: str) -> dict[str, Any]:
    base = json.loads(json.dumps(examples.BASE[kind]))  # parts of it are shared
    if "namespace" in base["metadata"]:
        base["metadata"]["namespace"] = namespace
    return {"apiVersion": API_VERSION, "kind": kind, **base}


def _merged(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """RFC 7386, JSON merge patch."""
    result = dict(target)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = _merged(result[key], value)
        else:
            result[key] = value
    return result


def _with_value(manifest: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """``manifest`` with ``value`` at a rule's path: in lists at the first place, in maps at a key that stands for any."""
    if path == ".spec.autoscaling":
        del manifest["spec"]["replicas"]
    at: Any = manifest
    steps: list[Any] = [0 if step == "[]" else step for step in re.findall(r"\[\]|\{\}|[^.\[\]{}]+", path)]
    for step in steps[:-1]:
        at = at[step]
    at[examples.KEY if steps[-1] == "{}" else steps[-1]] = value
    return manifest


def _tries(rule: Rule, namespace: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The objects that ``rule`` accepts and refuses."""
    if rule.path in ("", ".spec"):
        return tuple(
            [_merged(_object(rule.kind, namespace), patch) for patch in patches]
            for patches in _example(examples.PATCHES, rule)
        )
    keys = rule.expression.startswith("self.all(k, ")
    return tuple(
        [
            _with_value(
                _object(rule.kind, namespace),
                rule.path,
                {value: "x"} if keys and isinstance(value, str) else value,
            )
            for value in values
        ]
        for values in _example(examples.VALUES, rule)
    )


def _create(api: Api, manifest: dict[str, Any]) -> Any:
    return api.create(manifest, dry_run=True, fieldValidation="Strict")


@pytest.mark.parametrize("kind", _BY_KIND)
def test_an_object_with_every_field_is_accepted(api: Api, kind: str) -> None:
    answer = _create(api, _object(kind, "default"))
    assert answer.ok, answer.message


@pytest.mark.parametrize("rule", [rule for rule in RULES if "oldSelf" not in rule.expression], ids=str)
def test_each_rule_accepts_and_refuses(api: Api, rule: Rule) -> None:
    accepted, refused = _tries(rule, "default")
    assert accepted
    assert refused
    for manifest in accepted:
        answer = _create(api, manifest)
        assert answer.ok, answer.message
    for manifest in refused:
        answer = _create(api, manifest)
        assert answer.code == 422, f"accepted: {json.dumps(manifest)}"
        assert rule.message in answer.message
        assert "evaluating rule" not in answer.message  # a rule that fails instead of answering


@pytest.mark.parametrize("rule", [rule for rule in RULES if "oldSelf" in rule.expression], ids=str)
def test_each_rule_about_a_change_accepts_and_refuses(api: Api, namespace: str, rule: Rule) -> None:
    accepted, refused = _example(examples.CHANGES, rule)
    model = _object("SovereignModel", namespace)
    assert api.create(model).ok
    for change in accepted:
        answer = api.request("PATCH", address(model), {"spec": {"cache": change}}, dryRun="All")
        assert answer.ok, answer.message
    for change in refused:
        answer = api.request("PATCH", address(model), {"spec": {"cache": change}}, dryRun="All")
        assert answer.code == 422, change
        assert rule.message in answer.message


def test_a_storage_class_cannot_be_added_later(api: Api, namespace: str) -> None:
    model = _merged(_object("SovereignModel", namespace), {"spec": {"cache": {"storageClassName": None}}})
    assert api.create(model).ok
    answer = api.request("PATCH", address(model), {"spec": {"cache": {"storageClassName": "fast-fr"}}}, dryRun="All")
    assert answer.code == 422
    assert "make a new SovereignModel" in answer.message


@pytest.mark.parametrize(
    ("kind", "patch", "field"),
    [
        ("SovereigntyPolicy", {"placment": {}}, "spec.placment"),
        ("SovereigntyPolicy", {"placement": {"jurisdiction": "FR"}}, "spec.placement.jurisdiction"),
        ("SovereignModel", {"cache": {"storageClass": "x"}}, "spec.cache.storageClass"),
        ("InferencePool", {"modelref": {}}, "spec.modelref"),
        ("InferenceRuntime", {"probes": {"readyness": {}}}, "spec.probes.readyness"),
    ],
)
def test_an_unknown_field_is_refused_and_named(kubectl: Kubectl, kind: str, patch: dict[str, Any], field: str) -> None:
    """Row 25."""
    manifest = _merged(_object(kind, "default"), {"spec": patch})
    done = kubectl.run("create", "--dry-run=server", "-f", "-", input=json.dumps(manifest))  # strict by default
    assert done.returncode != 0
    assert f'unknown field "{field}"' in done.stderr


_REFERENCES = [
    ("SovereignModel", "spec.source.secretRef"),
    ("InferencePool", "spec.modelRef"),
    ("InferencePool", "spec.runtime"),
    ("InferencePool", "spec.network.apiKeySecretRef"),
]


def _patch(path: str, value: Any) -> dict[str, Any]:
    """A merge patch that puts ``value`` at ``path``."""
    for step in reversed(path.split(".")):
        value = {step: value}
    patch: dict[str, Any] = value
    return patch


@pytest.mark.parametrize(("kind", "path"), _REFERENCES)
def test_row_24_a_reference_to_another_namespace_is_refused_or_left_out(
    api: Api, kubectl: Kubectl, kind: str, path: str
) -> None:
    """By whoever asks for strict validation, as kubectl does; others find that it was left out, and are warned."""
    manifest = _merged(_object(kind, "default"), _patch(path, {"name": "vllm", "namespace": "elsewhere"}))
    done = kubectl.run("create", "--dry-run=server", "-f", "-", input=json.dumps(manifest))
    assert done.returncode != 0
    assert f'unknown field "{path}.namespace"' in done.stderr
    answer = api.create(manifest, dry_run=True)
    assert answer.ok, answer.message
    assert any(f"{path}.namespace" in warning for warning in answer.warnings)
    stored: Any = answer.body
    for step in path.split("."):
        stored = stored[step]
    assert stored["name"] == "vllm"
    assert "namespace" not in stored


def test_row_24_no_kind_has_a_field_that_names_another_namespace() -> None:
    """Policies select namespaces, pools name peers of theirs by labels; nothing refers to an object in one."""
    named = {
        f"{kind.kind}{path}"
        for kind in KINDS
        for path in _fields("", definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
        if "namespace" in path.rsplit(".", 1)[-1].lower() and path.startswith(".spec")
    }
    assert named == {
        "SovereigntyPolicy.spec.namespaceSelector",
        "SovereigntyPolicy.spec.network.ingressNamespaces",
        "InferencePool.spec.network.ingressFrom[].namespaceSelector",
    }


def _fields(path: str, schema: dict[str, Any]) -> Iterator[str]:
    for name, below in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from _fields(f"{path}.{name}", below)
    if "items" in schema:
        yield from _fields(f"{path}[]", schema["items"])


@pytest.mark.parametrize(
    ("kind", "path", "value", "words"),
    [
        ("SovereignModel", ".spec.cache.size", "80GB", "60Gi (not 60GB)"),
        ("InferencePool", ".spec.accelerator.memory", "80GB", "80Gi (not 80GB)"),
        ("SovereigntyPolicy", ".spec.onViolation.gracePeriod", "5 minutes", "5m"),
        ("SovereigntyPolicy", ".spec.namespaceSelector", {}, "would select everything"),
        ("SovereigntyPolicy", ".spec.placement.jurisdictions", [], "should have at least 1 items"),
        ("SovereigntyPolicy", ".spec.enforcement", "Deny", '"Enforce", "Audit"'),
        ("InferencePool", ".spec.replicas", -1, "greater than or equal to 0"),
        ("InferenceRuntime", ".spec.port", 80, "greater than or equal to 1024"),
    ],
)
def test_what_a_newcomer_gets_wrong_is_explained(api: Api, kind: str, path: str, value: Any, words: str) -> None:
    answer = _create(api, _with_value(_object(kind, "default"), path, value))
    assert answer.code == 422
    assert path.removeprefix(".").split(".")[-1] in answer.message
    assert words in answer.message


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_a_crd_is_small_and_applies_on_the_client_side(kubectl: Kubectl, kind: Kind) -> None:
    manifest = json.dumps(definition(kind))
    assert len(manifest) < 64 * 1024
    name = definition(kind)["metadata"]["name"]
    kubectl("apply", "--dry-run=server", "--server-side=false", "-f", "-", input=manifest)
    stored = json.loads(kubectl("get", "crd", name, "-o", "json"))
    wrong = [one for one in stored["status"]["conditions"] if one["type"] != "Terminating" and one["status"] != "True"]
    assert wrong == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_what_is_stored_is_what_was_meant(kubectl: Kubectl, kind: Kind) -> None:
    """No field of the schema is dropped or changed by the API server."""
    sent = definition(kind)["spec"]
    stored = json.loads(kubectl("get", "crd", f"{kind.plural}.{GROUP}", "-o", "json"))["spec"]
    assert stored["versions"] == sent["versions"]
    assert stored["names"] == sent["names"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_field_is_described(kind: Kind) -> None:
    schema = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    for root in ("spec", "status"):
        if root in schema:
            assert list(_undescribed(root, schema[root])) == []


def _undescribed(path: str, schema: dict[str, Any]) -> Iterator[str]:
    if not schema.get("description"):
        yield path
    for name, below in schema.get("properties", {}).items():
        yield from _undescribed(f"{path}.{name}", below)
    for name, below in schema.get("items", {}).get("properties", {}).items():
        yield from _undescribed(f"{path}[].{name}", below)


def test_short_names_and_categories_resolve(api: Api, kubectl: Kubectl, namespace: str, tmp_path: Path) -> None:
    pool, model = _object("InferencePool", namespace), _object("SovereignModel", namespace)
    assert api.create(pool).ok
    assert api.create(model).ok
    for category in ("sovereign", "ai"):
        # kubectl looks categories up in a cache of its own, which may be older than the CRDs.
        listed = kubectl("get", category, "-n", namespace, "-o", "name", f"--cache-dir={tmp_path}").split()
        assert {"inferencepool.sovereignai.io/example", "sovereignmodel.sovereignai.io/example"} <= {*listed}
    for short, name in (("sovpool", "inferencepool"), ("smodel", "sovereignmodel")):
        assert kubectl("get", short, "example", "-n", namespace, "-o", "name").strip() == f"{name}.{GROUP}/example"
    for short in ("sovpol", "infrt"):
        kubectl("get", short)


def test_printer_columns_show(api: Api, kubectl: Kubectl, namespace: str) -> None:
    rows = {}
    for kind in ("InferencePool", "SovereignModel"):
        manifest = _object(kind, namespace)
        assert api.create(manifest).ok
        head, rows[kind] = kubectl("get", _BY_KIND[kind].plural, "-n", namespace, "-o", "wide").splitlines()
        assert head.split() == ["NAME", *(column[0].upper() for column in _BY_KIND[kind].columns)]
    assert rows["InferencePool"].split()[:3] == ["example", "mistral", "vllm"]
    uri = "hf://mistralai/Mistral-7B-Instruct-v0.3"
    assert rows["SovereignModel"].split()[:4] == ["example", uri, "safetensors", "Apache-2.0"]


def test_a_pool_scales(api: Api, kubectl: Kubectl, namespace: str) -> None:
    pool = _object("InferencePool", namespace)
    assert api.create(pool).ok
    status = {"status": {"replicas": 2, "selector": "sovereignai.io/pool=example"}}
    assert api.request("PATCH", f"{address(pool)}/status", status).ok
    scale = api.get(f"{address(pool)}/scale")
    assert scale["spec"]["replicas"] == 2
    assert scale["status"] == {"replicas": 2, "selector": "sovereignai.io/pool=example"}
    kubectl("scale", "sovpool/example", "--replicas=3", "-n", namespace)
    assert api.get(address(pool))["spec"]["replicas"] == 3


def test_a_status_holds_no_field_that_nobody_wrote(api: Api, namespace: str) -> None:
    pool = _object("InferencePool", namespace)
    assert api.create(pool).ok
    condition = {"type": "Ready", "status": "Unknown", "reason": "Progressing"}
    assert api.request("PATCH", f"{address(pool)}/status", {"status": {"conditions": [condition]}}).ok
    assert api.get(address(pool))["status"] == {"conditions": [condition]}
