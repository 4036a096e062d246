"""The helm program with an environment of its own, and perhaps a cluster."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from testbed import binaries
from testbed.errors import TestbedError


@dataclass(frozen=True)
class Helm:
    """helm with its files below `home`, so that nobody's repositories and plugins play a part."""

    home: Path
    kubeconfig: Path | None = None

    def run(self, *args: str | Path) -> subprocess.CompletedProcess[str]:
        """Run it and return how it ended."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("HELM_", "KUBE"))}
        environment |= {f"HELM_{kind}_HOME": str(self.home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        environment["KUBECONFIG"] = str(self.kubeconfig or os.devnull)
        command = [binaries.require("helm"), *args]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def __call__(self, *args: str | Path) -> str:
        """Run it and return what it prints.

        Raises:
            TestbedError: it failed; the text is what it said.
        """
        done = self.run(*args)
        if done.returncode != 0:
            raise TestbedError(f"helm {args[0]}: {done.stderr.strip()}")
        return done.stdout
