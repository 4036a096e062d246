"""Objects of ours are the same however they were read: as JSON by a reflector, or from a dictionary that kopf hands over."""

from typing import Any

import orjson
import pytest

from sovereign.controllers.objects import OBJECTS, Object, decode

_METADATA = {"name": "chat", "namespace": "ai", "uid": "u", "resourceVersion": "7"}
_POOL: dict[str, Any] = {
    "apiVersion": "sovereignai.io/v1alpha1",
    "kind": "InferencePool",
    "metadata": _METADATA | {"generation": 2, "labels": {"team": "a"}, "managedFields": [{"manager": "kubectl"}]},
    "spec": {"modelRef": {"name": "m"}, "runtime": {"name": "vllm"}, "replicas": 1},
    "status": {"replicas": 1},
}
_BODIES = {
    "whole": _POOL,
    "without spec and status": {name: _POOL[name] for name in ("apiVersion", "kind", "metadata")},
    "null spec and labels": _POOL | {"spec": None, "status": None, "metadata": _METADATA | {"labels": None}},
    "ending": _POOL | {"metadata": _METADATA | {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
    "wrong spec": _POOL | {"spec": {"modelRef": {"name": "m"}, "replicas": "many"}},
}


def _said(item: Object) -> tuple[object, ...]:
    return item.owner, item.spec, item.problem, item.status, item.version, item.deleting, item.reference, item.runtime


@pytest.mark.parametrize("body", _BODIES.values(), ids=_BODIES)
def test_a_page_an_event_and_a_dictionary_say_the_same(body: dict[str, Any]) -> None:
    page = OBJECTS.page(orjson.dumps({"metadata": {"resourceVersion": "9"}, "items": [body]}))
    (listed,) = (seen.row() for seen in page.items)
    _, event = OBJECTS.event(orjson.dumps({"type": "ADDED", "object": body}))
    watched = event.row()
    assert listed is not None
    assert watched is not None
    assert _said(listed) == _said(watched) == _said(decode(body))


def test_a_pool_tells_its_runtime_only_when_its_spec_is_understood() -> None:
    assert decode(_POOL).runtime == "vllm"
    wrong = decode(_BODIES["wrong spec"])
    assert (wrong.problem != "", wrong.runtime) == (True, "")
