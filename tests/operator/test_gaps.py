"""What happens while nobody watches: it is noticed when the watches are there again."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiohttp import web

from testbed.chaos.proxy import Proxy, lists, status, watches
from testbed.chaos.stage import compact, kill_api_server, start_api_server
from tests.operator.lab import IMAGE, Lab, Process, custom, wait_for

WATCHED = ("sovereignmodels", "nodes", "inferenceruntimes")
pytestmark = pytest.mark.xdist_group("faults")  # beside the others, on a control plane of their own


@contextmanager
def blind(proxy: Proxy) -> Iterator[None]:
    """A time in which the operator sees nothing, and after which it has to list anew."""

    def expire(request: web.Request) -> web.Response | None:
        return status(410, "Expired") if watches(request) or lists(request) else None

    proxy.fault = expire
    proxy.cut()
    yield
    # kopf asks four times for the watch that it had, and then for a list: from there on it knows no version to resume from.
    # Our own caches ask for a list at once. Each has listed and begun to watch before.
    wait_for("lists to be asked for", lambda: all(asked(proxy, plural) > 4 for plural in WATCHED))
    proxy.heal()


def asked(proxy: Proxy, plural: str) -> int:
    return sum(path.endswith(f"/{plural}") for _, path, _ in proxy.answered)


def test_a_model_that_was_deleted(lab: Lab, proxied: tuple[Process, Proxy], place: str) -> None:
    _, proxy = proxied
    lab.model("chat", place)
    lab.pool("chat", place)
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")
    with blind(proxy):
        lab.cluster.kubectl("delete", "smodel", "chat", "-n", place)
    lab.wait_condition("sovpool", "chat", place, "Stalled", "True", "ModelNotFound")


def test_a_runtime_that_was_deleted(lab: Lab, proxied: tuple[Process, Proxy], place: str) -> None:
    """kopf watches runtimes, and tells of no deletion that it has missed."""
    _, proxy = proxied
    runtime = lab.get("infrt", "vllm")
    assert runtime is not None
    lab.apply(custom("InferenceRuntime", "brief", "", runtime["spec"]))
    lab.model("chat", place)
    lab.pool("chat", place, runtime={"name": "brief", "image": IMAGE})
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")
    with blind(proxy):
        lab.cluster.kubectl("delete", "infrt", "brief")
    lab.wait_condition("sovpool", "chat", place, "Stalled", "True", "RuntimeNotFound")


def test_a_node_that_was_deleted(lab: Lab, proxied: tuple[Process, Proxy], place: str) -> None:
    _, proxy = proxied
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "brief-fr", "labels": {}}}
    lab.cluster.kubectl("create", "-f", "-", input=json.dumps(node))
    lab.facts("brief-fr", jurisdiction="FR")
    approved = f"{place}-binding"
    wait_for(
        "its approval", lambda: "brief-fr" in json.dumps(lab.get("validatingadmissionpolicy", f"sovereign-{approved}"))
    )
    with blind(proxy):
        lab.cluster.kubectl("delete", "node", "brief-fr")
    wait_for(
        "its name to leave the list",
        lambda: "brief-fr" not in json.dumps(lab.get("validatingadmissionpolicy", f"sovereign-{approved}")),
    )


def test_an_etcd_that_was_compacted(lab: Lab, proxied: tuple[Process, Proxy], place: str) -> None:
    """The API server itself says 410: what the watches saw last is older than all that etcd and its own cache have."""
    process, proxy = proxied
    lab.model("chat", place)
    lab.model("other", place)
    lab.pool("chat", place)
    lab.pool("other", place)
    for pool in ("chat", "other"):
        lab.wait_condition("sovpool", pool, place, "Ready", "True")
    proxy.sever()
    for kind, name in (("service", "chat"), ("networkpolicy", "other-serving"), ("smodel", "other")):
        lab.cluster.kubectl("delete", kind, name, "-n", place)
    compact(lab.cluster)
    kill_api_server(lab.cluster)
    start_api_server(lab.cluster)
    proxy.mend()
    wait_for("the Service to come back", lambda: lab.get("service", "chat", place))
    lab.wait_condition("sovpool", "other", place, "Stalled", "True", "ModelNotFound")
    assert proxy.expired > 0
    assert process.runs
    lab.model("other", place)
    lab.wait_condition("sovpool", "other", place, "Ready", "True")
    wait_for("the NetworkPolicy to come back", lambda: lab.get("networkpolicy", "other-serving", place))
