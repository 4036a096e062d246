"""Requests from a pod, one after the other on new connections, as callers without a connection pool make them."""

import json
import subprocess
from pathlib import Path
from types import TracebackType

from e2e.world import CALLERS, World

_CLIENTS = 3


class Load:
    """While it is entered, a pod asks a model without a pause."""

    def __init__(self, world: World, url: str, caller: str = "caller") -> None:
        self._world, self._caller = world, caller
        self._command = ["exec", caller, "-n", CALLERS, "--", "python3", "-u", "-c", _PROGRAM, url, str(_CLIENTS)]
        self._log = world.logs / "load.jsonl"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Load":
        kubectl: list[str | Path] = [self._world.cluster.kubectl_program, f"--kubeconfig={self._world.kubeconfig}"]
        with self._log.open("wb") as output:
            self._process = subprocess.Popen([*kubectl, *self._command], stdin=subprocess.DEVNULL, stdout=output)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        self._world.execute(self._caller, CALLERS, "busybox", "killall", "python3")

    def answered(self) -> int:
        """How many requests were answered so far."""
        return sum(outcome == 200 for outcome in self._outcomes())

    def failures(self) -> list[object]:
        """What became of the others."""
        return [outcome for outcome in self._outcomes() if outcome != 200]

    def _outcomes(self) -> list[object]:
        lines = self._log.read_bytes().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith(b"\n")]


_PROGRAM = """
import json, sys, threading, urllib.request
body = json.dumps({"messages": [{"role": "user", "content": "Say yes."}], "max_tokens": 2, "temperature": 0}).encode()
def ask():
    while True:
        request = urllib.request.Request(sys.argv[1] + "/v1/chat/completions", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                answer.read()
                outcome = answer.status
        except Exception as error:
            outcome = repr(error)
        sys.stdout.write(json.dumps(outcome) + "\\n")
        sys.stdout.flush()
for _ in range(int(sys.argv[2])):
    threading.Thread(target=ask).start()
"""
