"""Image references as container runtimes read them: the Go library that they use, as a process that is asked line by line."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from testbed import TestbedError, binaries, cache

_SOURCE = Path(__file__).parent / "reference"


class Reference(NamedTuple):
    """What a reference means; only ``error`` when it means nothing."""

    domain: str = ""
    path: str = ""
    tag: str = ""
    digest: str = ""
    error: str = ""


class ReferenceOracle:
    """The running program."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def parse(self, image: str) -> Reference:
        """What ``image`` means to a container runtime."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(image) + "\n")
        self._process.stdin.flush()
        return Reference(**json.loads(self._process.stdout.readline()))


@contextmanager
def reference_oracle() -> Iterator[ReferenceOracle]:
    """The program, built when it is not in the cache yet, for as long as the context lasts."""
    with subprocess.Popen([_program()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield ReferenceOracle(process)
        assert process.stdin is not None
        process.stdin.close()


def _program() -> Path:
    go = binaries.find_go()
    if go is None:
        raise TestbedError(
            "the oracle of image references has to be built and there is no Go; install it (https://go.dev/dl)"
        )
    release = subprocess.check_output([go, "env", "GOVERSION"], cwd=_SOURCE, text=True).split()[0]
    name = cache.key(release, *(path.read_text() for path in sorted(_SOURCE.iterdir())))
    return cache.once("oracles", "reference", name, lambda folder: _build(go, folder)) / "reference"


def _build(go: str, folder: Path) -> None:
    flags = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false -trimpath"}
    subprocess.run([go, "build", "-o", folder / "reference", "."], cwd=_SOURCE, env=os.environ | flags, check=True)
