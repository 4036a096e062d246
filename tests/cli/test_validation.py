"""Files are read as strictly as the API server does, and what is wrong is pointed at."""

import copy
import json
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from sovereign.api.crd import definition
from sovereign.api.kinds import BY_KIND, KINDS
from sovereign.cli import app, documents, rules
from tests.cli.conftest import IMAGE, NODES, Manifest, Run, Write, model, namespace, policy, pool, runtime


def refused(run: Run, *args: str, **options: Any) -> str:
    result = run("plan", *args, **options)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


def with_spec(manifest: Manifest, **spec: Any) -> Manifest:
    return manifest | {"spec": manifest["spec"] | spec}


def renamed(manifest: Manifest, name: str) -> Manifest:
    return manifest | {"metadata": manifest["metadata"] | {"name": name}}


GPU_MEMORY = "write the memory of one GPU as a quantity with its unit, for example 80Gi (not 80GB)"


@pytest.mark.parametrize(
    ("manifest", "where", "message"),
    [
        (pool(accelerator={"count": 1, "memory": "80GB"}), "spec.accelerator.memory", GPU_MEMORY),
        (pool(maxModelLenn=1), "spec.maxModelLenn", "did you mean maxModelLen?"),
        (pool(max_model_len=4096), "spec.max_model_len", "did you mean maxModelLen?"),
        (pool(accelerator={"cout": 1}), "spec.accelerator.cout", "did you mean count?"),
        (pool(replicas="2"), "spec.replicas", "valid integer"),
        (pool(replicas=None), "spec", "set exactly one of spec.replicas and spec.autoscaling"),
        (pool(modelRef={}), "spec.modelRef.name", "must be set"),
        (pool(rollout={"strategy": "Fast"}), "spec.rollout.strategy", "'Auto', 'Surge' or 'NoSurge'"),
        (policy(placement={"jurisdictions": [False]}), "spec.placement.jurisdictions[0]", "put it in quotes"),
        (policy(placement={"jurisdictions": ["FR", "FR"]}), "spec.placement.jurisdictions[1]", "FR stands in the list twice"),
        (pool(runtime={"name": "vllm", "env": [{"name": "A"}, {"name": "A"}]}), "spec.runtime.env[1]", "A stands in"),
        (policy() | {"sepc": {}}, "sepc", "did you mean spec?"),
        (policy() | {"spec": None}, "spec", "spec must be set"),
        (policy() | {"apiVersion": "sovereignai.io/v1"}, "document 1", "write sovereignai.io/v1alpha1"),
        (policy() | {"kind": "SovereigntyPolicies"}, "document 1", "it has InferencePool, InferenceRuntime"),
        (policy() | {"apiVersion": "v1"}, "document 1", "is of apiVersion sovereignai.io/v1alpha1, not v1"),
        (renamed(policy(), "EU"), "metadata.name", "lower-case letters"),
    ],
)  # fmt: skip
def test_each_mistake_is_told_with_its_field(
    run: Run, write: Write, manifest: Manifest, where: str, message: str
) -> None:
    said = refused(run, "-f", write(manifest))
    assert where in said
    assert message in said


# One that keeps each rule of a whole object or list, and one that does not.
RULES = [
    (policy(), renamed(policy(), "a.b")),
    (model(source={"uri": "pvc://claim/path"}), model(source={"uri": "pvc://claim/path", "secretRef": {"name": "x"}})),
    (model(source={"uri": "s3://b/p", "endpoint": "https://s3.example.eu"}),
     model(source={"uri": "oci://b/p", "endpoint": "https://s3.example.eu"})),
    (model(source={"uri": "hf://b/p", "revision": "main"}), model(source={"uri": "s3://b/p", "revision": "main"})),
    (model(source={"uri": "s3://b/p..q"}), model(source={"uri": "s3://b/../q"})),
    (renamed(model(), "m" * 50), renamed(model(), "m" * 51)),
    (renamed(model(), "a-1"), renamed(model(), "1-a")),
    (renamed(pool(), "m" * 50), renamed(pool(), "m" * 51)),
    (renamed(pool(), "a-1"), renamed(pool(), "a.1")),
    (pool(replicas=None, autoscaling={"maxReplicas": 2}), pool(autoscaling={"maxReplicas": 2})),
    (pool(accelerator={"count": 4}, parallelism={"tensor": 2, "pipeline": 2}),
     pool(accelerator={"count": 4}, parallelism={"tensor": 2})),
    (pool(replicas=None, autoscaling={"minReplicas": 2, "maxReplicas": 2}),
     pool(replicas=None, autoscaling={"minReplicas": 3, "maxReplicas": 2})),
    (runtime(writablePaths=["/var/cache"]), runtime(writablePaths=["/models/x"])),
    (runtime(drain={"preStopSeconds": 5}), runtime(drain={"preStopSeconds": 60})),
    (policy(namespaceSelector={"matchExpressions": [{"key": "a", "operator": "Exists"}]}), policy(namespaceSelector={})),
    (policy(network={"egress": [{"cidr": "10.0.0.0/8", "ports": [1]}]}),
     policy(network={"egress": [{"cidr": "0.0.0.0/0", "ports": [1]}]})),
    (policy(placement={"jurisdictions": ["FR"], "nodeSelector": {"x.node-restriction.kubernetes.io/tier": "a"}}),
     policy(placement={"jurisdictions": ["FR"], "nodeSelector": {"xnode-restriction.kubernetes.io/tier": "a"}})),
]  # fmt: skip


@pytest.mark.parametrize(("kept", "broken"), RULES, ids=map(str, range(len(RULES))))
def test_rules_over_several_fields_hold_offline_too(run: Run, write: Write, kept: Manifest, broken: Manifest) -> None:
    assert run("plan", "-f", write(kept)).exit_code in (0, 1)
    messages = {rule["message"] for rule in _rules(BY_KIND[broken["kind"]]) if rule["rule"] in rules.CHECKS}
    assert any(message in refused(run, "-f", write(broken)) for message in messages)


def test_no_rule_of_an_object_goes_unchecked() -> None:
    """Rules over one string stand in its type (see ``schema.text``) and rules about changes need a past."""
    for kind in KINDS:
        spec = [rule for rule in _rules(kind) if not _of_one_value(rule)]
        unchecked = {rule["rule"] for rule in spec} - rules.CHECKS.keys() - rules.BY_PYDANTIC
        assert {text for text in unchecked if "oldSelf" not in text} == set()


def _of_one_value(rule: dict[str, str]) -> bool:
    return rule["rule"].startswith(("self.matches(", "type(self) == int", "isCIDR(self)"))


def _rules(kind: Any) -> Iterator[dict[str, str]]:
    root = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    yield from root.get("x-kubernetes-validations", ())
    stack = [root["properties"]["spec"]]
    while stack:
        schema = stack.pop()
        yield from schema.get("x-kubernetes-validations", ())
        stack += schema.get("properties", {}).values()
        stack += [part for part in (schema.get("items"), schema.get("additionalProperties")) if isinstance(part, dict)]


def test_every_mistake_of_every_object_is_told_at_once(run: Run, write: Write) -> None:
    said = refused(run, "-f", write(policy(a=1), pool(b=1, c=2)))
    assert [line.rpartition(": spec.")[2][0] for line in said.splitlines()] == ["a", "b", "c"]


TEXT = """\
# the first document
apiVersion: sovereignai.io/v1alpha1
kind: SovereigntyPolicy
metadata: {name: eu}
spec:
  namespaceSelector: {matchLabels: {tier: a}}
  placement:
    jurisdictions: [FR, NO]
---
apiVersion: v1
kind: Namespace
metadata: {name: a}
"""


def test_the_line_is_named(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(TEXT)
    said = refused(run, "-f", str(file))
    assert said.startswith(
        f"error: {file}:8: document 1: SovereigntyPolicy eu: spec.placement.jurisdictions[1]: write a country"
    )


def test_a_null_is_as_if_it_were_left_out(run: Run, write: Write) -> None:
    assert run("plan", "-f", write(pool(placement=None, maxModelLen=None))).exit_code == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not YAML: did not find expected node content"),
        ("a: 1\na: 2\n", ":2: document 1: the key 'a' stands here twice"),
        ("- 1\n", "not an object"),
        ("kind: X\n", "apiVersion and kind must be set"),
        ("apiVersion: v1\nkind: List\nitems: [1]\n", "items[0] is not an object"),
        ("apiVersion: v1\nkind: Node\nmetadata: {}\n", "metadata.name must be set"),
        ("apiVersion: v1\nkind: Node\nmetadata: {name: a}\nstatus: {allocatable: {cpu: x}}\n", "'x' is not a quantity"),
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {b: 1}}\n", "quote the values"),
    ],
)
def test_what_is_no_manifest_is_told(run: Run, text: str, message: str) -> None:
    assert message in refused(run, "-f", "-", input=text)


def test_one_object_twice_is_a_mistake(run: Run, write: Write) -> None:
    assert "is there twice" in refused(run, "-f", write(policy(), policy()))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-f", "missing.yaml"], "missing.yaml: No such file"),
        (["-f", "-", "--nodes", "missing.json"], "missing.json: No such file"),
        (["-f", "-", "--namespace-label", "x"], "--namespace-label KEY=VALUE"),
        (["-f", "-", "--runtime-image", "x=y"], "no built-in runtime x"),
        (["-f", "-", "--runtime-image", "vllm=vllm:latest"], "write an image with its registry and digest"),
    ],
)
def test_options_that_cannot_be_used_are_told(run: Run, args: list[str], message: str) -> None:
    if "KEY=VALUE" in message:
        message = "--namespace-label x: write"
    assert message in refused(run, *args, input="")


def test_an_empty_folder_and_an_empty_nodes_file_are_told(run: Run, tmp_path: Path, write: Write) -> None:
    assert "use -R" in refused(run, "-f", str(tmp_path))
    file = write(policy())
    assert "no Node is in it" in refused(run, "-f", file, "--nodes", file)


def test_folders_are_read_to_the_depth_that_is_asked(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: A\n")
    (tmp_path / "deep" / "b.yml").write_text("apiVersion: v1\nkind: B\n---\n---\napiVersion: v1\nkind: C\n")
    (tmp_path / "notes.txt").write_text("not: [yaml")
    assert [document.content["kind"] for document in documents.read([str(tmp_path)])] == ["A"]
    found = documents.read([str(tmp_path)], recursive=True)
    assert [(document.content["kind"], document.index) for document in found] == [("A", 1), ("B", 1), ("C", 3)]


def test_dates_are_strings_as_for_kubectl(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("apiVersion: v1\nkind: A\ndate: 2026-01-01\n")
    assert documents.read([str(file)])[0].content["date"] == "2026-01-01"


def test_an_image_for_a_runtime_is_used(run: Run, write: Write) -> None:
    result = run("plan", "-f", write(pool(runtime={"name": "vllm"})), "--runtime-image", f"vllm={IMAGE}")
    assert "ImageRequired" not in result.stdout


# --- whatever people write ----------------------------------------------------------------------------

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
STATUS = {
    "conditions": [{"type": "Ready", "status": "True", "reason": "Ready"}],
    "artifact": {"digest": "a", "claim": "b"},
    "sizing": {"gpus": 1},
}
SOME = [
    policy(placement={"jurisdictions": ["FR"], "nodeSelector": {"a.node-restriction.kubernetes.io/b": "c"}}),
    namespace(),
    model(source={"uri": "s3://b/p", "endpoint": "https://a.eu", "include": ["*.json"]}) | {"status": STATUS},
    pool(network={"ingressFrom": [{"podSelector": {"matchLabels": {"a": "b"}}}]}) | {"status": STATUS},
    runtime(image=IMAGE, args=["{{ port }}"], env=[{"name": "A", "value": "b"}]),
    *NODES,
]


def paths(value: Any) -> Iterator[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (key,)
        yield from ((key, *rest) for rest in paths(inner))


@given(st.data())
@settings(max_examples=300)
def test_no_value_anywhere_ends_in_a_traceback(data: st.DataObject) -> None:
    manifests = copy.deepcopy(SOME)
    path = data.draw(st.sampled_from(list(paths(manifests))))
    parent = reduce(lambda value, step: value[step], path[:-1], manifests)
    parent[path[-1]] = data.draw(ANYTHING)
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
    result = CliRunner().invoke(app, ["plan", "-f", "-"], input=text)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (0, 1, 2)
