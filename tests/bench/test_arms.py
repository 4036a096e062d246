"""What the arms of the storm are told, and how their turns are compared."""

from pathlib import Path

import orjson
import pytest

from bench import places
from bench.arms import bodies
from bench.arms.peer import Peer, owner
from bench.stats import Arm, Pair, interleaved, over
from sovereign.cluster.client import APPLY
from tests.bench.standin import TEMPLATE


def _with_status(kind: str, version: str = "sovereignai.io/v1alpha1") -> dict[str, object]:
    metadata = {"name": bodies.NAME, "namespace": "example"}
    status = {"url": f"http://{bodies.NAME}.example.svc", "observedGeneration": 1}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "status": status}


POOL = {"metadata": {"name": "m7", "namespace": "here", "uid": "the-uid"}}


def test_a_job_names_the_pool_that_it_is_about() -> None:
    jobs = bodies.whole(_with_status("SovereignModel"), _with_status("InferencePool"))
    line = jobs.about(POOL)
    assert line.endswith(b"\n")
    assert b"bench-" not in line
    waves = orjson.loads(line)["waves"]
    assert [len(wave) for wave in waves] == [1] * 7, "one request after the other"
    requests = [request for wave in waves for request in wave]
    kinds = [request["body"].get("kind", "") for request in requests]
    assert kinds[0] == kinds[-1] == ""
    assert requests[0]["path"] == "/apis/sovereignai.io/v1alpha1/namespaces/here/sovereignmodels/m7/status"
    assert requests[-1]["body"]["status"]["url"] == "http://m7.here.svc"
    children = [request["body"] for request in requests[1:-1]]
    assert {request["kind"] for request in requests[1:-1]} == {APPLY}
    assert children == bodies.children("here", "m7", "the-uid"), "what the planner plans for it"
    assert all(child["metadata"]["ownerReferences"][0]["uid"] == "the-uid" for child in children)


def test_children_are_written_at_once_where_their_latency_is_compared() -> None:
    waves = orjson.loads(bodies.in_parallel(_with_status("InferencePool")).about(POOL))["waves"]
    assert [len(wave) for wave in waves] == [5, 1]


def test_neighbours_share_the_bare_writer_and_an_arm_that_has_enough_is_left_out() -> None:
    order: list[str] = []
    bare = iter([1.0, 1.0, 2.0, 2.0])

    def turn(name: str, seconds: float) -> float:
        order.append(name)
        return seconds

    found = interleaved(
        lambda: turn("bare", next(bare)),
        {"ours": lambda: turn("ours", 2.0), "stock": lambda: turn("stock", 4.0)},
        wanted=1,
        most=5,
    )
    assert order == ["bare", "ours", "bare", "stock", "bare", "stock", "bare"]
    assert found["ours"] == Arm([Pair(1.0, 2.0, 1.0)], 0)
    assert found["ours"].speeds == [0.5]
    assert found["stock"].discarded == 1, "the machine was twice as slow after it"
    assert found["stock"].speeds == [0.5]


def test_an_arm_that_is_never_steady_ends() -> None:
    seconds = iter(float(2**number) for number in range(9))
    found = interleaved(lambda: next(seconds), {"ours": lambda: 1.0}, wanted=2, most=3)
    assert found == {"ours": Arm([], 3)}


def test_a_rival_is_compared_as_a_share_of_the_bare_writer_beside_it() -> None:
    ours = Arm([Pair(1.0, 1.25, 1.0), Pair(2.0, 2.5, 2.0)], 0)
    rival = Arm([Pair(4.0, 10.0, 4.0)], 1)
    assert over(rival, ours) == [2.0]
    assert over(rival, Arm([], 3)) == []


def test_what_counts_as_seen() -> None:
    ready = {"metadata": {"name": "a"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    assert places.READY(ready) == "a"
    assert places.READY({"metadata": {"name": "a"}}) == ""
    assert places.true("Available")(ready) == ""
    child = {"metadata": {"name": "c", "ownerReferences": [{"kind": "Node", "name": "n"}, {"kind": "W", "name": "w"}]}}
    assert owner("W")(child) == "w"
    assert owner("Widget")(child) == ""
    assert owner("W")({"metadata": {"name": "c"}}) == ""


def test_a_peer_from_its_files(tmp_path: Path) -> None:
    template = tmp_path / "widget.yaml"
    template.write_text(TEMPLATE)
    peer = Peer("standin", tmp_path / "manager", tmp_path, template)
    assert peer.manifest("w1", "there")["metadata"] == {"name": "w1", "namespace": "there"}
    assert peer.command(Path("/k")) == [str(tmp_path / "manager"), "--kubeconfig=/k"]
    assert peer.child is not None
    assert peer.child.path("there") == "/apis/apps/v1/namespaces/there/deployments"
    assert Peer("standin", tmp_path, tmp_path, template, until="v1/configmaps").child is not None
    assert Peer("standin", tmp_path, tmp_path, template, until="Ready").child is None


@pytest.mark.parametrize("broken", [[], ["--template"], ["--binary"]])
def test_a_peer_needs_all_its_files(broken: list[str], tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from bench.cli import app

    file = tmp_path / "file"
    file.write_text("")
    options = [
        part for name in ("--binary", "--crds", "--template") for part in (name, str(file)) if name not in broken
    ]
    arguments = ["run", "--peer", "x", *(options if broken else [])]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert "--binary, --crds and --template" in done.output
