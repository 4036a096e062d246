"""A long answer that is read from a pod while it is written."""

import subprocess
from pathlib import Path
from types import TracebackType

from e2e.world import CALLERS, World


class Stream:
    """While it is entered, a pod reads an answer that does not end by itself for a long time."""

    def __init__(self, world: World, url: str) -> None:
        self._world, self._url = world, url
        self._log = world.logs / "stream.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Stream":
        kubectl: list[str | Path] = [self._world.cluster.kubectl_program, f"--kubeconfig={self._world.kubeconfig}"]
        command = ["exec", "caller", "-n", CALLERS, "--", "python3", "-u", "-c", _PROGRAM, self._url]
        with self._log.open("wb") as output:
            self._process = subprocess.Popen([*kubectl, *command], stdin=subprocess.DEVNULL, stdout=output)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def pieces(self) -> int:
        """How many pieces of the answer have come so far."""
        return self._log.read_bytes().count(b"data: ")

    def ended(self) -> bool:
        """Whether the connection has ended, however."""
        return b"END" in self._log.read_bytes()


_PROGRAM = """
import json, sys, urllib.request
asked = {"messages": [{"role": "user", "content": "Count as far as you can."}], "stream": True, "max_tokens": 7900, "ignore_eos": True}
request = urllib.request.Request(sys.argv[1] + "/v1/chat/completions", json.dumps(asked).encode(), {"Content-Type": "application/json"})
try:
    with urllib.request.urlopen(request, timeout=60) as answer:
        for line in answer:
            if line.startswith(b"data: "):
                print("data: ")
        print("END whole")
except Exception as error:
    print("END", repr(error))
"""
