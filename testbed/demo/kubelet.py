"""Playing the kubelet of an import pod: run its command for real, and report how it ended.

Fake nodes run nothing. So the importer runs here, with the very arguments that the operator gave the pod; only
what a machine would provide is put in their place: the volume is a folder, and the name of the S3 server leads
to loopback.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.demo.claims import hold
from testbed.demo.tables import Manifest

_COMMAND = ["python", "-m", "sovereign.importer"]
_KEPT = ("PATH", "HOME", "LANG")


@dataclass(frozen=True)
class Machine:
    """What stands for the things that a pod finds on its machine."""

    volumes: Path
    """A folder with one folder for each claim."""
    credentials: Path
    """A folder with the keys of the Secret."""
    servers: Mapping[str, str]
    """URLs of servers on loopback, by the URL that they stand for."""


@dataclass(frozen=True)
class Ended:
    """How a container ended."""

    code: int
    message: str
    """Its termination message."""

    @property
    def result(self) -> dict[str, Any]:
        """The termination message, read; empty when the importer left none."""
        document: dict[str, Any] = json.loads(self.message or "{}")
        return document


def command_of(pod: Manifest, machine: Machine) -> list[str]:
    """The command line of an import pod's container, with ``machine`` in place of what is not here.

    Raises:
        StepFailed: the pod runs something else than the importer.
    """
    container = pod["spec"]["containers"][0]
    hold(container["command"] == _COMMAND, f"the import pod runs {container['command']}, not {_COMMAND}")
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    }
    places = {
        mount["mountPath"]: str(machine.volumes / claims[mount["name"]])
        for mount in container["volumeMounts"]
        if mount["name"] in claims
    }
    places |= {"/credentials": str(machine.credentials), **machine.servers}
    return [sys.executable, *_COMMAND[1:], *(_placed(argument, places) for argument in container["args"])]


def run(command: Iterable[str], folder: Path, tell: Callable[[str], None]) -> Ended:
    """Run an importer to its end, telling each line of its log.

    Args:
        command: as from `command_of`.
        folder: where the termination message is left.
        tell: called with what a line says.
    """
    termination = folder / "termination-log"
    termination.unlink(missing_ok=True)
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment |= {"SOVEREIGN_IMPORT_PROGRESS_INTERVAL": "0.2", "SOVEREIGN_IMPORT_PART_SIZE": "4Mi"}
    words = [*command, f"--termination-log={termination}"]
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if told := sentence(line):
                tell(told)
    return Ended(process.returncode, termination.read_text() if termination.exists() else "")


def sentence(line: str) -> str:
    """A line of the importer's log for people; empty where it says nothing yet, or what is said elsewhere."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line.rstrip()
    if "termination" in entry or entry.get("totalBytes") == 0:
        return ""
    parts = [str(entry["message"])]
    if "bytes" in entry:
        parts.append(f"{megabytes(entry['bytes'])} of {megabytes(entry['totalBytes'])} MB")
    if entry.get("bytesPerSecond"):
        parts.append(f"{megabytes(entry['bytesPerSecond'])} MB/s")
    return ", ".join(parts)


def megabytes(count: int) -> str:
    """Bytes as millions, with one digit after the point."""
    return f"{count / 1e6:.1f}"


def _placed(argument: str, places: Mapping[str, str]) -> str:
    flag, _, value = argument.replace("$$", "$").partition("=")
    return f"{flag}={places.get(value, value)}"
