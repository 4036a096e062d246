"""Weights are imported by a Job in a pod: cut off from all but the source, resumed, verified, published at once."""

import os
import re
import shutil
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import oras.client
import oras.logger
import pytest

from e2e import manifests, reach
from e2e.world import MODEL, NAMESPACE, SECRET, World
from testbed import models
from testbed.demo import weights as digests
from testbed.nodes import network, outside
from testbed.story import weights as stored
from testbed.story.pods import find_process
from testbed.story.reach import SOURCE, is_resolver
from tests.operator.lab import Manifest, wait_for

real_nodes = pytest.mark.real_nodes
SLOW, SLOWER, FAST = 64_000, 400, 1_000_000
"""kbit/s from the sources: 98 MB then take twelve seconds, and 370 kB six."""


@pytest.fixture
def slow_source(governed: World) -> Iterator[World]:
    """Slow enough for what happens in an import to be seen."""
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
        governed.cluster.kubectl(
            "delete", "pvc", f"{name}-weights", "-n", NAMESPACE, "--ignore-not-found", "--wait=true"
        )


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
    sent, since = network.sent_from_outside(world.fleet.layout), stored.access_log(world.fleet).stat().st_size
    bucket = world.fleet.outside.bucket
    shutil.copytree(bucket / MODEL, bucket / name, dirs_exist_ok=True)  # so that its log tells who asked for this one
    source = {"uri": f"s3://weights/{name}", "secretRef": {"name": SECRET}}
    world.apply(manifests.weights(world, name, source=source))
    first = _running(world, name)
    _import_pod_is_confined(world, first)
    _import_pod_reaches_the_source_alone(world, first)
    folder = _volume(world, name)
    size = models.smollm2().stat().st_size
    wait_for("a third of the weights", lambda: stored.arrived(folder) > size / 3)
    os.kill(_importer(world, first), signal.SIGKILL)
    assert not stored.published(folder), "what is not complete is visible"

    second = _running(world, name, not_among=[first])
    wait_for("two thirds of the weights", lambda: stored.arrived(folder) > 2 * size / 3)
    node = second["spec"]["nodeName"]
    world.fleet.stop(node)
    assert not stored.published(folder), "what is not complete is visible"
    world.fleet.start(node)

    third = _running(world, name, not_among=[first, second])
    network.throttle(world.fleet.layout, FAST)
    world.wait_ready("smodel", name, patience=120)
    (published,) = stored.published(folder)
    assert {path.name for path in published.iterdir()} == {models.smollm2().name}
    assert network.sent_from_outside(world.fleet.layout) - sent < 1.4 * size, "what had arrived was fetched again"
    pods = {pod["status"]["podIP"] for pod in (first, second, third)}
    asked = stored.who_asked(world.fleet, name, since)
    assert asked, "nothing is in the log of the S3 server"
    assert asked <= pods, "somebody else than the import pods was at the source"


@pytest.fixture
def archive(governed: World) -> Iterator[str]:
    """A namespace whose policy knows the registry of the outside world alone."""
    name, address, port = "archive", outside.SOURCE_REGISTRY_ADDRESS, outside.SOURCE_REGISTRY_PORT
    governed.namespace(name, **{"sovereignai.io/tier": name, "pod-security.kubernetes.io/enforce": "restricted"})
    policy = manifests.policy(
        governed,
        name,
        namespaceSelector={"matchLabels": {"sovereignai.io/tier": name}},
        models={"sources": [f"oci://{address}:{port}/models/"]},
        network={"importEgress": [{"cidr": f"{address}/32", "ports": [port]}]},
    )
    governed.apply(policy, manifests.reader(governed, name))
    governed.wait_condition("sovpol", name, "", "Enforced", "True")
    yield name
    governed.cluster.kubectl("delete", "namespace", name, "--wait=false")
    governed.cluster.kubectl("delete", "sovpol", name, "--wait=false")


@real_nodes
def test_from_an_oci_registry(slow_source: World, archive: str, tmp_path: Path) -> None:
    governed, path = slow_source, models.tiny_llama()
    digest = _push(governed, path, tmp_path)
    registry = f"{outside.SOURCE_REGISTRY_ADDRESS}:{outside.SOURCE_REGISTRY_PORT}"
    source = {"uri": f"oci://{registry}/models/tiny@{digest}", "secretRef": {"name": SECRET}}
    pinned = digests.digest({path.name: path.read_bytes()})
    network.throttle(governed.fleet.layout, SLOWER)
    governed.apply(manifests.weights(governed, "tiny", archive, source=source, digest=pinned))
    pod = _running(governed, "tiny", archive)
    network.throttle(governed.fleet.layout, FAST)
    governed.wait_ready("smodel", "tiny", archive)
    log = governed.fleet.outside.services()[-1].log(governed.cluster.dir).read_text()
    asked = set(re.findall(r'^(\S+) .*"GET /v2/models/tiny', log, re.MULTILINE))
    assert asked == {pod["status"]["podIP"]}, "somebody else than the import pod was at the registry"
    (published,) = stored.published(_volume(governed, "tiny", archive))
    assert (published / path.name).read_bytes() == path.read_bytes()


def test_other_weights_than_approved(governed: World, removed: list[str]) -> None:
    name = "swapped"
    removed.append(name)
    governed.apply(manifests.weights(governed, name, digest=f"sha256:{'0' * 64}"))
    found = governed.wait_condition("smodel", name, NAMESPACE, "Imported", "False", "DigestMismatch")
    assert "sha256" in found["message"]


# --- words ---------------------------------------------------------------------------------------------


def _running(world: World, name: str, namespace: str = NAMESPACE, *, not_among: Sequence[Manifest] = ()) -> Manifest:
    known = {pod["metadata"]["uid"] for pod in not_among}

    def look() -> Manifest | None:
        for pod in world.import_pods(name, namespace):
            running = pod["status"].get("phase") == "Running" and pod["status"].get("podIP")
            if running and pod["metadata"]["uid"] not in known:
                return pod
        return None

    found: Manifest = wait_for(f"an import pod of {name} to run", look)
    return found


def _importer(world: World, pod: Manifest) -> int:
    """The importer's process id on this machine."""
    process: int = wait_for(
        "the importer to run in its pod", lambda: find_process(world.fleet.layout, pod, "sovereign.importer")
    )
    return process


def _import_pod_is_confined(world: World, pod: Manifest) -> None:
    """Seen from the machine, not asked of the pod."""
    process = Path(f"/proc/{_importer(world, pod)}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    assert set(status["Uid"].split()) == {"65532"}
    assert int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"
    mounts = [line.split() for line in (process / "mounts").read_text().splitlines()]
    writable = {
        mount[1] for mount in mounts if "rw" in mount[3].split(",") and mount[2] not in ("proc", "tmpfs", "mqueue")
    }
    assert {mount[1]: mount[3].split(",")[0] for mount in mounts}["/"] == "ro"
    assert writable <= {
        "/weights",
        "/tmp",
        "/etc/hosts",
        "/dev/termination-log",
        "/etc/hostname",
        "/etc/resolv.conf",
        "/dev/pts",
    }
    assert not (process / "root/var/run/secrets/kubernetes.io").exists(), "there is a token in the pod"


def _import_pod_reaches_the_source_alone(world: World, pod: Manifest) -> None:
    found = reach.reached(reach.probe(world, pod, reach.beyond(world) | reach.within(world)))
    assert {target for target in found if not is_resolver(target)} == {SOURCE}


def _volume(world: World, name: str, namespace: str = NAMESPACE) -> Path:
    """The folder on this machine that a model's volume is."""
    claim = world.get("pvc", f"{name}-weights", namespace)
    assert claim is not None
    return stored.folder(world.cluster.dir, claim["spec"]["volumeName"])


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
