"""The command line: ``python -m testbed.demo``."""

import os
import shlex
import signal
import sys
import time
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from testbed import TestbedError, providers
from testbed.demo import nodes, teardown
from testbed.demo.claims import StepFailed
from testbed.demo.level import Level, S
from testbed.demo.nodes.stage import NodeStage
from testbed.demo.screen import Screen
from testbed.demo.stage import MANIFESTS, Stage
from testbed.demo.steps import STEPS
from testbed.nodes import machine

CONTROL_PLANE: Level[Stage] = Level(
    "control-plane",
    "demo",
    STEPS,
    (
        "kubectl get sovereign -A",
        "kubectl get pods -n assistants -o wide",
        "kubectl sovereign explain node gpu-us-1",
        "kubectl sovereign doctor",
    ),
)
NODES: Level[NodeStage] = Level("nodes", "demo-nodes", nodes.STEPS, nodes.LOOKS)
_OTHERWISE = f"see the level that needs none of this: --level {CONTROL_PLANE.name} (fake nodes)"
_LOG_LINES = 15
_INTERRUPTED = 130  # as shells have it: 128 and the number of SIGINT
_TERMINATED = 143

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


class LevelName(StrEnum):
    """How real the cluster is."""

    CONTROL_PLANE = CONTROL_PLANE.name
    NODES = NODES.name


class _Terminated(BaseException):
    """SIGTERM. Not an Exception: nothing on the way out is to take it for an error of its own."""


@app.command(
    epilog="Ends with 1 when something that is shown does not hold.\n\n"
    "Examples:\n\n  $ python -m testbed.demo\n\n  $ python -m testbed.demo --level nodes\n\n"
    "  $ python -m testbed.demo --once\n\n  $ python -m testbed.demo --down"
)
def demo(
    level: Annotated[
        LevelName | None,
        typer.Option(
            help="control-plane: fake nodes, on any machine. nodes: containers run, a model answers, networks are closed "
            "(Linux, root).",
            show_default=CONTROL_PLANE.name,
        ),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Take everything down at the end, also when a step fails or at Ctrl-C.")
    ] = False,
    down: Annotated[bool, typer.Option("--down", help="Only remove what a demonstration has started.")] = False,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            "-n",
            help="Of the cluster; several may be up side by side.",
            show_default=f"{CONTROL_PLANE.cluster}, or {NODES.cluster} for the level nodes",
        ),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Another policy to show: one for namespaces labelled sovereignai.io/tier=restricted.",
            show_default="testbed/demo/manifests/policy.yaml",
        ),
    ] = None,
    provider: Annotated[str, typer.Option(help="auto, kind, envtest or binaries; for fake nodes.")] = "auto",
    verbose: Annotated[
        bool, typer.Option("--verbose", help="When a step fails, show all of the operator's log.")
    ] = False,
) -> None:
    """Show what a sovereignty policy does: on a real control plane with fake GPU nodes, or on real nodes."""
    screen = Screen()
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs behind it with SIGINT ignored
    try:
        if down:
            _down(screen, [name] if name else _names(level))
            return
        if level is LevelName.NODES:
            _check_machine(policy, provider)
            code = _play(NODES, NodeStage(name or NODES.cluster, screen), once=once, verbose=verbose)
        else:
            _check_provider(provider)
            file = (policy or MANIFESTS / "policy.yaml").absolute()
            stage = Stage(name or CONTROL_PLANE.cluster, screen, file, provider)
            code = _play(CONTROL_PLANE, stage, once=once, verbose=verbose)
    except TestbedError as error:
        screen.wrong(f"error: {error}")
        code = 1
    raise typer.Exit(code)


def _names(level: LevelName | None) -> list[str]:
    """The clusters that are meant where none is named."""
    return [known.cluster for known in (CONTROL_PLANE, NODES) if level in (None, known.name)]


def _down(screen: Screen, names: list[str]) -> None:
    gone = [name for name in names if teardown.down(name)]
    for name in gone:
        screen.say(f"{name} is gone")
    if not gone:
        screen.say("nothing to take down")


def _check_provider(provider: str) -> None:
    """The demonstration relabels nodes and stops its operator: not on a cluster that others use."""
    known = [name for name in providers.NAMES if name not in ("auto", "kubeconfig")]
    if provider not in ("auto", *known):
        raise TestbedError(f"the demonstration wants a cluster of its own, from {', '.join(known)}; not {provider!r}")
    if provider == "auto" and os.environ.get("TESTBED_KUBECONFIG"):
        raise TestbedError("the demonstration wants a cluster of its own; unset TESTBED_KUBECONFIG, or give --provider")


def _check_machine(policy: Path | None, provider: str) -> None:
    """Real nodes are this machine's own, and their policy fits them."""
    if policy is not None or provider not in ("auto", "binaries"):
        raise TestbedError(f"--policy and --provider are for the level {CONTROL_PLANE.name}")
    if reason := machine.requirement(_OTHERWISE):
        raise TestbedError(reason)


def _play(level: Level[S], stage: S, *, once: bool, verbose: bool) -> int:
    """Show all steps; the exit status."""
    if teardown.claim(stage.name):
        stage.screen.say("what an earlier demonstration had left is removed")
    code = 1
    try:
        code = _steps(level, stage, verbose=verbose)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except _Terminated:
        code = _TERMINATED
    finally:
        if once:
            # A second Ctrl-C would leave half of it; this takes a moment only.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            teardown.down(stage.name)
            stage.screen.say("everything the demonstration started is gone")
        else:
            _how_to_look_around(level, stage)
    return code


def _steps(level: Level[S], stage: S, *, verbose: bool) -> int:
    began = time.monotonic()
    for number, step in enumerate(level.steps, 1):
        stage.screen.heading(f"{number}. {step.title}")
        try:
            step.show(stage)
        except (StepFailed, TestbedError) as error:
            stage.screen.wrong(f"step {number} does not hold ({step.title}): {error}")
            _show_log(stage, verbose=verbose)
            return 1
    stage.screen.heading(f"All {len(level.steps)} steps hold, in {time.monotonic() - began:.0f} s.")
    return 0


def _show_log(stage: Stage, *, verbose: bool) -> None:
    lines = stage.operator_log().splitlines()
    if not lines:
        return
    shown = lines if verbose else lines[-_LOG_LINES:]
    stage.screen.say(f"the operator's log says ({'all' if verbose else 'its end; --verbose shows all'}):")
    stage.screen.answer("\n".join(shown))


def _how_to_look_around(level: Level[S], stage: S) -> None:
    screen = stage.screen
    if not stage.has_operator:
        screen.say("It is left as it is.")
    else:
        screen.say("It stays up; the operator runs. To look around:")
        folders = [stage.cluster.kubectl_program.parent, Path(sys.executable).parent]
        for line in (
            f"export KUBECONFIG={shlex.quote(str(stage.cluster.kubeconfig))}",
            f'export PATH={":".join(shlex.quote(str(folder)) for folder in folders)}:"$PATH"',
            *level.looks,
        ):
            screen.shell(line)
        screen.say(f"The operator's log: {stage.where_log()}")
    screen.say("And to remove it all:")
    default = stage.name == level.cluster
    screen.shell("make demo-down" if default else f"python -m testbed.demo --down --name {stage.name}")


def _terminate(_: int, __: FrameType | None) -> None:
    raise _Terminated
