"""What a run found, as JSON: the machine, the versions, the commit, and one result for each metric."""

from pathlib import Path

import msgspec
import orjson


class Result(msgspec.Struct, frozen=True):
    """One metric of one bench at one size."""

    metric: str
    """What was measured, as `goals` knows it, for example ``storm.ratio``."""
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


class Run(msgspec.Struct, frozen=True):
    """All results of one run."""

    commit: str
    started: str
    command: str
    machine: dict[str, str]
    versions: dict[str, str]
    results: tuple[Result, ...]


def save(run: Run, path: Path) -> None:
    """Write ``run`` to ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(msgspec.to_builtins(run), option=orjson.OPT_INDENT_2) + b"\n")


def load(path: Path) -> Run:
    """The run in ``path``.

    Raises:
        msgspec.ValidationError: it holds something else.
    """
    return msgspec.json.decode(path.read_bytes(), type=Run)
