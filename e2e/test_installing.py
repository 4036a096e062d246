"""The operator installed with helm: two replicas, one leads; upgraded and taken back, no model pod notices."""

import shutil
from pathlib import Path

import pytest
import yaml

from charts import sync
from e2e.setting import NEWER, values
from e2e.world import POOL, RELEASE, SYSTEM, World
from testbed.story.chart import place
from tests.operator.lab import Manifest, wait_for

OPERATOR = f"app.kubernetes.io/name={RELEASE}"


def test_two_replicas_and_one_leads(world: World) -> None:
    pods = operators(world)
    assert len(pods) == 2
    assert len({pod["spec"]["nodeName"] for pod in pods}) == 2, "both replicas are on one node"
    assert leader(world) in {pod["metadata"]["name"] for pod in pods}
    for pod in pods:
        (status,) = pod["status"]["containerStatuses"]
        assert status["ready"]
        assert status["imageID"] == world.images.operator


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The chart of the next version."""
    chart = tmp_path / sync.CHART.name
    shutil.copytree(sync.CHART, chart)
    described = yaml.safe_load((chart / "Chart.yaml").read_text())
    (chart / "Chart.yaml").write_text(yaml.safe_dump(described | {"version": NEWER, "appVersion": NEWER}))
    return chart


def test_an_upgrade_and_the_way_back_restart_no_model_pod(served: World, newer: Path) -> None:
    before = running(served)
    served.helm("upgrade", RELEASE, newer, *place(), *values(served, served.images.newer))
    assert {image(pod) for pod in operators(served)} == {served.images.newer}
    wait_for("a leader of the new version", lambda: leader(served) in names(operators(served)))
    _has_looked(served)
    assert running(served) == before

    served.helm("rollback", RELEASE, f"--namespace={SYSTEM}", "--wait", "--timeout=120s")
    assert {image(pod) for pod in operators(served)} == {served.images.operator}
    wait_for("a leader of the old version", lambda: leader(served) in names(operators(served)))
    _has_looked(served)
    assert running(served) == before


def _has_looked(world: World) -> None:
    """The operator in charge has reconciled the pool: it has made anew what was deleted."""
    before = world.get("poddisruptionbudget", POOL, "chat")
    assert before is not None
    world.cluster.kubectl("delete", "poddisruptionbudget", POOL, "-n", "chat")

    def mended() -> bool:
        found = world.get("poddisruptionbudget", POOL, "chat")
        return found is not None and found["metadata"]["uid"] != before["metadata"]["uid"]

    wait_for("the disruption budget to come back", mended)


def running(world: World) -> set[tuple[str, str, int]]:
    """Uid, start and restarts of each model pod."""
    found = set()
    for pod in world.serving(POOL):
        (status,) = pod["status"]["containerStatuses"]
        found.add((pod["metadata"]["uid"], status["state"]["running"]["startedAt"], status["restartCount"]))
    assert found
    return found


def operators(world: World) -> list[Manifest]:
    """The operator's pods that are not ending."""
    return [pod for pod in world.all("pods", SYSTEM, OPERATOR) if "deletionTimestamp" not in pod["metadata"]]


def names(pods: list[Manifest]) -> set[str]:
    """Their names."""
    return {pod["metadata"]["name"] for pod in pods}


def image(pod: Manifest) -> str:
    """The image of a pod with one container."""
    (container,) = pod["spec"]["containers"]
    return str(container["image"])


def leader(world: World) -> str:
    """The pod that holds the lease."""
    lease = world.get("lease", RELEASE, SYSTEM)
    return str(lease["spec"].get("holderIdentity", "")) if lease else ""
