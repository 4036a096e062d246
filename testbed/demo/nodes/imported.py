"""A model is imported by a Job in a pod: cut off from all but its source, killed half-way, resumed, published at once."""

import os
import signal
from pathlib import Path

from testbed import models
from testbed.demo import tables
from testbed.demo.claims import StepFailed, hold
from testbed.demo.nodes.stage import FRENCH, GERMAN, MANIFESTS, NodeStage
from testbed.demo.stage import NAMESPACE
from testbed.demo.tables import Manifest
from testbed.nodes import network, outside
from testbed.story import pods, reach, weights

_CREEPING, _SLOW, _FAST = 25_000, 100_000, 1_000_000
"""kbit/s: while there is something to look at; until half of the weights are there; for the rest."""
_MB = 1e6
_FOLDER = "smollm2"
_IMPORTER = "sovereign.importer"
_OVERHEAD = 0.1
"""Of what comes, what is not weights: TLS, TCP, what was under way when the importer was killed."""


def show(stage: NodeStage) -> None:
    """Import a model with a kill half-way, and again for Germany without."""
    screen = stage.screen
    file = weights.fill(stage.fleet, _FOLDER)
    size = file.stat().st_size
    screen.say(
        f"The model is SmolLM2-135M-Instruct, a real one of {size / _MB:.0f} MB (Apache-2.0). It lies on an S3 server outside the "
        f"cluster, at {outside.S3_ADDRESS}. {NAMESPACE} gets the key to it:"
    )
    _secret(stage)
    network.throttle(stage.layout, _CREEPING)
    try:
        _killed_half_way(stage, size)
    finally:
        network.throttle(stage.layout, None)
    screen.say("The same weights for Germany, on a volume there:")
    stage.do("apply", "-f", MANIFESTS / "model-de.yaml")
    stage.await_condition("sovereignmodels", GERMAN, "Ready", "True")
    stage.do("get", "smodel", "-n", NAMESPACE)


def _secret(stage: NodeStage) -> None:
    folder = stage.home / "weights-reader"
    folder.mkdir(mode=0o700)
    (folder / "AWS_ACCESS_KEY_ID").write_text(outside.ACCESS_KEY)
    (folder / "AWS_SECRET_ACCESS_KEY").write_text(outside.SECRET_KEY)
    (folder / "ca.crt").write_bytes(stage.fleet.outside.authority.read_bytes())
    stage.do("create", "secret", "generic", "weights-reader", "-n", NAMESPACE, f"--from-file={folder}")


def _killed_half_way(stage: NodeStage, size: int) -> None:
    screen = stage.screen
    log = weights.access_log(stage.fleet)
    since = log.stat().st_size if log.exists() else 0
    sent = network.sent_from_outside(stage.layout)
    screen.say("The way from there is made slow, so that there is a half-way to see. The model is declared:")
    stage.do("apply", "-f", MANIFESTS / "model-fr.yaml")
    first = stage.await_("the import pod, which the operator's Job makes", lambda: _running(stage))
    node = tables.node_of(first)
    hold(node in stage.approved(), f"the import runs on {node}, which is not approved")
    screen.holds(f"the operator has made a Job; its pod {first['metadata']['name']} runs on {node}")
    _reaches_the_source_alone(stage, first)
    volume = _volume(stage)
    network.throttle(stage.layout, _SLOW)
    stage.await_("half of the weights", lambda: weights.published(volume) or weights.resumable(volume) > size / 2)
    kept = weights.resumable(volume)
    process = pods.find_process(stage.layout, first, _IMPORTER)
    at = weights.arrived(volume)
    if process is None or not 0 < kept < size:
        raise StepFailed("all has arrived before it could be interrupted")
    screen.say(
        f"{at / _MB:.0f} of {size / _MB:.0f} MB have arrived, {kept / _MB:.0f} MB of them in parts that are whole. The importer is killed:"
    )
    screen.command("kill", "-9", str(process))
    os.kill(process, signal.SIGKILL)
    hold(not weights.published(volume), "what is not complete is visible")
    screen.holds("nothing of it is visible to an engine: a model is published whole, by one rename, or not at all")
    network.throttle(stage.layout, _FAST)
    second = stage.await_("the Job's next pod", lambda: _running(stage, other_than=first))
    screen.holds(f"the Job has made another pod, {second['metadata']['name']}")
    _verified(stage, size)
    _published(volume)
    came = network.sent_from_outside(stage.layout) - sent
    second_came = came - at
    hold(second_came < size - kept + _OVERHEAD * size, f"it fetched {second_came / _MB:.0f} MB: more than was missing")
    screen.holds(
        f"it fetched {second_came / _MB:.0f} MB and not {size / _MB:.0f}: parts that were whole were not fetched again"
    )
    asked = weights.who_asked(stage.fleet, _FOLDER, since)
    mine = {pod["status"].get("podIP") for pod in (first, second, *stage.import_pods(FRENCH))}
    hold(asked and asked <= mine, f"others than the import pods were at the S3 server: {', '.join(asked - mine)}")
    screen.holds(f"the S3 server's own log: only the import pods have asked it ({', '.join(sorted(asked))})")


def _reaches_the_source_alone(stage: NodeStage, pod: Manifest) -> None:
    tried = reach.beyond(stage.fleet) | reach.within(stage.fleet, stage.cluster.server, (), 0)
    found = reach.reached(reach.probe(stage.layout, pod, tried))
    names = {target for target in found if reach.is_resolver(target)}
    hold(found - names == {reach.SOURCE}, f"from the import pod can be reached: {', '.join(sorted(found))}")
    others = len({target for target in tried if not reach.is_resolver(target)}) - 1
    stage.screen.holds(
        f"from inside the pod the S3 server is reached, and none of {others} other addresses in and outside the cluster"
    )


def _verified(stage: NodeStage, size: int) -> None:
    stage.await_condition("sovereignmodels", FRENCH, "Ready", "True")
    verified = stage.await_condition("sovereignmodels", FRENCH, "Verified", "True")
    found = stage.get("sovereignmodels", FRENCH, NAMESPACE) or {}
    artifact = found["status"]["artifact"]
    hold(artifact["digest"] == found["spec"]["digest"], f"imported is {artifact['digest']}")
    hold(artifact["bytes"] == size, f"imported are {artifact['bytes']} bytes, not {size}")
    stage.screen.holds(f"imported; {verified['message']}")
    stage.await_("the import's way out to be closed", lambda: not _way_out(stage))
    stage.screen.holds("the import's way out of the cluster is closed again")


def _published(volume: Path) -> None:
    (folder,) = weights.published(volume)
    names = {path.name for path in folder.iterdir()}
    hold(names == {models.smollm2().name}, f"published are {', '.join(sorted(names))}")


def _way_out(stage: NodeStage) -> bool:
    return stage.get("networkpolicies", f"{FRENCH}-import", NAMESPACE) is not None


def _running(stage: NodeStage, other_than: Manifest | None = None) -> Manifest | None:
    """The pod in which the importer runs; or the one that came after another, which may have ended by now."""
    for pod in stage.import_pods(FRENCH):
        status = pod.get("status", {})
        if other_than is None:
            found = status.get("podIP") and pods.find_process(stage.layout, pod, _IMPORTER)
        else:
            found = status.get("podIP") and pod["metadata"]["uid"] != other_than["metadata"]["uid"]
        if found:
            return pod
    return None


def _volume(stage: NodeStage) -> Path:
    claim = stage.get("persistentvolumeclaims", f"{FRENCH}-weights", NAMESPACE)
    hold(claim and claim["spec"].get("volumeName"), "the model has no volume")
    return weights.folder(stage.cluster.dir, (claim or {})["spec"]["volumeName"])
