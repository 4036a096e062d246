"""A tenant tries to get around the policy; the API server refuses by itself."""

from dataclasses import dataclass
from pathlib import Path

from testbed.demo import tables
from testbed.demo.claims import hold
from testbed.demo.stage import MANIFESTS, NAMESPACE, TENANT, Stage

_UNCHECKED = ("--validate=false",)
"""Without it kubectl wants to read the CRDs before it sends a Binding, which a tenant may not."""

_FOLDER = MANIFESTS / "bypasses"


@dataclass(frozen=True)
class Bypass:
    """One way around the policy, and what the refusal must speak of."""

    what: str
    file: Path
    says: str
    flags: tuple[str, ...] = ()


BYPASSES = (
    Bypass("A pod that names a node in the US, past the scheduler:", _FOLDER / "node-name.yaml", "gpu-us-1"),
    Bypass("A Binding by hand, as a scheduler would send it:", _FOLDER / "binding.yaml", "gpu-us-1", _UNCHECKED),
    Bypass(
        "An image by tag, from a registry whose name begins like the allowed one:",
        _FOLDER / "image.yaml",
        "cheap-images",
    ),
    Bypass("A pod in its host's network, with its host's disk:", _FOLDER / "host.yaml", "host"),
    Bypass("A volume in another jurisdiction:", _FOLDER / "claim.yaml", "local-us-east"),
)


def show(stage: Stage) -> None:
    """Try five bypasses, and then a lawful pod that nobody pinned."""
    stage.screen.say(
        f"{TENANT} has the ClusterRole edit in {NAMESPACE}, and may bind pods to nodes besides. No operator and no webhook takes part "
        "in what follows: the rules are in the API server."
    )
    stage.do(f"--as={TENANT}", "create", "-f", MANIFESTS / "unscheduled-pod.yaml")
    for bypass in BYPASSES:
        refused(stage, bypass)
    _lawful(stage)


def refused(stage: Stage, bypass: Bypass) -> None:
    """Try a bypass, and show the refusal.

    Raises:
        StepFailed: it was accepted, or refused for another reason than the policy.
    """
    stage.screen.say(bypass.what)
    done = stage.attempt(f"--as={TENANT}", "create", *bypass.flags, "-f", bypass.file)
    hold(done.returncode != 0, f"the API server accepted it: {done.stdout.strip()}")
    stage.screen.refusal(done.stderr)
    ours = f"policy {stage.policy}: " in done.stderr and bypass.says in done.stderr
    hold(ours, f"it was refused, but not by policy {stage.policy} because of {bypass.says}")


def _lawful(stage: Stage) -> None:
    stage.screen.say("And a lawful pod, which names no node and nothing of policies:")
    stage.do(f"--as={TENANT}", "create", "-f", MANIFESTS / "lawful-pod.yaml")
    pod = stage.await_("it to run", lambda: _placed(stage, "notebook"))
    node = tables.node_of(pod)
    hold(node in stage.approved(), f"it runs on {node}, which is not approved")
    stage.screen.holds(f"accepted, and placed on {node}, which is approved")
    pinned = {key: value for key, value in pod["spec"].get("nodeSelector", {}).items() if key == stage.label}
    if pinned:
        stage.screen.answer(f"the API server has added nodeSelector: {stage.label}=true")


def _placed(stage: Stage, name: str) -> tables.Manifest | None:
    pod = stage.get("pods", name, NAMESPACE)
    return pod if pod and tables.node_of(pod) else None
