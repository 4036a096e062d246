"""Wrong, late and lost answers of the API server, and watches that break: the end state is the one without them."""

import time
from itertools import cycle
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from sovereign.api.crd import definition
from sovereign.api.kinds import KINDS
from sovereign.cluster.reflector import SHORT
from testbed.chaos.proxy import Proxy, Treatment, lists, status, watches, writes
from tests.operator.lab import Lab, Process, wait_for


def serve(lab: Lab, place: str) -> None:
    lab.model("chat", place)
    lab.pool("chat", place)
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")


def test_what_was_deleted_while_watches_were_gone_is_noticed(
    lab: Lab, proxied: tuple[Process, Proxy], place: str
) -> None:
    process, proxy = proxied
    serve(lab, place)
    before = lab.get("service", "chat", place)
    assert before is not None
    blind = True
    proxy.fault = lambda request: status(410, "Expired") if blind and (watches(request) or lists(request)) else None
    proxy.cut()
    wait_for("a watch to expire", lambda: any(code == 410 for _, _, code in proxy.answered))
    lab.cluster.kubectl("delete", "service", "chat", "-n", place)
    lab.cluster.kubectl("delete", "networkpolicy", "chat-serving", "-n", place)
    blind = False
    wait_for("the Service to come back", lambda: (lab.get("service", "chat", place) or before) != before)
    wait_for("the NetworkPolicy to come back", lambda: lab.get("networkpolicy", "chat-serving", place))
    assert process.popen.poll() is None


def test_watches_that_break_resume_where_they_were(lab: Lab, proxied: tuple[Process, Proxy], place: str) -> None:
    process, proxy = proxied
    serve(lab, place)
    lab.settle(process)
    since = lab.position()
    for replicas in (2, 3):
        proxy.cut()
        lab.pool("chat", place, replicas=replicas)
        wanted = replicas
        wait_for("the change", lambda n=wanted: lab.get("deployment", "chat", place)["spec"]["replicas"] == n)  # type: ignore[index]
    relisted = [
        r.resource
        for r in lab.requests(since)
        if r.verb == "list" and r.resource in ("services", "pods", "deployments")
    ]
    assert relisted == [], "our own caches resume from the last version, without a list"


def test_too_many_requests_are_waited_out(lab: Lab, proxied: tuple[Process, Proxy], place: str) -> None:
    _, proxy = proxied
    refused = 0

    def throttle(request: web.Request) -> web.Response | None:
        nonlocal refused
        if request.method == "PATCH" and place in request.path and refused < 12:
            refused += 1
            return status(429, "TooManyRequests", **{"Retry-After": "1"})
        return None

    proxy.fault = throttle
    serve(lab, place)
    assert refused == 12


def test_errors_are_tried_again_with_back_off(lab: Lab, proxied: tuple[Process, Proxy], place: str) -> None:
    process, proxy = proxied
    wrong = 0

    def fail(request: web.Request) -> web.Response | None:
        nonlocal wrong
        if request.method == "PATCH" and "/deployments/" in request.path and wrong < 4:
            wrong += 1
            return status(500, "InternalError")
        return None

    proxy.fault = fail
    lab.model("chat", place)
    lab.pool("chat", place)
    lab.wait_condition("sovpool", "chat", place, "Stalled", "True", "ApplyFailed")
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")
    assert wrong == 4
    assert process.metric("workqueue_retries_total") >= 4


def test_rules_that_the_api_server_refuses_leave_the_others_and_the_last_good_ones_in_force(
    lab: Lab, proxied: tuple[Process, Proxy], place: str
) -> None:
    """Row 12: the policy says so, and is Stalled until they are taken."""
    _, proxy = proxied
    lab.wait_condition("sovpol", place, "", "Enforced", "True")
    refused = f"sovereign-{place}-pods"
    before = lab.get("validatingadmissionpolicy", refused)
    assert before is not None
    proxy.fault = lambda request: (
        status(422, "Invalid")
        if request.method == "PATCH" and request.path.endswith(f"admissionpolicies/{refused}")
        else None
    )
    storage = {"storageClasses": ["elsewhere"]}
    lab.policy(place, tier=place, images={"registries": ["other.example.eu/ai"]}, storage=storage)
    found = lab.wait_condition("sovpol", place, "", "Stalled", "True", "ApplyFailed")
    assert refused in found["message"]
    lab.wait_condition("sovpol", place, "", "Enforced", "False", "ApplyFailed")
    now = lab.get("validatingadmissionpolicy", refused)
    assert now is not None
    assert (now["spec"], now["metadata"]["uid"]) == (before["spec"], before["metadata"]["uid"])
    assert "elsewhere" in str(lab.get("validatingadmissionpolicy", f"sovereign-{place}-storage"))
    assert lab.get("validatingadmissionpolicybinding", refused)["spec"]["validationActions"] == ["Deny"]  # type: ignore[index]
    proxy.fault = lambda _: None
    lab.wait_condition("sovpol", place, "", "Enforced", "True")
    assert lab.condition("sovpol", place, "", "Stalled") == {}
    assert "other.example.eu/ai" in str(lab.get("validatingadmissionpolicy", refused))


def test_events_that_are_cut_in_the_middle(lab: Lab, proxied: tuple[Process, Proxy], place: str) -> None:
    process, proxy = proxied
    serve(lab, place)
    for replicas in (2, 1, 2):
        torn = proxy.torn
        proxy.tear()
        lab.pool("chat", place, replicas=replicas)
        wanted = replicas
        wait_for("the change", lambda n=wanted: lab.get("deployment", "chat", place)["spec"]["replicas"] == n)  # type: ignore[index]
        wait_for("a torn event", lambda n=torn: proxy.torn > n)
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")
    assert process.runs


def test_answers_that_are_slow_lost_or_never_come(lab: Lab, proxied: tuple[Process, Proxy], place: str) -> None:
    """Every write of a model and its pool is taken, late or unheard; or it is not taken, and nobody says so."""
    process, proxy = proxied
    turns = cycle((Treatment(delay=0.7), Treatment(answer=False), Treatment(forward=False)))
    ill = 0

    def treat(request: web.Request) -> Treatment | None:
        nonlocal ill
        if not writes(request) or f"/{place}/" not in request.path or ill >= 24:
            return None
        ill += 1
        return next(turns)

    proxy.fault = treat
    serve(lab, place)
    assert ill >= 12
    assert len(lab.all("deployments", place)) == len(lab.all("services", place)) == 1
    assert process.runs


def test_a_child_that_is_deleted_while_it_is_applied(lab: Lab, proxied: tuple[Process, Proxy], place: str) -> None:
    _, proxy = proxied
    kinds = {
        "deployments": "chat",
        "services": "chat",
        "networkpolicies": "chat-serving",
        "serviceaccounts": "chat-serving",
    }
    deleted: list[str] = []

    def treat(request: web.Request) -> Treatment | None:
        *_, namespace, kind, name = request.path.split("/") if request.method == "PATCH" else ("", "", "")
        if namespace != place or kinds.get(kind) != name or kind in deleted:
            return None
        deleted.append(kind)
        # The answer comes when the deletion has been seen: it must not bring the child back to life.
        return Treatment(after=lambda: lab.cluster.kubectl("delete", kind, name, "-n", place))

    proxy.fault = treat
    serve(lab, place)
    for kind, name in kinds.items():
        wait_for(f"{kind} to be there again", lambda k=kind, n=name: lab.get(k, n, place))
    assert sorted(deleted) == sorted(kinds)


def test_the_crds_are_upgraded_under_it(lab: Lab, proxied: tuple[Process, Proxy], place: str) -> None:
    process, _ = proxied
    serve(lab, place)
    try:
        upgrade(lab, {"type": "string", "description": "Of a later version."})
        lab.pool("chat", place, replicas=2)
        wait_for("the change", lambda: lab.get("deployment", "chat", place)["spec"]["replicas"] == 2)  # type: ignore[index]
        lab.pool("later", place, modelRef={"name": "chat"})
        lab.wait_condition("sovpool", "later", place, "Ready", "True")
    finally:
        upgrade(lab, None)
    lab.cluster.kubectl("delete", "sovpool", "later", "-n", place)
    wait_for("its children to go", lambda: lab.get("deployment", "later", place) is None)
    assert process.runs


def upgrade(lab: Lab, field: dict[str, Any] | None) -> None:
    """Apply the CRDs with one more field in every status, or without it."""
    crds = [definition(kind) for kind in KINDS]
    for crd in crds:
        if field:
            schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
            schema["properties"].setdefault("status", {"type": "object"}).setdefault("properties", {})["later"] = field
    text = yaml.safe_dump_all(crds)
    lab.cluster.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=helm", "-f", "-", input=text)
    lab.cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")


def test_two_hundred_broken_watches_leave_nothing_behind(lab: Lab, proxied: tuple[Process, Proxy], place: str) -> None:
    process, proxy = proxied
    serve(lab, place)
    lab.settle(process)
    watching = proxy.watching
    assert watching > 10
    before, broken = held(process), 0
    while broken < 200:
        begun = proxy.begun
        proxy.cut()
        broken += watching
        wait_for("new watches", lambda n=begun: proxy.begun >= n + watching and proxy.watching == watching)
        back = time.monotonic()
        wait_for("watches that were no refusal", lambda t=back: time.monotonic() - t > SHORT)
    lab.settle(process)
    after = held(process)
    assert after["tasks"] <= before["tasks"]
    assert after["descriptors"] <= before["descriptors"] + 8, "connections that are kept alive come and go"
    assert after["resident"] <= before["resident"] + 8_000, "kB"


def held(process: Process) -> dict[str, int]:
    """What the process has of each of these."""
    folder = Path(f"/proc/{process.popen.pid}")
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    return {
        "tasks": int(process.metric("sovereign_asyncio_tasks")),
        "descriptors": len(list((folder / "fd").iterdir())),
        "resident": int(status["VmRSS"].split()[0]),
    }
