"""Row 24: bad values for every string field of every kind are refused with a word about the field, or end in a condition."""

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.api.kinds import KINDS, Kind
from sovereign.api.meta import API_VERSION
from sovereign.plan.inventory import Node
from tests.fuzz.planning import planned, understood
from tests.fuzz.schemas import Path, fields, placed, shown, spec_schema, specs, strings
from tests.fuzz.totals import Effort, costly, tried
from tests.fuzz.values import HOSTILE, HUGE, SHAPES
from tests.integration.api import Answer, Api
from tests.integration.crd_examples import BASE

FIELDS = [(kind, path) for kind in KINDS for path in strings(spec_schema(kind))]
_IDS = [f"{kind.kind}.{shown(path)}" for kind, path in FIELDS]


def _manifest(kind: Kind, spec: Any) -> dict[str, Any]:
    metadata = {"name": "example"} | ({"namespace": "default"} if kind.namespaced else {})
    return {"apiVersion": API_VERSION, "kind": kind.kind, "metadata": metadata, "spec": spec}


def _with(kind: Kind, path: Path, value: Any) -> dict[str, Any]:
    return _manifest(kind, placed(BASE[kind.kind]["spec"], path, value))


# --- without a cluster ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "path"), FIELDS, ids=_IDS)
def test_no_value_of_a_field_stops_planning(kind: Kind, path: Path, effort: Effort) -> None:
    """Row 24: also those that a CRD would refuse, which an older one may have let through."""
    values = [*HOSTILE, *HUGE, *SHAPES]
    for value in effort.random.sample(values, effort.of(30, len(values))):
        tried("bad input: planned without a cluster")
        for manifest in planned(understood(_with(kind, path, value))):
            json.dumps(manifest).encode()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
@costly(50, 2500)
@given(st.data())
def test_no_object_that_keeps_the_rules_of_its_fields_stops_planning(kind: Kind, data: st.DataObject) -> None:
    """Row 24."""
    item = understood(_manifest(kind, data.draw(specs(kind.kind))))
    tried(f"objects: {kind.kind} {'planned' if item.spec is not None else 'refused by its type'}")
    for manifest in planned(item):
        json.dumps(manifest).encode()


_numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)  # JSON has no others
_anything = st.recursive(
    st.none() | st.booleans() | _numbers | st.text(max_size=20) | st.sampled_from(HOSTILE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
@costly(100, 2000)
@given(_anything, st.integers(0, 10**6))
def test_anything_in_the_place_of_anything_is_understood_or_refused(kind: Kind, value: Any, seed: int) -> None:
    """Row 24."""
    paths = [path for one, path in FIELDS if one is kind]
    path = paths[seed % len(paths)]
    cut = path[: seed % (len(path) + 1)]
    tried("bad input: anything in the place of anything")
    item = understood(_manifest(kind, placed(BASE[kind.kind]["spec"], cut, value)))
    assert (item.spec is None) is bool(item.problem)
    for manifest in planned(item):
        json.dumps(manifest).encode()


@costly(50, 600)
@given(
    st.dictionaries(st.text(max_size=40), st.text(max_size=70), max_size=4),
    st.dictionaries(
        st.sampled_from(["nvidia.com/gpu", "cpu", "memory"]),
        st.one_of(
            st.sampled_from(
                ["0", "-1", "1.5", "9223372036854775807", "1e18", "12E", "1m", "100Ei", "0.5n", "1E6", "+3"]
            ),
            st.integers(0, 2**70).map(str),
        ),
    ),
)
def test_absurd_nodes_stop_no_planning(labels: dict[str, str], allocatable: dict[str, str]) -> None:
    """Row 3: whatever a kubelet says of its node."""
    manifest = {
        "metadata": {"name": "absurd", "labels": labels | {"nvidia.com/gpu.memory": next(iter(labels.values()), "1")}},
        "status": {"allocatable": allocatable},
    }
    node = Node.from_manifest(manifest)
    tried("nodes: absurd ones")
    for kind in KINDS:
        for child in planned(understood(_manifest(kind, BASE[kind.kind]["spec"])), [node]):
            json.dumps(child).encode()


# --- on the API server ----------------------------------------------------------------------------------


@pytest.mark.integration
def test_every_field_refuses_what_is_wrong_or_it_is_planned(api: Api, effort: Effort) -> None:
    """Row 24: what the API server refuses it does by the field's name, and what it takes stops no planning."""
    misunderstood = []
    for kind, path in FIELDS:
        for value in _chosen(effort):
            manifest = _with(kind, path, value)
            answer = _ask(api, manifest)
            if not answer.ok:
                _says_what_is_wrong(answer, path, value)
                continue
            item = understood(answer.body)
            if item.problem:
                misunderstood.append(f"{kind.kind}.{shown(path)} {value!r:.80}: {item.problem}")
            for _ in planned(item):
                pass
    tried("bad input: taken by the API server, refused by its type", len(misunderstood))
    assert all("spec." in line for line in misunderstood), misunderstood


def _chosen(effort: Effort) -> list[Any]:
    if effort.long:
        return [*effort.random.sample(HOSTILE, 50), effort.random.choice(HUGE), *SHAPES]
    random: Random = effort.random
    return [*random.sample(HOSTILE, 5), random.choice(HUGE[:3]), random.choice(SHAPES)]


def _ask(api: Api, manifest: dict[str, Any]) -> Answer:
    tried("requests to the API server")
    answer = api.request("POST", _collection(manifest), manifest, dryRun="All")
    tried(f"bad input: {'taken' if answer.ok else 'refused'} by the API server")
    return answer


def _collection(manifest: dict[str, Any]) -> str:
    (kind,) = [one for one in KINDS if one.kind == manifest["kind"]]
    place = "/namespaces/default" if kind.namespaced else ""
    return f"/apis/{API_VERSION}{place}/{kind.plural}"


def _says_what_is_wrong(answer: Answer, path: Path, value: Any) -> None:
    assert answer.code in (400, 413, 422), answer
    named = any(name in answer.message for name in fields(path))
    assert answer.code == 413 or named, (shown(path), str(value)[:80], answer.message[:500])


@pytest.mark.integration
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
@pytest.mark.parametrize("depth", [100, 5_000, 100_000])
def test_unknown_fields_however_deep_are_pruned_or_refused(api: Api, kind: Kind, depth: int) -> None:
    """Row 24, row 25."""
    text = json.dumps(_manifest(kind, {**BASE[kind.kind]["spec"], "unknown": "HERE"}))
    body = text.replace('"HERE"', '{"a":' * depth + "1" + "}" * depth)
    tried("requests to the API server")
    answer = api.request("POST", _collection(json.loads(text)), body.encode(), dryRun="All", fieldValidation="Ignore")
    assert answer.code in (201, 400, 422), answer.message
    if answer.ok:
        assert "unknown" not in answer.body["spec"]
        assert understood(answer.body).problem == ""
