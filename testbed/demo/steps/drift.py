"""Somebody with full rights changes what the operator made; it is put back."""

import yaml

from testbed.demo.claims import Stopwatch, hold
from testbed.demo.stage import MANIFESTS, NAMESPACE, Stage

_POOL = "mistral-7b"
_IMAGE = "docker.io/vllm/vllm-openai:latest"
_BINDING = MANIFESTS / "bypasses" / "binding.yaml"


def show(stage: Stage) -> None:
    """Change a Deployment's image, and delete an admission policy."""
    _image(stage)
    _admission(stage)


def _image(stage: Stage) -> None:
    screen = stage.screen
    screen.say("An administrator edits a Deployment by hand, and gives it another image:")
    before, generation = _images(stage), _generation(stage)
    with stage.meanwhile("set", "image", f"deployment/{_POOL}", f"*={_IMAGE}", "-n", NAMESPACE):
        stage.await_("the change", lambda: _generation(stage) > generation)
        watch = Stopwatch()
        stage.await_("the image to be put back", lambda: watch.mark("back", _images(stage) == before))
    screen.holds(f"put back after {watch.marks['back']:.1f} s: {', '.join(before)}")
    stage.await_condition("inferencepools", _POOL, "Ready", "True")
    running = {container["image"] for pod in stage.pods(_POOL) for container in pod["spec"]["containers"]}
    hold(_IMAGE not in running, f"a replica runs {_IMAGE}")
    screen.holds("no replica runs the other image: the API server would have refused its pods besides")


def _admission(stage: Stage) -> None:
    screen, name = stage.screen, f"sovereign-{stage.policy}-binding"
    screen.say("An administrator deletes one of the policy's admission objects, the one that guards Bindings:")
    before = _uid(stage, name)
    hold(before, f"there is no ValidatingAdmissionPolicy {name}")
    with stage.meanwhile("delete", "validatingadmissionpolicy", name):
        stage.await_("its deletion", lambda: _uid(stage, name) != before)
        watch = Stopwatch()
        stage.await_("it to be made again", lambda: watch.mark("made", _uid(stage, name) not in ("", before)))
        stage.await_("the API server to refuse by it", lambda: watch.mark("refuses", _refuses(stage, name)))
    made, refuses = watch.marks["made"], watch.marks["refuses"]
    screen.holds(f"made again after {made:.1f} s; the API server refuses by it {refuses:.1f} s after the deletion")


def _images(stage: Stage) -> list[str]:
    found = stage.get("deployments", _POOL, NAMESPACE)
    return [container["image"] for container in found["spec"]["template"]["spec"]["containers"]] if found else []


def _generation(stage: Stage) -> int:
    found = stage.get("deployments", _POOL, NAMESPACE)
    return int(found["metadata"]["generation"]) if found else 0


def _uid(stage: Stage, name: str) -> str:
    found = stage.get("validatingadmissionpolicies", name)
    return str(found["metadata"]["uid"]) if found else ""


def _refuses(stage: Stage, name: str) -> bool:
    """Whether a Binding to a node in the US would be refused by the object now."""
    return name in stage.api.would_refuse("bindings", yaml.safe_load(_BINDING.read_text()))
