"""The storm, the requests and the first child at a tiny size, on a real control plane, with a peer that is none."""

import gc
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench import runner
from bench.arms.peer import Peer
from bench.ground import Ground
from bench.results import Result
from bench.suite import Work, chosen
from tests.bench.standin import CRD, TEMPLATE

pytestmark = [
    pytest.mark.integration,
    pytest.mark.xdist_group("bench"),
    # The API server takes its time to say goodbye to a watch that was left, and the event loop does not wait for it.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]
SIZE = 5


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Connections that are left are this module's, not the next one's."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with ExitStack() as stack:
        yield runner._made(stack)


@pytest.fixture
def peer(tmp_path: Path) -> Peer:
    binary = tmp_path / "manager"
    binary.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tests.bench.standin "$1"\n')
    binary.chmod(0o755)
    for name, text in (("crd.yaml", CRD), ("widget.yaml", TEMPLATE)):
        (tmp_path / name).write_text(text)
    crds, template = tmp_path / "crd.yaml", tmp_path / "widget.yaml"
    return Peer("standin", binary, crds, template, until="v1/configmaps", arguments="{kubeconfig}")


def _run(ground: Ground, name: str, peer: Peer | None = None) -> dict[str, Result]:
    (bench,) = chosen([name])
    # A machine that tests share is not steady: every pair counts.
    return {one.metric: one for one in bench.run(ground, Work(SIZE, turns=1, tolerance=1.0, peer=peer))}


@pytest.mark.timeout(600)
def test_every_arm_of_the_storm_ends_and_leaves_nothing(ground: Ground, peer: Peer) -> None:
    found = _run(ground, "storm", peer)
    for metric in (
        "over_bare",
        "over_go",
        "over_stock",
        "over_lean",
        "over_peer",
        "cpu_per_model",
        "stock_cpu",
        "lean_cpu",
    ):
        assert found[f"storm.{metric}"].value > 0
        assert found[f"storm.{metric}"].discarded == 0
    assert found["storm.over_bare"].samples == 1
    assert found["storm.bare_apiserver_cpu"].samples == 6, "before, between and after five arms"
    assert found["storm.peer_requests"].value == 2, "a ConfigMap and a status"
    assert "requests for each model" in found["storm.over_stock"].note
    left = ground.cluster.kubectl("get", "sovpool,smodel,deployments,services,networkpolicies", "-A", "-o", "name")
    assert "m0" not in left
    assert "widgets" not in ground.cluster.kubectl("api-resources", "-o", "name")


@pytest.mark.timeout(300)
def test_requests_are_counted_exactly(ground: Ground) -> None:
    found = _run(ground, "requests")
    assert found["requests.create"].value == 7
    assert 1 <= found["requests.change"].value <= 2
    assert found["requests.delete"].value == 0
    assert found["requests.rest"].value == 0


@pytest.mark.timeout(300)
def test_first_children_are_timed_for_both_arms(ground: Ground) -> None:
    found = _run(ground, "first_child")
    assert found["first_child.bare_ms"].value > 0
    assert found["first_child.p50_over_bare"].value > 0
    assert len(found["first_child.ours_ms"].points) == SIZE
