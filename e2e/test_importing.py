"""Weights are imported by a Job in a pod: cut off from all but the source, resumed, verified, published at once."""

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import oras.client
import oras.logger
import pytest

from e2e import manifests, reach
from e2e.world import NAMESPACE, World
from testbed import models
from testbed.demo import weights as digests
from testbed.nodes import network, outside
from tests.operator.lab import Manifest, wait_for

real_nodes = pytest.mark.real_nodes
SLOW = 64
"""Mbit/s: what takes a tenth of a second then takes twelve."""


@pytest.fixture
def slow_source(governed: World) -> Iterator[World]:
    network.throttle(governed.fleet.layout, SLOW)
    yield governed
    network.throttle(governed.fleet.layout, None)


@pytest.fixture
def removed(governed: World) -> Iterator[list[str]]:
    """Models that are deleted after the test, with their claims."""
    names: list[str] = []
    yield names
    for name in names:
        governed.cluster.kubectl("delete", "smodel", name, "-n", NAMESPACE, "--ignore-not-found", "--wait=true")
        governed.cluster.kubectl("delete", "pvc", f"{name}-weights", "-n", NAMESPACE, "--ignore-not-found", "--wait=true")


def test_imported_and_verified(imported: World) -> None:
    model = imported.get("smodel", "smollm2", NAMESPACE)
    assert model is not None
    assert model["status"]["artifact"]["digest"] == model["spec"]["digest"]
    assert model["status"]["artifact"]["bytes"] == models.smollm2().stat().st_size
    assert imported.condition("smodel", "smollm2", NAMESPACE, "Verified")["status"] == "True"
    assert imported.get("networkpolicy", "smollm2-import", NAMESPACE) is None, "the way to the source stays open"


@real_nodes
def test_killed_half_way_and_resumed(slow_source: World, removed: list[str]) -> None:
    """First the importer's process is killed, then the node under it loses its power."""
    world, name = slow_source, "halves"
    removed.append(name)
    world.apply(manifests.weights(world, name))
    first = _running(world, name)
    _import_pod_is_confined(world, first)
    _import_pod_reaches_the_source_alone(world, first)
    folder = _volume(world, name)
    size = models.smollm2().stat().st_size
    wait_for("a third of the weights", lambda: _arrived(folder) > size / 3)
    os.kill(_importer(world, first), signal.SIGKILL)
    assert not _published(folder), "what is not complete is visible"

    second = _running(world, name, other_than=first)
    wait_for("two thirds of the weights", lambda: _arrived(folder) > 2 * size / 3)
    node = second["spec"]["nodeName"]
    world.fleet.stop(node)
    assert not _published(folder), "what is not complete is visible"
    world.fleet.start(node)

    network.throttle(world.fleet.layout, 1000)
    world.wait_ready("smodel", name, patience=120)
    (published,) = _published(folder)
    assert {path.name for path in published.iterdir()} == {models.smollm2().name}
    result = _result(world, name)
    assert result["fetched"] < size * 2 / 3, "what had arrived was fetched again"
    assert _addresses(world.fleet.outside.home / "s3-access.log") <= world.seen_import_addresses(name) | world.other_import_addresses(name)


@real_nodes
def test_from_an_oci_registry(governed: World, removed: list[str], tmp_path: Path) -> None:
    name = "packed"
    path = models.tiny_llama()
    digest = _push(governed, path, tmp_path)
    registry = f"{outside.SOURCE_REGISTRY_ADDRESS}:{outside.SOURCE_REGISTRY_PORT}"
    removed.append(name)
    source = {"uri": f"oci://{registry}/models/tiny@{digest}", "secretRef": {"name": "weights-reader"}}
    governed.apply(
        manifests.weights(governed, name, source=source, digest=digests.digest({path.name: path.read_bytes()}))
    )
    governed.wait_ready("smodel", name)
    (pod,) = governed.import_pods(name)
    log = governed.fleet.outside.services()[-1].log(governed.cluster.dir).read_text()
    asked = set(re.findall(r"^(\S+) .*\"GET /v2/models/tiny", log, re.MULTILINE))
    assert asked == {pod["status"]["podIP"]}
    (published,) = _published(_volume(governed, name))
    assert (published / path.name).read_bytes() == path.read_bytes()


def test_other_weights_than_approved(governed: World, removed: list[str]) -> None:
    name = "swapped"
    removed.append(name)
    governed.apply(manifests.weights(governed, name, digest=f"sha256:{'0' * 64}"))
    found = governed.wait_condition("smodel", name, NAMESPACE, "Imported", "False", "DigestMismatch")
    assert "sha256" in found["message"]


# --- words ---------------------------------------------------------------------------------------------


def _running(world: World, name: str, other_than: Manifest | None = None) -> Manifest:
    def look() -> Manifest | None:
        for pod in world.import_pods(name):
            fresh = other_than is None or pod["metadata"]["uid"] != other_than["metadata"]["uid"]
            if fresh and pod["status"].get("phase") == "Running" and pod["status"].get("podIP"):
                return pod
        return None

    found: Manifest = wait_for(f"an import pod of {name} to run", look)
    return found


def _importer(world: World, pod: Manifest) -> int:
    """The importer's process id on this machine."""
    for process in world.processes(pod):
        if b"sovereign.importer" in Path(f"/proc/{process}/cmdline").read_bytes():
            return process
    raise AssertionError("no importer runs in the pod")


def _import_pod_is_confined(world: World, pod: Manifest) -> None:
    """Seen from the machine, not asked of the pod."""
    process = Path(f"/proc/{_importer(world, pod)}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    assert set(status["Uid"].split()) == {"65532"}
    assert int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"
    mounts = [line.split() for line in (process / "mounts").read_text().splitlines()]
    writable = {mount[1] for mount in mounts if "rw" in mount[3].split(",") and mount[2] not in ("proc", "tmpfs", "mqueue")}
    assert {mount[1]: mount[3].split(",")[0] for mount in mounts}["/"] == "ro"
    assert writable <= {"/weights", "/tmp", "/etc/hosts", "/dev/termination-log", "/etc/hostname", "/etc/resolv.conf", "/dev/pts"}
    assert not (process / "root/var/run/secrets/kubernetes.io").exists(), "there is a token in the pod"


def _import_pod_reaches_the_source_alone(world: World, pod: Manifest) -> None:
    targets = reach.outside(world) | reach.inside(world)
    found = reach.probe(world, pod, targets)
    source = f"tcp {outside.S3_ADDRESS} {outside.S3_PORT}"
    dns = {name for name in targets if name.startswith("dns ")}
    assert {name for name, outcome in found.items() if outcome == "reached"} - dns == {source}


def _volume(world: World, name: str) -> Path:
    claim = wait_for("the claim", lambda: world.get("pvc", f"{name}-weights", NAMESPACE))
    volume = claim["spec"]["volumeName"]
    return Path(world.cluster.dir / "volumes" / volume.partition("-shared-")[0] / volume)


def _arrived(folder: Path) -> int:
    """Bytes on the disk, whatever their files are called: files are laid out in full before they are filled."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def _published(folder: Path) -> list[Path]:
    return [path for path in folder.glob("sha256-*") if path.is_dir()]


def _result(world: World, name: str) -> dict[str, Any]:
    pods = [pod for pod in world.import_pods(name) if pod["status"]["phase"] == "Succeeded"]
    (state,) = (status["state"]["terminated"] for pod in pods for status in pod["status"]["containerStatuses"])
    result: dict[str, Any] = json.loads(state["message"])
    return result


def _push(world: World, path: Path, scratch: Path) -> str:
    """Push a model to the outside world's registry, from the outside; its digest."""
    oras.logger.setup_logger(quiet=True)
    host = f"{world.fleet.layout.gateway4}:{outside.SOURCE_REGISTRY_PORT}"
    client = oras.client.OrasClient(host, tls_verify=str(world.fleet.outside.authority))
    config = scratch / "config.json"
    config.write_text("{}")
    answer = client.push(
        f"{host}/models/tiny:v1",
        files=[str(path)],
        manifest_config=f"{config}:application/vnd.example.model.config.v1+json",
        disable_path_validation=True,
    )
    digest: str = answer.headers["Docker-Content-Digest"]
    client.session.close()
    return digest
