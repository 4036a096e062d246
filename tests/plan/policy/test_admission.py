"""Admission objects: held by golden files, bounded, and independent of the order of what they are made from."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sovereign.plan import approval
from sovereign.plan.admission import admission_objects
from sovereign.plan.inventory import Manifest, Settings
from tests.plan.policy.build import policy

_GOLDEN = Path(__file__).parents[2] / "golden" / "admission"
_NAMES = ["gpu-fr-1", "gpu-fr-2", "cpu-fr-1"]
_STRICT: dict[str, Any] = {
    "images": {"registries": ["registry.example.eu/ai", "mirror.example.eu:5000"]},
    "storage": {"storageClasses": ["slow-fr", "fast-fr"]},
}
_GRANTS: dict[str, Any] = {
    "network": {
        "egress": [{"cidr": "10.2.0.0/16", "ports": [443, 80]}, {"cidr": "160.0.0.0/4", "ports": [443]}],
        "dns": {"resolvers": ["10.0.0.53/32"]},
    }
}
_EVERYWHERE = ("-node-proxy", "-namespaces", "-volumes")
"""Ends of names of what is about more than governed namespaces."""
_names = st.lists(st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,20}[a-z0-9])?", fullmatch=True), unique=True, max_size=20)


def _by_kind(objects: tuple[Manifest, ...], kind: str) -> dict[str, Manifest]:
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}


def _expressions(manifest: Manifest) -> list[str]:
    spec = manifest["spec"]
    entries = [*spec.get("variables", []), *spec.get("validations", []), *spec.get("matchConditions", [])]
    return [entry["expression"] for entry in entries]


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("enforce", _STRICT),
        ("audit", _STRICT | {"enforcement": "Audit"}),
        ("default", {}),
        ("grants", _GRANTS),
        ("dedicated", {"placement": {"jurisdictions": ["FR"], "dedicated": True}}),
    ],
)
def test_admission_objects_are_as_agreed(name: str, spec: dict[str, Any]) -> None:
    """To accept a change: run with UPDATE_GOLDEN=1 and read the difference."""
    path = _GOLDEN / f"{name}.yaml"
    agents = ("monitoring/node-exporter",) if name == "dedicated" else ()
    objects = admission_objects(policy(**spec), _NAMES, Settings(node_agents=agents))
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump_all(objects, sort_keys=False, width=110))
    assert list(objects) == list(yaml.safe_load_all(path.read_text()))


@given(_names, st.randoms())
def test_the_order_of_nodes_does_not_matter(names, random) -> None:
    objects = admission_objects(policy(**_STRICT), names, Settings())
    random.shuffle(names)
    assert admission_objects(policy(**_STRICT), names, Settings()) == objects


def test_the_order_of_lists_in_the_policy_does_not_matter() -> None:
    turned = {
        "images": {"registries": _STRICT["images"]["registries"][::-1]},
        "storage": {"storageClasses": ["fast-fr", "slow-fr"]},
    }
    assert admission_objects(policy(**turned), _NAMES, Settings()) == admission_objects(
        policy(**_STRICT), _NAMES, Settings()
    )


def test_audit_warns_and_changes_no_pod() -> None:
    objects = admission_objects(policy(enforcement="Audit"), _NAMES, Settings())
    bindings = _by_kind(objects, "ValidatingAdmissionPolicyBinding")
    assert {tuple(one["spec"]["validationActions"]) for one in bindings.values()} == {("Warn", "Audit")}
    assert not any(one["kind"].startswith("Mutating") for one in objects)


def test_pods_are_pinned_only_where_the_api_server_can() -> None:
    kinds = {one["kind"] for one in admission_objects(policy(), _NAMES, Settings(mutating_admission=False))}
    assert kinds == {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}


def test_system_namespaces_are_left_out_of_whatever_the_policy_selects() -> None:
    settings = Settings(operator_namespace="operators")
    selector = {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}
    for one in admission_objects(policy(namespaceSelector=selector), _NAMES, settings):
        if not one["kind"].endswith("Binding") and not one["metadata"]["name"].endswith(_EVERYWHERE):
            expressions = one["spec"]["matchConstraints"]["namespaceSelector"]["matchExpressions"]
            assert expressions[0] == {"key": "tier", "operator": "Exists"}
            assert expressions[-1] == {
                "key": "kubernetes.io/metadata.name",
                "operator": "NotIn",
                "values": ["kube-node-lease", "kube-public", "kube-system", "operators"],
            }


def test_every_binding_names_its_policy_and_every_object_its_owner() -> None:
    objects = admission_objects(policy(**_STRICT), _NAMES, Settings())
    for one in objects:
        assert one["metadata"]["ownerReferences"][0]["uid"] == "uid-eu"
        assert one["metadata"]["labels"]["sovereignai.io/policy"] == "eu"
    for prefix in ("Validating", "Mutating"):
        policies = _by_kind(objects, f"{prefix}AdmissionPolicy")
        bindings = _by_kind(objects, f"{prefix}AdmissionPolicyBinding")
        assert {one["spec"]["policyName"] for one in bindings.values()} == policies.keys()


def test_without_an_approved_node_every_node_is_refused() -> None:
    objects = _by_kind(admission_objects(policy(), [], Settings()), "ValidatingAdmissionPolicy")
    binding = objects["sovereign-eu-binding"]["spec"]["validations"][1]
    assert binding["expression"] == "false"
    node_name = objects["sovereign-eu-nodename"]["spec"]["validations"][0]
    assert node_name["expression"] == "false"


def test_fifteen_thousand_names_keep_within_the_limits() -> None:
    names = [f"gpu-{index:05}.eu-west-3.compute.internal" for index in range(15_000)]
    dedicated = policy(placement={"jurisdictions": ["FR"], "dedicated": True})
    objects = _by_kind(admission_objects(dedicated, names, Settings()), "ValidatingAdmissionPolicy")
    for one in objects.values():
        assert max(len(expression) for expression in _expressions(one)) < 100_000
        assert len(json.dumps(one)) < 1_500_000
    assert {name for name in objects if "binding" in name} == {"sovereign-eu-binding", "sovereign-eu-dedicatedbinding"}


def test_what_is_asked_about_every_pod_is_over_after_one_condition_where_it_is_lawful() -> None:
    """The API server computes explanations also when nothing is refused, unless no condition lets the request in."""
    objects = _by_kind(admission_objects(policy(**_STRICT), _NAMES, Settings()), "ValidatingAdmissionPolicy")
    last = {
        name: [one["name"] for one in spec["spec"].get("matchConditions", [])][-1:] for name, spec in objects.items()
    }
    assert last["sovereign-eu-nodename"] == ["names-a-node"]
    for name in ("pods", "reserved-pods", "bound-labels"):
        assert last[f"sovereign-eu-{name}"] == ["in-breach"]
        spec = objects[f"sovereign-eu-{name}"]["spec"]
        condition = spec["matchConditions"][-1]["expression"]
        assert condition.startswith("!")
        assert "namespaceObject" not in condition, "conditions do not have it"
        for rule in spec["validations"]:
            assert rule["expression"] in condition


def test_long_names_are_cut_by_length_and_not_only_by_number() -> None:
    names = [f"{index:04}" + "n" * 240 for index in range(1_000)]
    objects = _by_kind(admission_objects(policy(), names, Settings()), "ValidatingAdmissionPolicy")
    assert max(map(len, _expressions(objects["sovereign-eu-binding"]))) < 100_000


def test_more_names_than_an_object_holds_are_cut_over_objects_that_each_judge_their_own() -> None:
    names = [f"gpu-{index:06}.eu-west-3.compute.internal" for index in range(60_000)]
    objects = _by_kind(admission_objects(policy(), names, Settings()), "ValidatingAdmissionPolicy")
    shards = sorted(name for name in objects if "-binding" in name)
    count = len(shards)
    assert shards[0] == f"sovereign-eu-binding-1of{count}"
    assert count in (2, 4, 8, 16)
    listed = [
        literal
        for name in shards
        for variable in objects[name]["spec"]["variables"]
        if variable["name"].startswith("listed")
        for literal in variable["expression"].split("'")[1::2]
    ]
    assert sorted(listed) == names
    for name in shards:
        assert len(json.dumps(objects[name])) < 1_500_000


def test_too_many_names_are_noticed_before_the_api_server_does() -> None:
    names = [f"{index:06}-" + "n" * 240 for index in range(80_000)]
    assert not approval.fits(names)
    with pytest.raises(ValueError, match="do not fit"):
        admission_objects(policy(), names, Settings())


@given(st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,60}[a-z0-9])?", fullmatch=True), st.sampled_from([2, 4, 8, 16]))
def test_a_name_has_one_shard(name: str, count: int) -> None:
    assert 0 <= approval.shard_of(name, count) < count


def test_growth_within_a_number_of_shards_changes_one_shard_only() -> None:
    names = [f"gpu-{index:06}.eu-west-3.compute.internal" for index in range(60_000)]
    before = admission_objects(policy(), names, Settings())
    after = admission_objects(policy(), [*names, "another"], Settings())
    assert len(before) == len(after)
    changed = [new["metadata"]["name"] for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 3  # the shard's rules for Bindings, for nodeName, and for Nodes


@given(st.text(alphabet="'\"\\ \n${}()|&=abc", min_size=1))
def test_what_is_written_in_a_policy_is_never_code(text: str) -> None:
    """The CRD refuses such values; were it to let one pass, it would still be but a literal."""
    hostile = policy()
    images = hostile.spec.images.model_copy(update={"registries": [text], "require_digest": False})
    storage = hostile.spec.storage.model_copy(update={"storage_classes": [text]})
    spec = hostile.spec.model_copy(update={"images": images, "storage": storage})
    plain = policy(
        images={"registries": ["registry.example.eu"], "requireDigest": False}, storage={"storageClasses": ["a"]}
    )
    objects = admission_objects(type(hostile)(hostile.owner, spec), _NAMES, Settings())
    expected = admission_objects(plain, _NAMES, Settings())
    assert [_skeleton(one) for one in objects] == [_skeleton(one) for one in expected]


def _skeleton(manifest: Manifest) -> list[str]:
    """The expressions without what stands in their literals."""
    return [
        "''".join(expression.split("'")[::2])
        for entry in manifest["spec"].get("validations", [])
        for expression in (entry["expression"], entry.get("messageExpression", ""))
    ]
