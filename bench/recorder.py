"""Keeps what a run finds, and writes it after each bench, so that nothing is lost when one of them takes the run down."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from bench import machine
from bench.results import Outcome, Result, Run, save


class Recorder:
    """The results of one run, on the way."""

    def __init__(self, out: Path, show: Callable[[str], None]) -> None:
        """``show`` gets a line for each result."""
        self._out = out
        self._show = show
        started = datetime.now(UTC).isoformat(timespec="seconds")
        self.run = Run(machine.commit(), started, machine.command(), machine.describe(), machine.versions(), ())

    def found(self, result: Result) -> None:
        """A result."""
        spread = f"[{result.low:.3f}, {result.high:.3f}]"
        counts = f"{result.samples} samples, {result.discarded} thrown away"
        self._show(f"{result.metric:28} {result.size:6} {result.value:10.3f} {result.unit:9} {spread} {counts}")
        self.run = replace(self.run, results=(*self.run.results, result))

    def ended(self, outcome: Outcome) -> None:
        """A bench has ended; what it found is written."""
        self.run = replace(self.run, outcomes=(*self.run.outcomes, outcome))
        self.save()

    def save(self) -> None:
        """Write what is there."""
        save(self.run, self._out)

    def summary(self) -> str:
        """How the run went, in a line."""
        failed = ", ".join(f"{one.bench} at {one.size:,}" for one in self.run.failed)
        seconds = sum(one.seconds for one in self.run.outcomes)
        ending = f"; failed: {failed}" if failed else ""
        return f"{len(self.run.results)} results of {len(self.run.outcomes)} benches in {seconds:.0f} s{ending}"
