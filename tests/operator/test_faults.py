"""Wrong answers of the API server: watches that expire or break, too many requests, errors."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.operator.lab import Lab, Process, wait_for
from tests.operator.proxy import Proxy, status


@pytest.fixture
def proxied(lab: Lab, running: list[Process], tmp_path: Path) -> Iterator[tuple[Process, Proxy]]:
    """An operator that reaches the API server through the proxy, and leads."""
    for process in running:
        if process.popen.poll() is None:
            process.stop()
    with Proxy(lab.kubeconfig, tmp_path) as proxy:
        process = lab.start(KUBECONFIG=str(proxy.kubeconfig))
        try:
            wait_for("the operator to lead", lambda: process.leads)
            yield process, proxy
        finally:
            process.stop()


def watches(request: web.Request) -> bool:
    return request.query.get("watch") == "true"


def lists(request: web.Request) -> bool:
    return request.method == "GET" and not watches(request) and "limit" in request.query


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
