"""Row 24: bad objects of all kinds, some hundreds at once, do not stop the operator and do not delay what is good."""

import random
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from sovereign.api.kinds import KINDS, Kind
from sovereign.api.meta import API_VERSION
from tests.fuzz.schemas import placed, spec_schema, strings
from tests.fuzz.values import HOSTILE
from tests.integration.api import Api
from tests.integration.crd_examples import BASE
from tests.operator.lab import FACTS, Lab, Manifest, Process, wait_for

_WANTED = {"SovereigntyPolicy": 4, "SovereignModel": 60, "InferencePool": 100, "InferenceRuntime": 10}
"""How many of each kind; a policy costs some twenty admission objects."""
_STATUSES: tuple[Manifest, ...] = (
    {"sizing": {"gpus": 2**53, "weightsBytes": 2**53}},
    {"replicas": 2**53, "selector": "a" * 512, "endpoint": "\u202e" * 512},
    {"placement": {"lawful": 2**53, "byRegion": [{"region": "", "jurisdiction": "", "replicas": 0}] * 64}},
    {
        "artifact": {
            "digest": "../..",
            "claim": "../x",
            "path": "../../etc",
            "entrypoint": "/etc/passwd",
            "sourceHash": "x",
        }
    },
    {"parameters": {"layers": 0, "hiddenSize": 0, "attentionHeads": 2**53, "dtype": "{{ 7*7 }}"}},
    {"policies": ["\0"] * 64},
)


@pytest.fixture
def api(lab: Lab) -> Api:
    """The API server over HTTP, with full rights."""
    return Api.of(lab.cluster.kubeconfig)


@pytest.fixture
def heap(lab: Lab, place: str) -> Iterator[str]:
    """A namespace for bad objects, governed as `place` is."""
    name = f"{place}-heap"
    lab.namespace(name, tier=place)
    yield name
    selector = f"bad-input={place}"
    lab.cluster.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")
    lab.cluster.kubectl("delete", "sovpol,infrt,nodes", "-l", selector, "--wait=false")


def _bad(kind: Kind, heap: str, mark: str, dice: random.Random, number: int) -> Manifest:
    """An object with one or two bad values, of which the API server may take none."""
    paths = list(strings(spec_schema(kind)))
    spec: Any = BASE[kind.kind]["spec"]
    for _ in range(dice.choice((1, 1, 2))):
        spec = placed(spec, dice.choice(paths), dice.choice(HOSTILE))
    if kind.kind == "SovereigntyPolicy":
        spec = placed(spec, ("namespaceSelector",), {"matchLabels": {"bad-input": mark}})
    metadata: Manifest = {"name": f"bad-{mark}-{number}", "labels": {"bad-input": mark}}
    if kind.namespaced:
        metadata["namespace"] = heap
    return {"apiVersion": API_VERSION, "kind": kind.kind, "metadata": metadata, "spec": spec}


def _hopeless(kind: Kind, manifest: Manifest) -> bool:
    """Whether the API server would not take it either."""
    try:
        kind.parse(manifest)
    except ValidationError:
        return True
    return False


def _collection(kind: Kind, heap: str) -> str:
    return (
        f"/apis/{API_VERSION}/namespaces/{heap}/{kind.plural}"
        if kind.namespaced
        else f"/apis/{API_VERSION}/{kind.plural}"
    )


def _heap_up(api: Api, heap: str, mark: str, dice: random.Random) -> None:
    """As many bad objects of each kind as are wanted, of those that the API server takes."""
    for kind in KINDS:
        taken = 0
        for number in range(_WANTED[kind.kind] * 30):
            manifest = _bad(kind, heap, mark, dice, number)
            if _hopeless(kind, manifest):
                continue
            answer = api.request("POST", _collection(kind, heap), manifest)
            assert answer.ok or answer.code == 422, answer.message
            taken += answer.ok
            if answer.ok and kind.status is not None:
                path = f"{_collection(kind, heap)}/{answer.body['metadata']['name']}/status"
                api.request("PATCH", path, {"status": dice.choice(_STATUSES)})
            if taken == _WANTED[kind.kind]:
                break
        assert taken == _WANTED[kind.kind], f"only {taken} bad objects of kind {kind.kind} were taken"


def _absurd_surroundings(api: Api, mark: str, dice: random.Random) -> None:
    """Nodes with impossible GPUs, and pods that look like ours where nothing governs."""
    sizes = ("9223372036854775807", "1e18", "0.5n", "999Ei", "1m")
    for number, size in enumerate(sizes):
        labels = {
            "bad-input": mark,
            f"{FACTS}/jurisdiction": "US",
            "nvidia.com/gpu.memory": dice.choice(["9" * 63, "x", "0"]),
        }
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"bad-{mark}-{number}", "labels": labels}}
        assert api.create(node).ok
        status = {"status": {"allocatable": {"nvidia.com/gpu": size}, "capacity": {"nvidia.com/gpu": size}}}
        api.request("PATCH", f"/api/v1/nodes/bad-{mark}-{number}/status", status)
    for number in range(10):
        labels = {"sovereignai.io/pool": "a" * 63, "sovereignai.io/compliant": dice.choice(["", "maybe", "true"])}
        labels |= {
            "app.kubernetes.io/component": dice.choice(["import", "probe", "serving", "x"]),
            "sovereignai.io/model": "M.x",
        }
        name = f"bad-{mark}-{number}-" + "x" * 200
        containers = [{"name": "c", "image": "{{ 7*7 }}/$(HOME)"}]
        metadata = {"name": name, "namespace": "default", "labels": labels, "annotations": {"a": "\0" * 100_000}}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}
        answer = api.create(pod)
        assert answer.ok, answer.message


def _remove_surroundings(api: Api, mark: str) -> None:
    for number in range(10):
        api.request(
            "DELETE", f"/api/v1/namespaces/default/pods/bad-{mark}-{number}-" + "x" * 200, gracePeriodSeconds="0"
        )


def _first_child_after(lab: Lab, place: str, name: str) -> float:
    """Seconds from a good pool's creation until its Deployment is there."""
    lab.model(name, place)
    started = time.monotonic()
    lab.pool(name, place)
    wait_for(f"the Deployment of {name}", lambda: lab.get("deployment", name, place))
    return time.monotonic() - started


def test_a_heap_of_bad_objects_stops_nobody_and_delays_nobody(
    lab: Lab, operator: Process, api: Api, place: str, heap: str
) -> None:
    dice = random.Random(5)
    alone = _first_child_after(lab, place, "before")
    begun = operator.log.stat().st_size
    _heap_up(api, heap, place, dice)
    _absurd_surroundings(api, place, dice)
    try:
        beside = _first_child_after(lab, place, "beside")
        assert beside < 10 + 5 * alone, f"{beside:.1f} s beside bad objects, {alone:.1f} s alone"
        wait_for("a word about every bad object", lambda: not _untold(lab, heap, place), 120)
        assert operator.popen.poll() is None
        unexpected = re.findall(r"Reconciling [^\"]* failed", operator.log.read_text()[begun:])
        assert not unexpected
    finally:
        _remove_surroundings(api, place)
    _all_goes(lab, heap, place)
    assert operator.popen.poll() is None
    lab.wait_condition("sovpool", "beside", place, "Available", "True")


def _untold(lab: Lab, heap: str, mark: str) -> list[str]:
    """Bad objects of which nothing is said, or another generation's."""
    found = [*lab.all("sovpool", heap), *lab.all("smodel", heap), *lab.all("sovpol", "", f"bad-input={mark}")]
    return [
        one["metadata"]["name"]
        for one in found
        if not one.get("status", {}).get("conditions")
        or one["status"].get("observedGeneration") != one["metadata"]["generation"]
    ]


def _all_goes(lab: Lab, heap: str, mark: str) -> None:
    """What is deleted goes, with all that was made for it."""
    lab.cluster.kubectl("delete", "sovpol,infrt,nodes", "-l", f"bad-input={mark}", "--wait=false")
    lab.cluster.kubectl("delete", "namespace", heap, "--wait=false")
    wait_for("the namespace to go", lambda: lab.get("namespace", heap) is None, 120)
    wait_for("the bad policies to go", lambda: not lab.all("sovpol", "", f"bad-input={mark}"))

    def left() -> list[str]:
        kinds = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
        names = [one["metadata"]["name"] for kind in kinds for one in lab.all(kind, "", "sovereignai.io/policy")]
        return [name for name in names if f"bad-{mark}" in name]

    wait_for("their admission objects to go", lambda: not left())
