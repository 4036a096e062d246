"""``plan`` and ``render``: the core's answers, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sovereign.cli import answers, planning
from sovereign.cli.candidates import against
from sovereign.cli.snapshot import Snapshot, from_files
from sovereign.cli.sources import Sources
from sovereign.plan import gpus, placement
from sovereign.plan.builtin import builtin
from sovereign.plan.inventory import Node
from tests.cli.conftest import DIGEST, IMAGE, NODES, Run, Write, model, namespace, node, policy, pool, runtime

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "manifests" / "samples").glob("*.yaml"))


def planned(run: Run, *args: str, code: int = 0) -> Any:
    result = run("plan", *args, "-o", "json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_a_lawful_pool_is_made_and_says_on_what(run: Run, write: Write) -> None:
    answer = planned(run, "-f", write(policy(), namespace(), model(), pool(), *NODES))
    assert answer["ok"]
    (eu,) = answer["policies"]
    assert (eu["approvedNodes"], eu["namespaces"]) == (["gpu-fr-1"], ["assistants"])
    assert {entry["node"]: entry["rule"] for entry in eu["rejectedNodes"]} == {
        "control-1": "placement.facts",
        "gpu-us-1": "placement.jurisdictions",
    }
    (chat,) = answer["pools"]
    assert (chat["gpus"], chat["replicas"], chat["lawfulNodes"]) == (1, 2, ["gpu-fr-1"])
    assert chat["waitsForModel"]
    assert "Deployment" in [child["kind"] for child in chat["children"]]
    assert "Job" in [child["kind"] for child in answer["models"][0]["children"]]


@pytest.mark.parametrize(
    ("changed", "effect", "reason"),
    [
        ({"policy": {"placement": {"jurisdictions": ["PL"]}}}, "nowhere", "NoApprovedNode"),
        ({"policy": {"licenses": {"allow": ["MIT"]}}}, "refused", "LicenseUnknown"),
        ({"policy": {"images": {"registries": ["registry.example.fr"]}}}, "refused", "ImageNotAllowed"),
        ({"policy": {"network": {"egress": [{"cidr": "0.0.0.0/1", "ports": [1]}, {"cidr": "128.0.0.0/1", "ports": [1]}]}}},
         "refused", "InvalidSpec"),
        ({"pool": {"accelerator": {"count": 16}}}, "nowhere", "InsufficientAccelerators"),
        ({"pool": {"modelRef": {"name": "other"}}}, "refused", "ModelNotFound"),
        ({"pool": {"runtime": {"name": "other"}}}, "refused", "RuntimeNotFound"),
        ({"pool": {"runtime": {"name": "vllm"}}}, "refused", "ImageRequired"),
    ],
)  # fmt: skip
def test_what_is_refused_or_finds_no_node_ends_with_one(
    run: Run, write: Write, changed: dict[str, Any], effect: str, reason: str
) -> None:
    items = [policy(**changed.get("policy", {})), namespace(), model(), pool(**changed.get("pool", {})), *NODES]
    answer = planned(run, "-f", write(*items), code=1)
    problems = [
        entry for part in ("policies", "models", "pools") for item in answer[part] for entry in item["problems"]
    ]
    assert (effect, reason) in {(entry["effect"], entry["reason"]) for entry in problems}


def test_without_nodes_placement_is_unknown_and_not_a_pass(run: Run, write: Write) -> None:
    answer = planned(run, "-f", write(policy(), namespace(), model(), pool()))
    (chat,) = answer["pools"]
    assert chat["lawfulNodes"] is None
    assert [problem["effect"] for problem in chat["problems"] if problem["reason"] == "NoApprovedNode"] == ["unknown"]
    assert any("no nodes were given" in note for note in answer["notes"])


def test_a_namespace_without_manifest_takes_its_labels_from_the_option(run: Run, write: Write) -> None:
    file = write(policy(), model(), pool(), *NODES)
    refused = planned(run, "-f", file, code=1)
    assert "NoPolicy" in {problem["reason"] for problem in refused["pools"][0]["problems"]}
    answer = planned(run, "-f", file, "--namespace-label", "sovereignai.io/tier=restricted")
    assert answer["pools"][0]["policies"] == ["eu"]


def test_a_runtime_of_the_files_replaces_the_built_in_one(run: Run, write: Write) -> None:
    served = pool(runtime={"name": "vllm"})
    items = [policy(), namespace(), model(), served, *NODES]
    assert planned(run, "-f", write(*items), "--runtime-image", f"vllm={IMAGE}")["ok"]
    own = runtime("vllm", image=IMAGE, args=["serve", "{{ model.path }}"])
    assert planned(run, "-f", write(*items, own))["ok"]


def test_imported_weights_are_taken_from_the_status(run: Run, write: Write) -> None:
    from sovereign.api.model import ModelSpec
    from sovereign.plan.model import source_hash

    imported = model()
    spec = ModelSpec.model_validate(imported["spec"])
    artifact = {"digest": DIGEST, "claim": "mistral-weights", "sourceHash": source_hash(spec), "bytes": 1, "files": 1}
    imported["status"] = {"artifact": artifact}
    answer = planned(run, "-f", write(policy(), namespace(), imported, pool(), *NODES))
    assert not answer["pools"][0]["waitsForModel"]
    assert [child["kind"] for child in answer["models"][0]["children"]] == ["PersistentVolumeClaim"]


def test_nodes_may_come_from_a_file_of_their_own_and_manifests_from_standard_input(run: Run, write: Write) -> None:
    nodes = write(*NODES, name="nodes.json")
    text = yaml.safe_dump_all([policy(), namespace(), model(), pool()])
    result = run("plan", "-f", "-", "--nodes", nodes, "-o", "yaml", input=text)
    assert result.exit_code == 0
    assert yaml.safe_load(result.stdout)["pools"][0]["lawfulNodes"] == ["gpu-fr-1"]


def test_people_read_why(run: Run, write: Write) -> None:
    result = run("plan", "-f", write(policy(), namespace(), model(), pool(accelerator={"count": 16}), *NODES))
    assert result.exit_code == 1
    assert "gpu-us-1  with jurisdiction US, not in DE, FR (placement.jurisdictions)" in result.stdout
    assert "no approved node has more than 8" in result.stdout
    assert result.stdout.rstrip().endswith("1 without a node to run on")
    assert "\x1b" not in result.stdout


def test_render_prints_what_the_core_plans(run: Run, write: Write) -> None:
    file = write(policy(), namespace(), model(), pool(), *NODES)
    result = run("render", "-f", file)
    assert result.exit_code == 0
    printed = list(yaml.safe_load_all(result.stdout))
    expected = list(planning.children(planning.plan_all(from_files(Sources((file,))))))
    for manifest in expected:
        manifest["metadata"].pop("ownerReferences", None)
    assert printed == expected
    (job,) = [item for item in printed if item["kind"] == "Job"]
    assert job["spec"]["template"]["spec"]["nodeSelector"] == {
        "eu.sovereignai.node-restriction.kubernetes.io/approved": "true"
    }
    assert "--importer-image" in result.stderr


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_every_sample_can_be_planned(run: Run, sample: Path) -> None:
    result = run("plan", "-f", str(sample), "-o", "json")
    assert result.exit_code in (0, 1), result.stderr


def test_the_samples_together_are_served_where_they_may_be(run: Run, write: Write) -> None:
    """With the two things a reader has to put in himself: nodes, and images of the engines."""
    labels = {"nvidia_com__gpu_memory": "81920"}
    machines = write(*(node(f"gpu-fr-{number}", "FR", **labels) for number in range(2)), name="nodes.json")
    images = [part for name in ("vllm", "llama-cpp") for part in ("--runtime-image", f"{name}={IMAGE}")]
    result = run("plan", "-f", str(ROOT / "manifests" / "samples"), "--nodes", machines, *images, "-o", "json")
    answer = json.loads(result.stdout)
    problems = [problem for part in (*answer["models"], *answer["pools"]) for problem in part["problems"]]
    assert problems == []
    assert len(answer["pools"]) == 5


# --- properties ---------------------------------------------------------------------------------------

COUNTRIES = ["FR", "DE", "US", "EU", "EEA"]
REGIONS = ["", "fr-par", "de-fra"]
facts = st.tuples(st.sampled_from(["", "FR", "DE", "US", "NO"]), st.sampled_from(REGIONS), st.integers(0, 8))
placements = st.fixed_dictionaries(
    {"jurisdictions": st.lists(st.sampled_from(COUNTRIES), min_size=1, max_size=3, unique=True)},
    optional={"regions": st.lists(st.sampled_from(REGIONS[1:]), min_size=1, unique=True)},
)


def snapshot_of(machines: list[tuple[str, str, int]], wanted: list[dict[str, Any]], own: dict[str, Any]) -> Snapshot:
    from sovereign.api.kinds import BY_KIND
    from sovereign.plan.inventory import Owner

    snapshot = Snapshot(
        nodes=[], namespaces={"assistants": {"sovereignai.io/tier": "restricted"}}, runtimes=dict(builtin())
    )
    for number, (jurisdiction, region, gpu) in enumerate(machines):
        machine = node(f"n{number}", jurisdiction, gpu)
        if region:
            machine["metadata"]["labels"]["sovereignai.node-restriction.kubernetes.io/region"] = region
        snapshot.add_node(Node.from_manifest(machine))
    manifests = [policy(f"p{number}", placement=where) for number, where in enumerate(wanted)]
    for manifest in (*manifests, model(), pool(placement=own)):
        metadata = manifest["metadata"]
        owner = Owner(manifest["kind"], metadata["name"], namespace=metadata.get("namespace", ""))
        snapshot.add(owner, BY_KIND[owner.kind].parse(manifest), {})
    return snapshot


@given(st.lists(facts, max_size=6), st.lists(placements, min_size=1, max_size=3))
def test_the_answer_is_the_core_s(machines: list[tuple[str, str, int]], wanted: list[dict[str, Any]]) -> None:
    snapshot = snapshot_of(machines, wanted, {})
    answer = answers.plan_answer(planning.plan_all(snapshot))
    nodes: list[Node] = snapshot.nodes or []
    for entry, policy_ in zip(answer.policies, snapshot.policies, strict=True):
        assert set(entry.approved_nodes) == placement.approved(nodes, policy_)
        assert {rejected.node for rejected in entry.rejected_nodes} == {n.name for n in nodes} - set(
            entry.approved_nodes
        )
    lawful = set.intersection(*({*entry.approved_nodes} for entry in answer.policies))
    assert set(answer.pools[0].lawful_nodes or ()) == lawful
    nowhere = any(problem.effect == answers.NOWHERE for problem in answer.pools[0].problems)
    assert nowhere == (not any(n.name in lawful and int(n.allocatable["nvidia.com/gpu"]) >= 1 for n in nodes))


@given(st.lists(facts, max_size=6), st.lists(placements, min_size=1, max_size=2), placements)
def test_a_node_that_nothing_is_against_is_a_candidate_of_the_core(
    machines: list[tuple[str, str, int]], wanted: list[dict[str, Any]], own: dict[str, Any]
) -> None:
    snapshot = snapshot_of(machines, wanted, own)
    (item,) = planning.plan_all(snapshot).pools
    free = {node.name for node in snapshot.nodes or [] if against(node, item, None) is None}
    assert free == {node.name for node in gpus.candidates(item.lawful, item.pool)}
