"""Figures of a run: seconds that nothing asserts to the tenth, but that somebody wants to know."""

from dataclasses import dataclass, field


@dataclass
class Report:
    """What was measured, in the order of the run."""

    lines: list[str] = field(default_factory=list)

    def seconds(self, what: str, value: float) -> None:
        """Note a duration."""
        self.lines.append(f"{what}: {value:.1f} s")

    def fact(self, what: str) -> None:
        """Note anything else."""
        self.lines.append(what)
