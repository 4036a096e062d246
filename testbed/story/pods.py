"""Pods seen from the machine they run on: their processes, and programs run inside their network."""

import contextlib
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError
from testbed.nodes import cgroups
from testbed.nodes.layout import Layout

Manifest = Mapping[str, Any]


def is_ready(pod: Manifest) -> bool:
    """Whether a pod's kubelet says that it is ready."""
    conditions = pod.get("status", {}).get("conditions", ())
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def processes(layout: Layout, pod: Manifest) -> list[int]:
    """Process ids, as this machine numbers them, of what runs in a pod; lowest first."""
    return sorted(cgroups.processes(layout, pod["metadata"]["uid"]))


def find_process(layout: Layout, pod: Manifest, program: str) -> int | None:
    """The process id, on this machine, of the first process of a pod whose command line has this text; None where none has."""
    for number in processes(layout, pod):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it may end while it is looked at
            if program.encode() in Path(f"/proc/{number}/cmdline").read_bytes():
                return number
    return None


def enter(layout: Layout, pod: Manifest, spaces: Sequence[str] = ("--net",)) -> list[str]:
    """The words that go before a command to run it inside a pod's network; with ``--mount`` it is the pod's own command.

    Raises:
        TestbedError: nothing runs in the pod.
    """
    running = processes(layout, pod)
    if not running:
        raise TestbedError(f"nothing runs in the pod {pod['metadata']['name']}")
    return ["nsenter", f"--target={running[-1]}", *spaces]  # the first may be the sandbox's, which has another root


def inside(layout: Layout, pod: Manifest, program: str, *arguments: str, spaces: Sequence[str] = ("--net",)) -> str:
    """Run a Python program inside a pod's network, and return what it prints."""
    command = [*enter(layout, pod, spaces), "/usr/bin/env", "python3", "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
