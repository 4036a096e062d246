"""Programs in a caller's pod that go on while a test looks at something else."""

import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from e2e.world import CALLERS, World

_CLIENTS = 3


class _Program:
    """While it is entered, a program runs in a caller's pod; each line that it prints is JSON."""

    def __init__(self, world: World, name: str, program: str, *arguments: str) -> None:
        self._world = world
        self._command = ["exec", "caller", "-n", CALLERS, "--", "python3", "-u", "-c", program, *arguments]
        self._log = world.logs / f"{name}.jsonl"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
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
        # The program itself does not notice that nobody reads it.
        self._world.cluster.kubectl_as(self._world.kubeconfig).run(
            "exec", "caller", "-n", CALLERS, "--", "busybox", "killall", "python3"
        )

    def said(self) -> list[object]:
        """What it has said so far."""
        lines = self._log.read_bytes().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith(b"\n")]


class Load(_Program):
    """Requests without a pause, on new connections, as callers without a connection pool make them."""

    def __init__(self, world: World, url: str) -> None:
        super().__init__(world, "load", _REQUESTS, url, str(_CLIENTS))

    def answered(self) -> int:
        """How many requests were answered so far."""
        return sum(outcome == 200 for outcome in self.said())

    def failures(self) -> list[object]:
        """What became of the others."""
        return [outcome for outcome in self.said() if outcome != 200]


class Stream(_Program):
    """An answer that is read while it is written, and that would take a minute."""

    WHOLE = 7900
    """Pieces of all of it."""

    def __init__(self, world: World, url: str) -> None:
        super().__init__(world, "stream", _ANSWER, url, str(self.WHOLE))

    def pieces(self) -> int:
        """How many pieces of it have come so far."""
        return self.said().count("piece")

    def ended(self) -> bool:
        """Whether the connection has ended, however."""
        return any(line != "piece" for line in self.said())


_REQUESTS = """
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

_ANSWER = """
import json, sys, urllib.request
asked = {"messages": [{"role": "user", "content": "Count as far as you can."}], "stream": True}
asked |= {"max_tokens": int(sys.argv[2]), "ignore_eos": True}
request = urllib.request.Request(sys.argv[1] + "/v1/chat/completions", json.dumps(asked).encode(), {"Content-Type": "application/json"})
try:
    with urllib.request.urlopen(request, timeout=60) as answer:
        for line in answer:
            if line.startswith(b"data: "):
                print(json.dumps("piece"))
    print(json.dumps("the server has ended it"))
except Exception as error:
    print(json.dumps(repr(error)))
"""
