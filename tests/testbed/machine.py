"""What the tests of the test bed do to this machine: run the command line, look at processes."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def run_testbed(*args: str) -> Any:
    """Run the command line as a process of its own; what it prints, parsed."""
    done = subprocess.run([*COMMAND, *args, "-o", "json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def start_testbed(*args: str) -> subprocess.Popen[bytes]:
    """Start the command line, to be killed."""
    return subprocess.Popen([*COMMAND, *args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def processes_of(folder: Path) -> list[str]:
    """Command lines of all processes of this machine that have to do with files in `folder`."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return [line for line in lines if f"{folder}/" in line]


def wait_until(condition: Callable[[], object], timeout: float = 30) -> None:
    """Return when `condition` holds; fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not in {timeout:g} s: {condition}"
        time.sleep(0.02)


COMMAND = [sys.executable, "-m", "testbed"]
