"""Pods that are there and that a policy does not admit: told in Audit, swept in Enforce, a few at a time."""

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.operator.lab import (
    FACTS,
    IMAGE,
    Lab,
    Process,
    created,
    custom,
    endpoints,
    events,
    nodes_of,
    serve,
    status,
    wait_for,
)

Manifest = dict[str, Any]
SILENT = "silent-fr-2"
"""A node of no kubelet: pods that are told to end stay until somebody takes them away."""
ABROAD = "gpu-us-1"
TAGGED = "docker.io/library/nginx:1"
HOST_PATH = [{"name": "host", "hostPath": {"path": "/etc"}}]


def pod(name: str, image: str = IMAGE, **spec: Any) -> Manifest:
    """A pod of nobody's."""
    metadata = {"name": name, "labels": {"app": name}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [{"name": "c", "image": image}], **spec},
    }


def deployment(name: str, image: str, replicas: int) -> Manifest:
    """A Deployment of somebody else's, on a node that is approved: where the scheduler put its pods would be another thing to tell."""
    labels = {"app": name}
    content = {"containers": [{"name": "c", "image": image}], "nodeName": "gpu-fr-1"}
    template = {"metadata": {"labels": labels}, "spec": content}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def create(lab: Lab, namespace: str, *manifests: Manifest) -> None:
    for manifest in manifests:
        wait_for("it to be admitted", lambda manifest=manifest: created(lab, namespace, manifest))


def uids(lab: Lab, namespace: str) -> dict[str, str]:
    """UIDs of the pods that are not ending, by name."""
    found = [one["metadata"] for one in lab.all("pods", namespace) if "deletionTimestamp" not in one["metadata"]]
    return {one["name"]: one["uid"] for one in found}


def violations(lab: Lab, policy: str) -> Manifest:
    return (lab.get("sovpol", policy) or {}).get("status", {}).get("violations") or {}  # type: ignore[no-any-return]


def steps(lab: Lab, policy: str) -> dict[str, str]:
    """What repair has come to, by workload and rule."""
    shown = violations(lab, policy).get("workloads") or []
    return {f"{one['kind']}/{one['name']} {one['rule']}": one["step"] for one in shown}


def test_audit_shows_what_enforce_then_evicts(lab: Lab, operator: Process, place: str) -> None:
    """Rows 1, 11, 14, 15: one field changes, and exactly what was shown goes."""
    lab.policy(place, tier=place, enforcement="Audit")
    lab.wait_condition("sovpol", place, "", "Enforced", "False", "AuditOnly")
    wait_for("the namespace to be open", lambda: not lab.all("networkpolicies", place, "sovereignai.io/policy"))
    create(
        lab,
        place,
        pod("lawful", nodeName="gpu-fr-1"),
        pod("abroad", nodeName=ABROAD),
        pod("reaching", volumes=HOST_PATH, nodeName="gpu-fr-1"),
        deployment("old", TAGGED, 2),
    )
    wanted = {
        "Pod/abroad placement.jurisdictions": "WouldEvict",
        "Pod/reaching pods.volumes": "WouldEvict",
        "Deployment/old images.registries": "WouldEvict",
    }
    wait_for("the preview", lambda: steps(lab, place) == wanted)
    shown = violations(lab, place)
    assert (shown["current"], shown["total"]) == (4, 4)
    (old,) = [one for one in shown["workloads"] if one["kind"] == "Deployment"]
    assert (old["namespace"], old["count"]) == (place, 2)
    assert "registry.example.eu/ai" in old["message"]
    before = uids(lab, place)
    assert len(before) == 5
    lab.settle(operator)
    assert uids(lab, place) == before, "Audit moves nothing"

    lab.policy(place, tier=place, enforcement="Enforce")
    wait_for("what was shown to go", lambda: uids(lab, place) == {"lawful": before["lawful"]})
    wait_for("the count", lambda: violations(lab, place)["current"] == 0)
    assert violations(lab, place)["total"] >= 4
    gone = set(before) - {"lawful"}
    wait_for("the Events of what went", lambda: evicted(lab, place) >= gone)
    # What the Deployment makes in their place is refused once the API server has the rules, and goes the same way until then.
    assert {name for name in evicted(lab, place) if not name.startswith("old-")} == {"abroad", "reaching"}
    line = f"Pod {place}/reaching on node gpu-fr-1, policy {place}, rule pods.volumes, step evict: Evicted"
    assert line in operator.log.read_text()


def evicted(lab: Lab, place: str) -> set[str]:
    """Names of the pods that were told to be evicted."""
    return {event["involvedObject"]["name"] for event in events(lab, place, "Evicted")}


def test_a_policy_sweeps_the_namespace_that_it_comes_to_govern(lab: Lab, operator: Process, place: str) -> None:
    """Rows 11, 14, 15: what was made before the policy was never asked."""
    space = lab.namespace(f"{place}-later", tier="none")
    try:
        lab.wait_condition("sovpol", place, "", "Enforced", "True")
        create(
            lab,
            space,
            pod("lawful", nodeName="gpu-fr-1"),
            pod("tagged", TAGGED, nodeName="gpu-fr-1"),
            pod("network", hostNetwork=True, nodeName="gpu-fr-1"),
            pod("proxied", nodeName="gpu-fr-1") | {"spec": {"nodeName": "gpu-fr-1", "containers": [proxied()]}},
        )
        lab.namespace(space, tier=place)
        wait_for("the sweep", lambda: set(uids(lab, space)) == {"lawful"})
        said = {event["involvedObject"]["name"]: event["message"] for event in events(lab, space, "Evicted")}
        assert set(said) == {"tagged", "network", "proxied"}
        assert "it has hostNetwork" in said["network"]
    finally:
        lab.cluster.kubectl("delete", "namespace", space, "--wait=false")


def proxied() -> Manifest:
    return {"name": "c", "image": IMAGE, "env": [{"name": "HTTPS_PROXY", "value": "http://192.0.2.1:3128"}]}


def test_strangers_leave_dedicated_nodes(lab: Lab, operator: Process, place: str) -> None:
    space = lab.namespace(f"{place}-free", tier="none")
    system = pod(f"{place}-system", TAGGED, nodeName="gpu-fr-2")
    try:
        create(lab, space, pod("stranger", TAGGED, nodeName="gpu-fr-2"), pod("elsewhere", TAGGED, nodeName=ABROAD))
        create(lab, "kube-system", system)
        create(lab, place, pod("governed", nodeName="gpu-fr-2"))
        lab.policy(place, tier=place, placement={"jurisdictions": ["FR"], "dedicated": True})
        wait_for("the stranger to go", lambda: set(uids(lab, space)) == {"elsewhere"})
        (told,) = events(lab, space, "Evicted")
        assert f"takes only pods of the namespaces that policy {place} governs" in told["message"]
        lab.settle(operator)
        assert system["metadata"]["name"] in uids(lab, "kube-system")
        assert set(uids(lab, place)) == {"governed"}
    finally:
        lab.cluster.kubectl("delete", "pod", system["metadata"]["name"], "-n", "kube-system", "--wait=false")
        lab.cluster.kubectl("delete", "namespace", space, "--wait=false")


# --- pods that stay until somebody takes them away ------------------------------------------------------


@pytest.fixture
def silent(lab: Lab, operator: Process, place: str) -> Iterator[str]:
    """An approved node of no kubelet; its pods go with it."""
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": SILENT, "labels": {f"{FACTS}/jurisdiction": "FR"}}}
    wait_for("its name to be free", lambda: created(lab, "", node))
    status(lab, "node", SILENT, conditions=[{"type": "Ready", "status": "True", "reason": "Test", "message": ""}])
    wait_for("its approval", lambda: f"{place}.{FACTS}/approved" in lab.get("node", SILENT)["metadata"]["labels"])  # type: ignore[index]
    yield SILENT
    take_away(lab, place)
    lab.cluster.kubectl("delete", "node", SILENT)


def take_away(lab: Lab, namespace: str, *names: str) -> None:
    which = names or ("--all",)
    lab.cluster.kubectl("delete", "pod", *which, "-n", namespace, "--force", "--grace-period=0", "--ignore-not-found")


def ending(lab: Lab, namespace: str) -> set[str]:
    """Names of the pods that were told to end."""
    return {one["metadata"]["name"] for one in lab.all("pods", namespace) if "deletionTimestamp" in one["metadata"]}


def test_only_so_many_are_removed_at_once(lab: Lab, operator: Process, place: str, silent: str) -> None:
    lab.policy(place, tier=place, onViolation={"maxConcurrent": 4, "gracePeriod": "10m"})
    names = [f"p{number:02d}" for number in range(25)]
    create(lab, place, pod(names[0], nodeName=silent))
    lab.cluster.kubectl(
        "create",
        "-n",
        place,
        "-f",
        "-",
        input="\n---\n".join(json.dumps(pod(name, nodeName=silent)) for name in names[1:]),
    )
    lab.settle(operator)
    since = lab.position()
    lab.facts(silent, jurisdiction="US")
    wait_for("the first", lambda: len(ending(lab, place)) == 4)
    wait_for("the rest to wait", lambda: sorted(steps(lab, place).values()).count("Waiting") >= 16)
    lab.settle(operator)
    first = ending(lab, place)
    assert len(first) == 4
    asked = [request.name for request in lab.requests(since) if request.resource == "pods/eviction"]
    assert sorted(asked) == sorted(first), "not one request about those that wait"
    assert violations(lab, place)["current"] == 25
    assert len(violations(lab, place)["workloads"]) == 20

    gone = sorted(first)[:3]
    take_away(lab, place, *gone)
    wait_for("the next three", lambda: len(ending(lab, place) - first) == 3)
    lab.settle(operator)
    assert len(ending(lab, place)) == 4

    # approved again: whoever waits is left alone
    told = ending(lab, place)
    lab.facts(silent, jurisdiction="FR")
    wait_for("no violation", lambda: violations(lab, place)["current"] == 0)
    take_away(lab, place, *told)
    lab.settle(operator)
    assert ending(lab, place) == set()
    assert len(uids(lab, place)) == 18


def test_a_pod_that_serves_does_not_wait_for_its_turn(lab: Lab, operator: Process, place: str, silent: str) -> None:
    node = serve(lab, place)
    (serving,) = lab.pods(place, "chat")
    lab.policy(place, tier=place, onViolation={"maxConcurrent": 1, "gracePeriod": "10m"})
    create(lab, place, pod("first", nodeName=silent), pod("second", nodeName=silent))
    lab.settle(operator)
    try:
        lab.facts(silent, jurisdiction="US")
        (first,) = wait_for("the first", lambda: ending(lab, place))
        lab.facts(node, jurisdiction="US")
        wait_for(
            "it to move",
            lambda: serving["metadata"]["name"] not in {p["metadata"]["name"] for p in lab.all("pods", place)},
        )
        assert ending(lab, place) == {first}, "the other one waits still"
        wait_for("its step", lambda: "Waiting" in steps(lab, place).values())
    finally:
        lab.facts(node, jurisdiction="FR")


def test_what_blocks_the_removal_is_told_and_others_do_not_wait_for_it(
    lab: Lab, operator: Process, place: str, silent: str
) -> None:
    """Row 6: a foreign finalizer; a node that does not answer."""
    node = serve(lab, place)
    (held,) = lab.pods(place, "chat")
    name = held["metadata"]["name"]
    lab.policy(place, tier=place, onViolation={"gracePeriod": "3s", "maxConcurrent": 1})
    create(lab, place, pod("unheard", nodeName=silent))
    finalizers = json.dumps({"metadata": {"finalizers": ["example.com/held"]}})
    lab.cluster.kubectl("patch", "pod", name, "-n", place, "--type=merge", "-p", finalizers)
    lab.settle(operator)
    blocked = operator.metric('sovereign_repairs_total{action="blocked"}')
    try:
        lab.facts(node, jurisdiction="US")
        wait_for("its eviction", lambda: name in ending(lab, place))
        lab.facts(silent, jurisdiction="US")
        wait_for("the wait", lambda: steps(lab, place).get("Pod/unheard placement.jurisdictions") == "Waiting")
        assert "unheard" not in ending(lab, place)
        wait_for("the first block", lambda: "RepairBlocked" in steps(lab, place).values(), patience=90)
        message = "finalizers example.com/held"
        (shown,) = [one for one in violations(lab, place)["workloads"] if one["kind"] == "Deployment"]
        assert (shown["name"], shown["step"]) == ("chat", "RepairBlocked")
        assert message in shown["message"]
        wait_for("the word", lambda: [e for e in events(lab, place, "RepairBlocked") if message in e["message"]])
        wait_for(
            "the pool to say so",
            lambda: (
                f"pod {name} cannot be removed"
                in lab.condition("sovpool", "chat", place, "PlacementVerified")["message"]
            ),
        )
        assert name not in endpoints(lab, place, "chat")
        wait_for("the other's turn", lambda: "unheard" in ending(lab, place))
        wait_for(
            "the second block",
            lambda: steps(lab, place).get("Pod/unheard placement.jurisdictions") == "RepairBlocked",
            patience=90,
        )
        (shown,) = [one for one in violations(lab, place)["workloads"] if one["name"] == "unheard"]
        assert f"node {silent} does not confirm that it ended" in shown["message"]
        assert operator.metric('sovereign_repairs_total{action="blocked"}') == blocked + 2
    finally:
        lab.cluster.kubectl("patch", "pod", name, "-n", place, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        lab.facts(node, jurisdiction="FR")
    wait_for("its end", lambda: name not in ending(lab, place))


def test_a_container_that_runs_another_image_is_told_and_left_alone(
    lab: Lab, operator: Process, place: str, silent: str
) -> None:
    """Row 15: which digest a runtime tells differs, so that it is a word and not a reason to remove."""
    create(lab, place, pod("swapped", nodeName=silent))
    other = IMAGE.partition("@")[0] + "@sha256:" + "f" * 64
    container = {"name": "c", "image": IMAGE, "imageID": other, "ready": True, "restartCount": 0}
    status(
        lab,
        "pod",
        "swapped",
        place,
        phase="Running",
        containerStatuses=[container | {"state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}],
    )
    (told,) = wait_for("the word", lambda: events(lab, place, "ImageMismatch"))
    assert "container c runs registry.example.eu/ai/vllm@sha256:ffffffffffff" in told["message"]
    wait_for("its step", lambda: steps(lab, place) == {"Pod/swapped images.running": "Reported"})
    lab.settle(operator)
    assert set(uids(lab, place)) == {"swapped"}


# --- ScaleToZero ----------------------------------------------------------------------------------------


def replicas(lab: Lab, namespace: str) -> int:
    found = lab.get("deployment", "chat", namespace)
    assert found is not None
    return int(found["spec"]["replicas"])


def stopped(lab: Lab, namespace: str) -> Manifest | None:
    return (lab.get("sovpool", "chat", namespace) or {}).get("status", {}).get("stopped")  # type: ignore[no-any-return]


def test_a_pool_is_stopped_until_its_spec_or_the_policys_changes(
    lab: Lab, running: list[Process], operator: Process, place: str
) -> None:
    node = serve(lab, place, replicas=2)
    lab.policy(place, tier=place, onViolation={"action": "ScaleToZero"})
    lab.settle(operator)
    before = uids(lab, place)
    try:
        lab.facts(node, jurisdiction="US")
        lab.wait_condition("sovpool", "chat", place, "Ready", "False", "ScaledToZero")
        wait_for("no pod", lambda: lab.all("pods", place) == [])
        lab.wait_condition("sovpool", "chat", place, "PlacementVerified", "False", "ScaledToZero")
        assert replicas(lab, place) == 0
        stop = stopped(lab, place)
        assert stop is not None
        assert stop["policy"] == place
        assert "jurisdiction US" in stop["message"]
        (told,) = [e for e in events(lab, place, "ScaledToZero") if e["involvedObject"]["kind"] == "InferencePool"]
        assert "starts again when its spec" in told["message"]
        seen = {event["involvedObject"]["name"] for event in events(lab, place, "Scheduled")}
        assert not {name for name in seen if name.startswith("chat-")} - set(before), (
            "none came in the place of those that went"
        )
    finally:
        lab.facts(node, jurisdiction="FR")

    # it stays so when the world is as before, and when the operator starts anew
    operator.stop(signal.SIGKILL)
    again = lab.start()
    running.append(again)
    wait_for("it to lead", lambda: again.leads)
    lab.settle(again)
    assert replicas(lab, place) == 0
    assert stopped(lab, place) == stop

    # another spec of the pool is another attempt
    lab.apply(
        custom("InferencePool", "chat", place, (lab.get("sovpool", "chat", place) or {})["spec"] | {"maxNumSeqs": 8})
    )
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")
    assert stopped(lab, place) is None
    assert len(nodes_of(lab, place, "chat")) == 2

    # and so is another spec of the policy
    node = nodes_of(lab, place, "chat")[0]
    try:
        lab.facts(node, jurisdiction="US")
        lab.wait_condition("sovpool", "chat", place, "Ready", "False", "ScaledToZero")
    finally:
        lab.facts(node, jurisdiction="FR")
    lab.policy(place, tier=place, onViolation={"action": "Evict"})
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")
