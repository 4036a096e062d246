"""On what a run ran: the machine, versions, the commit."""

import platform
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def describe() -> dict[str, str]:
    """The machine."""
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = Path("/proc/meminfo").read_text().splitlines()[0].split()[1]
    return {
        "processor": model[0].partition(":")[2].strip() if model else platform.machine(),
        "cores": str(len(model) or 1),
        "memory": f"{int(memory) / 2**20:.0f} GiB",
        "kernel": platform.release(),
    }


def versions() -> dict[str, str]:
    """What took part."""
    packages = ("kopf", "aiohttp", "orjson", "pydantic", "msgspec", "uvloop")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def commit() -> str:
    """The commit, with a plus when the tree is not clean; ``unknown`` outside a repository."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def command() -> str:
    """How this was called."""
    return shlex.join(["python", "-m", "bench", *sys.argv[1:]])
