"""Wrong answers of the API server: watches that expire or break, too many requests, errors."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from testbed.chaos.proxy import Proxy, lists, status, watches
from tests.operator.lab import Lab, Process, wait_for


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
