"""Results that nobody measured."""

from collections.abc import Sequence

from bench.results import Outcome, Result, Run


def made_up(metric: str, value: float, size: int = 1000, unit: str = "ratio", **more: object) -> Result:
    fields: dict[str, object] = {"low": value, "high": value, "samples": 1}
    return Result(metric=metric, value=value, unit=unit, size=size, **(fields | more))  # type: ignore[arg-type]


def a_run(
    results: Sequence[Result] = (), outcomes: Sequence[Outcome] = (), started: str = "2026-01-01", commit: str = "abc"
) -> Run:
    return Run(
        commit=commit,
        started=f"{started}T00:00:00+00:00",
        command="python -m bench run",
        machine={"processor": "a processor", "cores": "2", "memory": "8 GiB", "kernel": "6.1"},
        versions={"python": "3.11"},
        results=tuple(results),
        outcomes=tuple(outcomes),
    )
