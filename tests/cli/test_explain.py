"""``explain`` from files: which rule is against which node, in the core's words."""

import json
from typing import Any

from sovereign.api.conditions import Reason
from sovereign.cli.reasons import meanings
from tests.cli.conftest import NODES, Run, Write, model, namespace, node, policy, pool

ZONED = node("gpu-fr-2", "FR", topology_kubernetes_io__region="us-east")
ZONED["metadata"]["labels"]["sovereignai.node-restriction.kubernetes.io/region"] = "fr-par"


def explained(run: Run, *args: str) -> Any:
    result = run("explain", *args, "-o", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_node_is_judged_by_every_rule_of_every_policy(run: Run, write: Write) -> None:
    french = policy("france", placement={"jurisdictions": ["FR"], "regions": ["fr-par"]})
    file = write(policy(), french, namespace(), model(), pool(), ZONED, *NODES)
    answer = explained(run, "node", "gpu-fr-2", "-f", file)
    assert {entry["policy"]: entry["approved"] for entry in answer["policies"]} == {"eu": True, "france": True}
    assert [rule["rule"] for rule in answer["policies"][0]["rules"]][:3] == [
        "placement.identity",
        "placement.facts",
        "placement.jurisdictions",
    ]
    assert "says us-east, its region fact says fr-par" in answer["warnings"][0]
    assert [entry["ok"] for entry in answer["pools"]] == [True]

    refused = explained(run, "node", "gpu-fr-1", "-f", file)
    assert refused["policies"][1]["rules"][1] == {
        "rule": "placement.facts",
        "ok": False,
        "message": "without the label sovereignai.node-restriction.kubernetes.io/region",
    }
    assert refused["pools"][0]["rule"] == "placement.facts of policy france"


def test_a_pool_says_what_is_against_each_node(run: Run, write: Write) -> None:
    small, cordoned = node("gpu-fr-3", "FR", gpus=1), node("gpu-fr-4", "FR") | {"spec": {"unschedulable": True}}
    german, labelled = node("gpu-de-1", "DE", a__b="c"), node("gpu-fr-5", "FR", a__b="c")
    chat = pool(accelerator={"count": 2, "nodeSelector": {"a/b": "c"}}, placement={"jurisdictions": ["FR"]})
    for machine in (small, cordoned):
        machine["metadata"]["labels"]["a/b"] = "c"
    file = write(policy(), namespace(), model(), chat, small, cordoned, german, labelled, *NODES)
    answer = explained(run, "pool", "chat", "-n", "assistants", "-f", file)
    assert {entry["node"]: entry["rule"] for entry in answer["nodes"]} == {
        "control-1": "placement.facts of policy eu",
        "gpu-de-1": "placement.jurisdictions of the pool",
        "gpu-fr-1": "accelerator.nodeSelector",
        "gpu-fr-3": "accelerator.count",
        "gpu-fr-4": "spec.unschedulable",
        "gpu-fr-5": "",
        "gpu-us-1": "placement.jurisdictions of policy eu",
    }


def test_conditions_of_the_status_are_shown_with_what_they_ask_for(run: Run, write: Write) -> None:
    condition = {"type": "Ready", "status": "False", "reason": "NoApprovedNode"}
    chat = pool() | {"status": {"conditions": [condition]}}
    file = write(policy(), namespace(), model(), chat, *NODES)
    answer = explained(run, "pool", "chat", "-n", "assistants", "-f", file)
    assert answer["conditions"][0]["meaning"] == meanings()["NoApprovedNode"]
    text = run("explain", "pool", "chat", "-n", "assistants", "-f", file).stdout
    assert meanings()["NoApprovedNode"] in text


def test_a_policy_shows_every_node(run: Run, write: Write) -> None:
    file = write(policy(), namespace(), *NODES)
    text = run("explain", "policy", "eu", "-f", file).stdout
    rows = [line.split()[:2] for line in text.splitlines() if line.startswith(("  gpu-", "  control"))]
    assert rows == [["control-1", "no"], ["gpu-fr-1", "yes"], ["gpu-us-1", "no"]]


def test_what_is_not_there_is_told_with_what_is(run: Run, write: Write) -> None:
    file = write(policy(), namespace(), model(), pool(), *NODES)
    for args, message in (
        (("node", "gpu-fr-9"), "did you mean gpu-fr-1?"),
        (("policy", "x"), "there are: eu"),
        (("pool", "chat"), "there is one in namespace assistants (-n)"),
    ):
        result = run("explain", *args, "-f", file)
        assert result.exit_code == 2
        assert message in result.stderr
    result = run("explain", "node", "a", "-f", write(policy(), name="no-nodes.json"))
    assert (result.exit_code, "use --nodes" in result.stderr) == (2, True)


def test_every_reason_has_its_meaning() -> None:
    assert set(meanings()) == {str(reason) for reason in Reason}
