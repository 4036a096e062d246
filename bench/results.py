"""What a run found, as JSON: the machine, the versions, the commit, how each bench ended, and one result for each metric."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import orjson


class Result(msgspec.Struct, frozen=True):
    """One metric of one bench at one size."""

    metric: str
    """What was measured, as `goals` knows it, for example ``storm.over_bare``."""
    value: float
    """The median."""
    unit: str
    size: int
    """Models, nodes or whatever the bench counts."""
    low: float
    """First quartile of the samples; the value itself where there is one sample."""
    high: float
    """Third quartile."""
    samples: int
    discarded: int = 0
    """Pairs that were thrown away because the bare writer before and after them differed too much."""
    note: str = ""
    points: tuple[float, ...] = ()
    """What the value is made of: the samples, or their percentiles where there are many."""
    series: tuple[tuple[float, float], ...] = ()
    """A curve, where there is one, as x and y: memory over hours, for example. The bench's description says of what."""


class Outcome(msgspec.Struct, frozen=True):
    """How one bench at one size ended."""

    bench: str
    size: int
    seconds: float
    error: str = ""
    """Why it failed; empty when it did not."""


class Run(msgspec.Struct, frozen=True):
    """All results of one run."""

    commit: str
    started: str
    """ISO 8601, UTC."""
    command: str
    machine: dict[str, str]
    versions: dict[str, str]
    results: tuple[Result, ...]
    outcomes: tuple[Outcome, ...] = ()

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The benches that failed."""
        return tuple(one for one in self.outcomes if one.error)


class Found(NamedTuple):
    """A result, and the run that it is of."""

    result: Result
    run: Run


class UnreadableError(Exception):
    """A file holds no results; the message says which and why."""


def save(run: Run, path: Path) -> None:
    """Write ``run`` to ``path``; who reads meanwhile sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    draft.write_bytes(orjson.dumps(msgspec.to_builtins(run), option=orjson.OPT_INDENT_2) + b"\n")
    draft.replace(path)


def load(path: Path) -> Run:
    """The run in ``path``.

    Raises:
        UnreadableError: there is no such file, or it holds something else.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Run)
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}; `python -m bench run --out {path}` writes one") from None
    except msgspec.DecodeError as error:
        raise UnreadableError(f"{path} holds no results of `python -m bench run`: {error}") from None


def merged(runs: Sequence[Run]) -> list[Found]:
    """The newest result of each metric and size, in the order in which they were first found."""
    found: dict[tuple[str, int], Found] = {}
    for run in _oldest_first(runs):
        found.update(((one.metric, one.size), Found(one, run)) for one in run.results)
    return list(found.values())


def failures(runs: Sequence[Run]) -> list[Outcome]:
    """The benches whose newest turn at a size failed."""
    newest = {(one.bench, one.size): one for run in _oldest_first(runs) for one in run.outcomes}
    return [one for one in newest.values() if one.error]


def _oldest_first(runs: Sequence[Run]) -> Iterable[Run]:
    return sorted(runs, key=lambda run: run.started)
