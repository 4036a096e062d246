"""Start: from the birth of the process to the moment when ``/readyz`` answers 200, and the share of it that imports take.

Ready means that all caches are synced; a standby is ready too. Nothing of ours is in the cluster, unless another bench left it there.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Final

from bench.ground import Ground, NotInTimeError
from bench.results import Result
from bench.stats import result
from bench.suite import Work

_PATIENCE: Final = 60.0
_PAUSE: Final = 0.005
"""Seconds between two questions: as finely as ready is seen."""


def run(ground: Ground, work: Work) -> Iterator[Result]:
    """Seconds until ready, and of imports alone, in turns."""
    _start(ground)  # byte code is compiled, files are in the page cache, and the lease is there
    _imports()
    turns = [(_start(ground), _imports()) for _ in range(work.turns)]
    yield result("start.seconds", [ready for ready, _ in turns], "s", work.size)
    yield result("start.imports", [imports for _, imports in turns], "s", work.size)


def _start(ground: Ground) -> float:
    began = time.monotonic()
    program = ground.program()
    try:
        while program.get("/readyz") != "ok":
            if not program.runs or time.monotonic() - began > _PATIENCE:
                raise NotInTimeError(f"the operator did not get ready: {program.log.read_text()[-2000:]}")
            time.sleep(_PAUSE)
        return time.monotonic() - began
    finally:
        program.stop()


def _imports() -> float:
    """Seconds that a fresh interpreter says it took to import the operator."""
    code = "import time; began = time.perf_counter(); import sovereign.main; print(time.perf_counter() - began)"
    return float(subprocess.check_output([sys.executable, "-c", code]))
