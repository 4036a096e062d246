"""What is read of the JSON of lists and watches."""

import orjson
import pytest
from aiohttp import ClientPayloadError
from hypothesis import given
from hypothesis import strategies as st

from bench.benches.heartbeat import node as reported
from sovereign.cluster import nodes
from sovereign.cluster.client import ApiError
from sovereign.cluster.forms import Whole
from sovereign.plan.inventory import Node
from testbed import objects
from testbed.inventory import FakeNode, Gpu
from tests.controllers.test_convergence import Manifest

EXPIRED = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Expired", "code": 410}
GPUS = FakeNode("gpus", "fr-par", "fr-par-1", "FR", gpu=Gpu("NVIDIA-H100", 8, 81559))
NODES = [reported("kubelets"), objects.node(GPUS), {"metadata": {"name": "bare"}, "spec": {"unschedulable": True}}]


def stored(manifest: Manifest, version: int = 12) -> Manifest:
    return manifest | {"metadata": manifest["metadata"] | {"uid": "u-1", "resourceVersion": str(version)}}


def event(kind: str, found: Manifest) -> bytes:
    return orjson.dumps({"type": kind, "object": found})


def row(manifest: Manifest) -> nodes.NodeRow:
    _, seen = nodes.FORM.event(event("MODIFIED", manifest))
    found = seen.row()
    assert found is not None
    assert (seen.name, seen.version) == (("", found.name), found.version)
    return found


@pytest.mark.parametrize("manifest", NODES, ids=lambda manifest: manifest["metadata"]["name"])
def test_a_node_is_read_as_from_its_manifest(manifest: Manifest) -> None:
    assert row(stored(manifest)).node == Node.from_manifest(stored(manifest))
    (seen,) = nodes.FORM.page(
        orjson.dumps({"metadata": {"resourceVersion": "13", "continue": "x"}, "items": [stored(manifest)]})
    ).items
    assert seen.row() == row(stored(manifest))


words = st.text(max_size=8)
maps = st.none() | st.dictionaries(words, words, max_size=3)


@given(
    st.fixed_dictionaries(
        {"metadata": st.fixed_dictionaries({"name": words}, optional={"uid": words, "labels": maps})},
        optional={
            "spec": st.none()
            | st.fixed_dictionaries({}, optional={"unschedulable": st.booleans(), "providerID": words, "taints": maps}),
            "status": st.none()
            | st.fixed_dictionaries(
                {},
                optional={
                    "allocatable": maps,
                    "capacity": maps,
                    "nodeInfo": st.none() | st.fixed_dictionaries({}, optional={"systemUUID": words, "bootID": words}),
                },
            ),
        },
    )
)
def test_any_node_is_read_as_from_its_manifest(manifest: Manifest) -> None:
    manifest["metadata"]["resourceVersion"] = "7"
    assert row(manifest).node == Node.from_manifest(manifest)


def test_a_heartbeat_leaves_one_copy() -> None:
    before, after = row(stored(NODES[0])), row(stored(NODES[0], 13))
    nodes.inherit(before, after)
    assert after.node is before.node
    assert after.version == 13


def test_pages_tell_how_to_go_on() -> None:
    for form in (nodes.FORM, Whole(dict)):
        page = form.page(b'{"metadata": {"resourceVersion": "13", "continue": "x"}, "items": []}')
        assert (page.version, page.token, list(page.items)) == ("13", "x", [])
        assert form.page(b'{"metadata": {"resourceVersion": "13"}, "items": []}').token == ""


def test_objects_of_a_page_are_read_one_after_the_other() -> None:
    read: list[str] = []
    form = Whole(lambda manifest: read.append(manifest["metadata"]["name"]))
    items = [{"metadata": {"name": name, "namespace": "n", "resourceVersion": "7"}} for name in ("a", "b")]
    page = form.page(orjson.dumps({"metadata": {"resourceVersion": "13"}, "items": items}))
    for seen, name in zip(page.items, ("a", "b"), strict=True):
        assert (seen.name, seen.version) == (("n", name), 7)
        if name == "b":
            seen.row()
    assert read == ["b"], "what is known already is not read"
    with pytest.raises(ClientPayloadError):
        list(form.page(b'{"metadata": {"resourceVersion": "13"}, "items": [5]}').items)


@pytest.mark.parametrize("form", [nodes.FORM, Whole(dict)])
def test_errors_are_told_apart_from_what_broke(form: object) -> None:
    assert isinstance(form, (type(nodes.FORM), Whole))
    with pytest.raises(ApiError) as caught:
        form.event(event("ERROR", EXPIRED))
    assert caught.value.expired
    for broken in (b'{"type": "MODIFIED", "obj', b"[]", b'{"type": "MODIFIED"}', b'{"type": 5, "object": {}}'):
        with pytest.raises(ClientPayloadError):
            form.event(broken)
    for broken in (b'{"items": [', b"[]", b"{}"):
        with pytest.raises(ClientPayloadError):
            form.page(broken)
