"""Calls of kubectl against one kubeconfig: the one way the test bed itself talks to an API server."""

import json
import os
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError

# One kubectl sends 300 requests as fast as it can and then 50 a second, with no flag to change it: larger sets go to
# several, each below that.
_BATCH = 200
_PARALLEL = 4


@dataclass(frozen=True)
class Kubectl:
    """A kubectl program bound to a kubeconfig."""

    program: Path
    kubeconfig: Path

    def __call__(self, *args: str, input: str | None = None) -> str:  # noqa: A002 - the name subprocess uses
        """Run it and return what it prints.

        Raises:
            TestbedError: it failed; the text is what it said.
        """
        done = self.run(*args, input=input)
        if done.returncode != 0:
            raise TestbedError(f"kubectl {' '.join(args[:4])}: {done.stderr.strip()}")
        return done.stdout

    def run(self, *args: str, input: str | None = None) -> subprocess.CompletedProcess[str]:  # noqa: A002
        """Run it and return how it ended, for callers who expect a refusal."""
        environment = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
        environment["KUBECACHEDIR"] = str(self.kubeconfig.parent / "kubectl-cache")  # goes with the cluster
        return subprocess.run(
            [self.program, f"--kubeconfig={self.kubeconfig}", *args],
            input=input,
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )

    def items(self, resource: str, *args: str) -> list[dict[str, Any]]:
        """All objects of a resource (`args` narrow them), as dicts."""
        items: list[dict[str, Any]] = json.loads(self("get", resource, "-o", "json", *args))["items"]
        return items

    def apply(self, objects: Iterable[dict[str, Any]], manager: str) -> None:
        """Server-side apply, taking over fields that others have set."""
        items = list(objects)
        flags = ["--server-side", "--force-conflicts", "--validate=false", f"--field-manager={manager}"]

        def apply_some(start: int) -> None:
            document = {"apiVersion": "v1", "kind": "List", "items": items[start : start + _BATCH]}
            self("apply", *flags, "-f", "-", input=json.dumps(document))

        with ThreadPoolExecutor(_PARALLEL) as pool:
            for done in [pool.submit(apply_some, start) for start in range(0, len(items), _BATCH)]:
                done.result()
