"""The rules are tried: what is in force is proven, and what is not is said within the interval.

A careless cluster admin, row 12 of the threat model, is the test bed's own user, who may do anything.
"""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from charts import sync
from testbed.audit import Request
from testbed.chaos.proxy import Proxy, status
from tests.operator.lab import CANARY, IMAGE, Lab, Manifest, Process, wait_for

INTERVAL = 2
SETTLE = 5
RULES = ("validatingadmissionpolicies", "mutatingadmissionpolicies")
UNTRIED = ("snapshots", "tokens", "volumes")
"""Rules about kinds that are not served here, and those that no request of an account with few rights can be refused by."""
KINDS = "pods,persistentvolumeclaims,networkpolicies,nodes,deployments,services,endpointslices,ingresses"


@pytest.fixture
def proxied(lab: Lab, running: list[Process], tmp_path: Path) -> Iterator[tuple[Process, Proxy]]:
    """An operator with a short interval that reaches the API server through the proxy, and leads."""
    for process in running:
        if process.popen.poll() is None:
            process.stop()
    with Proxy(lab.kubeconfig, tmp_path) as proxy:
        process = lab.start(KUBECONFIG=str(proxy.kubeconfig), SOVEREIGN_CANARY_INTERVAL=f"{INTERVAL}s")
        try:
            wait_for("the operator to lead", lambda: process.leads)
            yield process, proxy
        finally:
            process.stop()


def events(lab: Lab, name: str, reason: str, namespace: str = "default") -> list[Manifest]:
    return [e for e in lab.all("events", namespace) if e["reason"] == reason and e["involvedObject"]["name"] == name]


def uids(lab: Lab) -> set[str]:
    return {item["metadata"]["uid"] for kind in KINDS.split(",") for item in everywhere(lab, kind)}


def made_by_canaries(lab: Lab) -> list[str]:
    """Whatever has a name of theirs. What they try under other names is there already."""
    names = [item["metadata"]["name"] for kind in KINDS.split(",") for item in everywhere(lab, kind)]
    return [name for name in names if name.startswith("sovereign-canary")]


def everywhere(lab: Lab, kind: str) -> list[Manifest]:
    items: list[Manifest] = json.loads(lab.cluster.kubectl("get", kind, "-A", "-o", "json"))["items"]
    return items


def claims(lab: Lab, since: int) -> list[Request]:
    """One of the rules is about claims, and tried by one request."""
    return [request for request in lab.canaries(since) if request.resource == "persistentvolumeclaims"]


# --- what is in force -----------------------------------------------------------------------------------


def test_every_rule_is_seen_to_refuse_and_nothing_is_left(lab: Lab, operator: Process, place: str) -> None:
    lab.wait_condition("sovpol", place, "", "Enforced", "True")
    lab.model("chat", place)
    lab.pool("chat", place)
    wait_for("a pod with weights", lambda: lab.pods(place, "chat"))
    lab.settle(operator)
    since, before = lab.position(), uids(lab)
    rules = [r["metadata"]["name"] for kind in RULES for r in lab.all(kind, selector=f"sovereignai.io/policy={place}")]
    untried = {f"sovereign-{place}-{suffix}" for suffix in UNTRIED} & set(rules)
    wanted = {"refused": len(rules) - len(untried), "untried": len(untried)}
    wait_for("all rules", lambda: shown(operator, place) == wanted, 90)
    wait_for("canaries", lambda: [r for r in lab.canaries(since) if r.resource == "persistentvolumeclaims"])
    assert uids(lab) <= before
    assert made_by_canaries(lab) == []
    tried = lab.canaries(since)
    in_earnest = {(request.resource, request.name) for request in tried if "dryRun=All" not in request.uri}
    assert {name for resource, name in in_earnest if resource != "pods/binding"} <= {"sovereign-canary"}
    assert all(request.agent.startswith("sovereign-canary/") for request in tried)
    assert {request.code for request in tried} <= {201, 403, 404}
    accepted = [request for request in tried if request.code == 201]
    assert {request.resource for request in accepted} == {"pods"}, "the pod that must come back pinned"


def shown(operator: Process, policy: str) -> dict[str, float]:
    """How many rules of a policy canaries have shown what about."""
    pattern = re.compile(r'sovereign_canary_rules{outcome="(\w+)",policy="' + policy + r'"} (\S+)')
    found = {outcome: float(count) for outcome, count in pattern.findall(operator.get("/metrics"))}
    return {outcome: count for outcome, count in found.items() if count}


def test_what_cannot_be_tried_before_a_namespace_is_governed_is_said_and_tried_then(
    lab: Lab, operator: Process, place: str
) -> None:
    name = f"{place}-later"
    lab.policy(name, tier=name)
    try:
        rules = wait_for("a round", lambda: shown(operator, name))
        assert rules["untried"] > 10
        lab.namespace(name, tier=name)
        wait_for("another round", lambda: shown(operator, name).get("untried", 99) < rules["untried"] - 10, 20)
    finally:
        lab.cluster.kubectl("delete", "sovpol", name)
        lab.cluster.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")


def test_canaries_cost_one_request_for_each_rule_and_interval(
    lab: Lab, proxied: tuple[Process, Proxy], place: str
) -> None:
    lab.wait_condition("sovpol", place, "", "Enforced", "True")
    time.sleep(SETTLE)  # the round after a change is over, and no admission object changes any more
    since, started = lab.position(), time.monotonic()
    wait_for("some rounds", lambda: len(claims(lab, since)) >= 5)
    rounds, sent = len(claims(lab, since)), len(lab.canaries(since))
    elapsed = time.monotonic() - started
    rules = sum(len(lab.all(kind, selector=f"sovereignai.io/policy={place}")) for kind in RULES)
    assert rounds <= elapsed / INTERVAL + 1
    assert sent <= (rules + 1) * (rounds + 1), "one for each rule, one for the guard"
    assert [request for request in lab.requests(since) if request.writes] == [], "the operator itself does nothing"


# --- row 12 ---------------------------------------------------------------------------------------------

CARELESS: dict[str, tuple[str, Any]] = {
    "deletes the policy": ("validatingadmissionpolicy", None),
    "deletes the binding": ("validatingadmissionpolicybinding", None),
    "narrows the selector": (
        "validatingadmissionpolicy",
        {"spec": {"matchConstraints": {"namespaceSelector": {"matchLabels": {"no": "namespace"}}}}},
    ),
    "sets the binding to Audit": ("validatingadmissionpolicybinding", {"spec": {"validationActions": ["Audit"]}}),
    "ignores failures": ("validatingadmissionpolicy", {"spec": {"failurePolicy": "Ignore"}}),
    "adds a condition": (
        "validatingadmissionpolicy",
        {"spec": {"matchConditions": [{"name": "never", "expression": "false"}]}},
    ),
}


@pytest.mark.parametrize("change", CARELESS)
def test_what_a_careless_admin_does_to_a_rule_is_undone_and_the_rule_is_proven_again(
    lab: Lab, operator: Process, place: str, change: str
) -> None:
    """Row 12: restored, told by an Event, and tried again at once."""
    kind, body = CARELESS[change]
    name = f"sovereign-{place}-storage"
    lab.wait_condition("sovpol", place, "", "Enforced", "True")
    lab.settle(operator)
    before = lab.get(kind, name)
    assert before is not None
    since = lab.position()
    if body is None:
        lab.cluster.kubectl("delete", kind, name)
    else:
        lab.cluster.kubectl("patch", kind, name, "--type=merge", "-p", json.dumps(body))

    def restored() -> bool:
        now = lab.get(kind, name)
        return (
            now is not None
            and now["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]
            and (now["spec"] == before["spec"])
        )

    wait_for("the object to be as it was", restored)

    def refuses() -> bool:
        tried = claims(lab, since)
        return bool(tried) and tried[-1].code == 403

    wait_for("the rule to be tried, and to refuse", refuses, 15)
    lab.wait_condition("sovpol", place, "", "Enforced", "True")
    wait_for("the Event", lambda: events(lab, place, "DriftRepaired"))


def test_a_rule_that_is_gone_is_said_by_its_name_until_it_is_back(
    lab: Lab, proxied: tuple[Process, Proxy], place: str
) -> None:
    """Row 12, where the operator cannot put it back."""
    process, proxy = proxied
    name = f"sovereign-{place}-storage"
    lab.wait_condition("sovpol", place, "", "Enforced", "True")
    proxy.fault = lambda request: (
        status(500, "InternalError")
        if request.method == "PATCH" and "/validatingadmissionpolicies/" in request.path
        else None
    )
    lab.cluster.kubectl("delete", "validatingadmissionpolicy", name)
    deleted = time.monotonic()
    found = lab.wait_condition("sovpol", place, "", "Enforced", "False", "CanaryAccepted")
    assert time.monotonic() - deleted < SETTLE + 2 * INTERVAL + 1, "the time to settle, and the interval"
    assert name in found["message"]
    assert "-pods" not in found["message"]
    assert lab.condition("sovpol", place, "", "Ready")["status"] == "False"
    assert enforcement(process, place) == 0
    wait_for("the Event", lambda: events(lab, place, "CanaryAccepted"))
    proxy.fault = lambda _: None  # by now the operator would wait for half a minute, were it not for the next canary
    lab.wait_condition("sovpol", place, "", "Enforced", "True", patience=20)
    lab.wait_condition("sovpol", place, "", "Ready", "True")
    assert enforcement(process, place) == 1
    wait_for("the Event", lambda: events(lab, place, "Enforced"))


def enforcement(process: Process, policy: str) -> float:
    line = f'sovereign_enforcement_state{{policy="{policy}"}} '
    found = [row.removeprefix(line) for row in process.get("/metrics").splitlines() if row.startswith(line)]
    return float(found[0])


# --- what is not known ----------------------------------------------------------------------------------


def test_an_api_server_that_does_not_answer_canaries_is_not_taken_to_refuse_them(
    lab: Lab, proxied: tuple[Process, Proxy], place: str
) -> None:
    process, proxy = proxied
    lab.wait_condition("sovpol", place, "", "Enforced", "True")

    def silent(request: web.Request) -> web.Response | None:
        return (
            status(503, "ServiceUnavailable") if request.headers["User-Agent"].startswith("sovereign-canary/") else None
        )

    proxy.fault = silent
    found = lab.wait_condition("sovpol", place, "", "Enforced", "Unknown", "CanaryUnanswered")
    assert "503" in found["message"]
    assert enforcement(process, place) == 0
    wait_for("the Event", lambda: events(lab, place, "CanaryUnanswered"))
    proxy.fault = lambda _: None
    lab.wait_condition("sovpol", place, "", "Enforced", "True")


def test_a_refusal_of_rbac_is_not_taken_for_one_of_the_rules(
    lab: Lab, proxied: tuple[Process, Proxy], place: str
) -> None:
    lab.wait_condition("sovpol", place, "", "Enforced", "True")
    binding = without_status(lab.get("clusterrolebinding", CANARY))
    lab.cluster.kubectl("delete", "clusterrolebinding", CANARY)
    try:
        found = lab.wait_condition("sovpol", place, "", "Enforced", "Unknown", "CanaryUnanswered")
        assert "the canaries' account lacks the right to " in found["message"]
    finally:
        lab.apply(binding)
    lab.wait_condition("sovpol", place, "", "Enforced", "True")


def without_status(manifest: Manifest | None) -> Manifest:
    assert manifest is not None
    metadata = {key: manifest["metadata"][key] for key in ("name", "labels", "annotations")}
    return {key: value for key, value in manifest.items() if key != "status"} | {"metadata": metadata}


# --- the account ----------------------------------------------------------------------------------------


def test_the_account_can_do_nothing_but_try(lab: Lab, operator: Process, place: str) -> None:
    wait_for("the guard", lambda: "dry runs alone" in as_canary(lab, place, "lawful"))
    assert lab.get("pod", "lawful", place) is None
    assert "forbidden" in as_canary(lab, place, "any", "secrets")


def as_canary(lab: Lab, namespace: str, name: str, read: str = "") -> str:
    """What the API server says when the account makes a lawful pod in earnest, or reads."""
    user = f"--as=system:serviceaccount:{sync.NAMESPACE}:{CANARY}"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [{"name": "c", "image": IMAGE}]},
    }
    arguments = ("get", read, "-n", namespace) if read else ("create", "-f", "-")
    kubectl = lab.cluster.kubectl_as(lab.cluster.kubeconfig)
    return kubectl.run(*arguments, user, input="" if read else json.dumps(pod)).stderr


def test_an_account_that_is_not_held_to_dry_runs_is_told(lab: Lab, proxied: tuple[Process, Proxy], place: str) -> None:
    lab.wait_condition("sovpol", place, "", "Enforced", "True")
    binding = without_status(lab.get("validatingadmissionpolicybinding", CANARY))
    since = lab.position()
    lab.cluster.kubectl("delete", "validatingadmissionpolicybinding", CANARY)
    try:
        wait_for("the Event", lambda: events(lab, CANARY, "CanaryUnguarded", sync.NAMESPACE))
        assert lab.condition("sovpol", place, "", "Enforced")["status"] == "True", "the rules refuse all the same"
        earnest = [request for request in lab.canaries(since) if "dryRun" not in request.uri]
        assert {request.code for request in earnest} >= {404}, "there is no pod to bind"
        assert made_by_canaries(lab) == []
    finally:
        lab.apply(binding)
