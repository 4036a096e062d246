"""The planner alone: one pool, and a whole cluster from files, with no API server."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import run as call
from tempfile import TemporaryDirectory
from typing import Final

import yaml

from bench import objects
from bench.arms import bodies
from bench.results import Result
from bench.stats import result
from bench.suite import Work

_ROUNDS: Final = 7
_CALLS: Final = 300


def run(work: Work) -> Iterator[Result]:
    """``plan`` of one pool, in microseconds; of ``size`` pools on as many nodes from files, in seconds."""
    yield result("planner.pool", [1e6 * one for one in _one_pool()], "us", 1)
    yield result("planner.files", list(_files(work.size)), "s", work.size)


def _one_pool() -> Iterator[float]:
    plan = bodies.planner("bench")
    plan()
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        for _ in range(_CALLS):
            plan()
        yield (time.perf_counter() - started) / _CALLS


def _files(size: int) -> Iterator[float]:
    with TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "all.yaml"
        documents = [objects.policy(), objects.namespace("bench")]
        documents += [objects.node(f"node-{number}") for number in range(size)]
        documents.append(objects.model("bench", "m0"))
        documents += [
            objects.pool("bench", f"p{number}") | {"spec": objects.pool("bench", "m0")["spec"]}
            for number in range(size)
        ]
        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        path.write_text(yaml.dump_all(documents, Dumper=dumper))
        command = [sys.executable, "-c", "from sovereign.cli import app; app()", "plan", "-f", str(path), "-o", "json"]
        for _ in range(3):
            started = time.perf_counter()
            done = call(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(done.stderr[-2000:])
            yield time.perf_counter() - started
