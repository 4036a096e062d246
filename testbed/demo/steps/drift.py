"""Somebody with full rights changes what the operator made; it is refused, or put back."""

import yaml

from testbed.demo.claims import Stopwatch, hold
from testbed.demo.stage import MANIFESTS, NAMESPACE, Stage

_POOL = "mistral-7b"
_IMAGE = "docker.io/vllm/vllm-openai:latest"
_BINDING = MANIFESTS / "bypasses" / "binding.yaml"


def show(stage: Stage) -> None:
    """Change a Deployment's image, delete a NetworkPolicy, and delete an admission policy."""
    _image(stage)
    _closed_again(stage)
    _admission(stage)


def _image(stage: Stage) -> None:
    screen = stage.screen
    screen.say("An administrator edits a Deployment by hand, to give it another image:")
    done = stage.attempt("set", "image", f"deployment/{_POOL}", f"*={_IMAGE}", "-n", NAMESPACE)
    hold(done.returncode != 0, f"the API server accepted it: {done.stdout.strip()}")
    screen.refusal(done.stderr)
    hold(f"change InferencePool {_POOL} instead" in done.stderr, "the refusal does not say what to change instead")


def _closed_again(stage: Stage) -> None:
    screen, name = stage.screen, f"{_POOL}-serving"
    screen.say(
        "What the operator made can be deleted, so that deletion always finishes. The NetworkPolicy of its pods:"
    )
    before = _uid(stage, "networkpolicies", name, NAMESPACE)
    hold(before, f"there is no NetworkPolicy {name}")
    with stage.meanwhile("delete", "networkpolicy", name, "-n", NAMESPACE):
        watch = Stopwatch()
        stage.await_(
            "it to be made again",
            lambda: watch.mark("made", _uid(stage, "networkpolicies", name, NAMESPACE) not in ("", before)),
        )
    screen.holds(f"made again after {watch.marks['made']:.1f} s")


def _admission(stage: Stage) -> None:
    screen, name = stage.screen, f"sovereign-{stage.policy}-binding"
    screen.say("An administrator deletes one of the policy's admission objects, the one that guards Bindings:")
    before = _uid(stage, "validatingadmissionpolicies", name)
    hold(before, f"there is no ValidatingAdmissionPolicy {name}")
    with stage.meanwhile("delete", "validatingadmissionpolicy", name):
        stage.await_("its deletion", lambda: _uid(stage, "validatingadmissionpolicies", name) != before)
        watch = Stopwatch()
        stage.await_(
            "it to be made again",
            lambda: watch.mark("made", _uid(stage, "validatingadmissionpolicies", name) not in ("", before)),
        )
        stage.await_("the API server to refuse by it", lambda: watch.mark("refuses", _refuses(stage, name)))
    made, refuses = watch.marks["made"], watch.marks["refuses"]
    screen.holds(f"made again after {made:.1f} s; the API server refuses by it {refuses:.1f} s after the deletion")


def _uid(stage: Stage, resource: str, name: str, namespace: str = "") -> str:
    found = stage.get(resource, name, namespace)
    return str(found["metadata"]["uid"]) if found else ""


def _refuses(stage: Stage, name: str) -> bool:
    """Whether a Binding to a node in the US would be refused by the object now."""
    return name in stage.api.would_refuse("bindings", yaml.safe_load(_BINDING.read_text()))
