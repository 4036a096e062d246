"""What came of a run, for people and for programs."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from testbed.chaos.monitor import Sample

_SHOWN = 40


@dataclass
class Report:
    """Figures of a run, and what did not hold."""

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    batches: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    lost_leases: int = 0
    leaders: int = 0
    writes: int = 0
    expired: int = 0
    torn: int = 0
    seconds: float = 0.0
    convergences: list[float] = field(default_factory=list)
    """Seconds from the end of a batch's faults until every invariant held and all was quiet."""
    unlawful_served: float = 0.0
    unlawful_which: str = ""
    samples: list[Sample] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def injected(self) -> int:
        """How many faults there were."""
        return self.faults.total()

    @property
    def command(self) -> str:
        """What repeats the run."""
        return f"make chaos SEED={self.seed} FAULTS={self.injected}"

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(self._figures(), indent=2) + "\n")

    def _figures(self) -> dict[str, Any]:
        counted = {name: dict(value) for name, value in vars(self).items() if isinstance(value, Counter)}
        samples = [asdict(sample) for sample in self.samples]
        return vars(self) | counted | {"samples": samples, "injected": self.injected, "command": self.command}

    def text(self) -> str:
        """For people."""
        lines = [
            f"seed {self.seed}: {self.injected} faults in {self.batches} batches, {self.seconds:.0f} s",
            *_counted("faults", self.faults),
            *_counted("operations", self.operations),
            *_counted("operations refused by rules", self.refused),
            f"operators: {self.starts} starts, {self.leaders} leaders, {self.lost_leases} ends for a lost lease, {self.writes} writes",
            f"watches: {self.expired} told 410 by the API server, {self.torn} cut in the middle of an event",
            f"convergence: {_spread(self.convergences)}",
            f"longest that an unlawful pod was served: {self.unlawful_served:.0f} s {self.unlawful_which}".rstrip(),
            *self._held(),
            f"what did not hold: {len(self.failures)}",
            *(f"  {failure}" for failure in self.failures[:_SHOWN]),
        ]
        if self.failures:
            lines.append(f"repeat it with: {self.command}")
        return "\n".join(lines)

    def _held(self) -> list[str]:
        if not self.samples:
            return []
        figures = ("tasks", "threads", "descriptors", "resident")
        return [
            f"{'leaders' if leads else 'standbys'} when quiet: "
            + ", ".join(f"{what} {_range(values)}" for what in figures if (values := self._sampled(what, leads=leads)))
            for leads in (True, False)
        ]

    def _sampled(self, what: str, *, leads: bool) -> list[int]:
        return [getattr(sample, what) for sample in self.samples if sample.leads == leads]


def _counted(title: str, counter: "Counter[str]") -> list[str]:
    return [f"{title}: {counter.total()}", *(f"  {number:5} {what}" for what, number in counter.most_common())]


def _range(values: list[int]) -> str:
    return f"{min(values)}-{max(values)}"


def _spread(seconds: list[float]) -> str:
    if not seconds:
        return "none"
    middle: Any = sorted(seconds)[len(seconds) // 2]
    return f"median {middle:.1f} s, longest {max(seconds):.1f} s"
