"""The command line: ``python -m testbed.demo``."""

import os
import shlex
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from testbed import TestbedError, providers
from testbed.demo import teardown
from testbed.demo.claims import StepFailed
from testbed.demo.screen import Screen
from testbed.demo.stage import MANIFESTS, Stage
from testbed.demo.steps import STEPS

DEFAULT_NAME = "demo"
_LOG_LINES = 15
_LOOKS = (
    "kubectl get sovereign -A",
    "kubectl get pods -n assistants -o wide",
    "kubectl sovereign explain node gpu-us-1",
    "kubectl sovereign doctor",
)
_INTERRUPTED = 130  # as shells have it: 128 and the number of SIGINT
_TERMINATED = 143

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


class _Terminated(BaseException):
    """SIGTERM. Not an Exception: nothing on the way out is to take it for an error of its own."""


@app.command(
    epilog="Ends with 1 when something that is shown does not hold.\n\n"
    "Examples:\n\n  $ python -m testbed.demo\n\n  $ python -m testbed.demo --once\n\n  $ python -m testbed.demo --down"
)
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Take everything down at the end, also when a step fails or at Ctrl-C.")
    ] = False,
    down: Annotated[bool, typer.Option("--down", help="Only remove what a demonstration has started.")] = False,
    name: Annotated[
        str, typer.Option("--name", "-n", help="Of the cluster; several may be up side by side.")
    ] = DEFAULT_NAME,
    policy: Annotated[
        Path,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Another policy to show: one for namespaces labelled sovereignai.io/tier=restricted.",
            show_default="testbed/demo/manifests/policy.yaml",
        ),
    ] = MANIFESTS / "policy.yaml",
    provider: Annotated[str, typer.Option(help="auto, kind, envtest or binaries.")] = "auto",
    verbose: Annotated[
        bool, typer.Option("--verbose", help="When a step fails, show all of the operator's log.")
    ] = False,
) -> None:
    """Show, on a real control plane with fake GPU nodes, what a sovereignty policy does."""
    screen = Screen()
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs behind it with SIGINT ignored
    try:
        if down:
            screen.say(f"{name} is gone" if teardown.down(name) else "nothing to take down")
            return
        _check_provider(provider)
        code = _play(Stage(name, screen, policy.absolute(), provider), once=once, verbose=verbose)
    except TestbedError as error:
        screen.wrong(f"error: {error}")
        code = 1
    raise typer.Exit(code)


def _check_provider(provider: str) -> None:
    """The demonstration relabels nodes and stops its operator: not on a cluster that others use."""
    known = [name for name in providers.NAMES if name not in ("auto", "kubeconfig")]
    if provider not in ("auto", *known):
        raise TestbedError(f"the demonstration wants a cluster of its own, from {', '.join(known)}; not {provider!r}")
    if provider == "auto" and os.environ.get("TESTBED_KUBECONFIG"):
        raise TestbedError("the demonstration wants a cluster of its own; unset TESTBED_KUBECONFIG, or give --provider")


def _play(stage: Stage, *, once: bool, verbose: bool) -> int:
    """Show all steps; the exit status."""
    if teardown.claim(stage.name):
        stage.screen.say("what an earlier demonstration had left is removed")
    code = 1
    try:
        code = _steps(stage, verbose=verbose)
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
            _how_to_look_around(stage)
    return code


def _steps(stage: Stage, *, verbose: bool) -> int:
    began = time.monotonic()
    for number, step in enumerate(STEPS, 1):
        stage.screen.heading(f"{number}. {step.title}")
        try:
            step.show(stage)
        except (StepFailed, TestbedError) as error:
            stage.screen.wrong(f"step {number} does not hold ({step.title}): {error}")
            _show_log(stage, verbose=verbose)
            return 1
    stage.screen.heading(f"All {len(STEPS)} steps hold, in {time.monotonic() - began:.0f} s.")
    return 0


def _show_log(stage: Stage, *, verbose: bool) -> None:
    if not stage.has_operator or not stage.operator.log.exists():
        return
    lines = stage.operator.log.read_text(errors="replace").splitlines()
    shown = lines if verbose else lines[-_LOG_LINES:]
    stage.screen.say(f"the operator's log says ({'all' if verbose else 'its end; --verbose shows all'}):")
    stage.screen.answer("\n".join(shown))


def _how_to_look_around(stage: Stage) -> None:
    screen = stage.screen
    if not stage.has_operator:
        screen.say("It is left as it is.")
    else:
        screen.say("It stays up; the operator runs. To look around:")
        folders = [stage.cluster.kubectl_program.parent, Path(sys.executable).parent]
        for line in (
            f"export KUBECONFIG={shlex.quote(str(stage.cluster.kubeconfig))}",
            f'export PATH={":".join(shlex.quote(str(folder)) for folder in folders)}:"$PATH"',
            *_LOOKS,
        ):
            screen.shell(line)
        screen.say(f"The operator's log: {stage.operator.log}")
    screen.say("And to remove it all:")
    default = stage.name == DEFAULT_NAME
    screen.shell("make demo-down" if default else f"python -m testbed.demo --down --name {stage.name}")


def _terminate(_: int, __: FrameType | None) -> None:
    raise _Terminated
