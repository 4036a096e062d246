"""Runs benches one after the other: says what runs and since when, keeps each result, and goes on where one fails."""

import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from bench import objects
from bench.ground import Ground, ground
from bench.results import Outcome, Result
from bench.suite import Bench, Work
from sovereign.cluster.resources import BY_KIND

_PATIENCE: Final = 60.0
"""Seconds after which a bench that still runs is said to."""
Tell = Callable[[str], None]


@dataclass
class Runner:
    """Benches, each with what it has to do."""

    tasks: Sequence[tuple[Bench, Work]]
    shared: bool
    """One control plane for all of them."""
    tell: Tell
    """Hears what goes on, in lines."""
    found: Callable[[Result], None]
    """Hears of each result at once."""
    ended: Callable[[Outcome], None]
    """Hears how each bench ended."""
    _stack: ExitStack = field(default_factory=ExitStack)
    _common: Ground | None = None

    def run(self) -> None:
        """Run them all. One that fails is told, and the others run."""
        with self._stack:
            for number, (bench, work) in enumerate(self.tasks, 1):
                what = f"{bench.name}, {work.size:,} {bench.counts}"
                self.tell(f"{clock()} {what}: {bench.what} ({number} of {len(self.tasks)})")
                self.ended(self._one(bench, work, what))

    def _one(self, bench: Bench, work: Work, what: str) -> Outcome:
        started = time.monotonic()
        error = ""
        try:
            with _still(what, self.tell):
                self._measure(bench, work)
        except Exception as failure:  # noqa: BLE001 - whatever it is, the other benches are worth running
            error = f"{type(failure).__name__}: {failure}"
            self.tell(traceback.format_exc().rstrip())
            self._leave()
        seconds = time.monotonic() - started
        self.tell(f"{clock()} {what}: {'failed' if error else 'done'} after {seconds:.0f} s")
        return Outcome(bench.name, work.size, seconds, error)

    def _measure(self, bench: Bench, work: Work) -> None:
        with ExitStack() as its_own:
            place = self._ground(its_own) if bench.needs_ground else None
            for result in bench.run(place, work):
                self.found(result)
            if place is not None and any(program.runs for program in place.programs):
                raise RuntimeError("the bench has left an operator running, which would lead instead of the next one's")

    def _ground(self, its_own: ExitStack) -> Ground:
        if not self.shared:
            return _made(its_own)
        if self._common is None:
            self._common = _made(self._stack)
        return self._common

    def _leave(self) -> None:
        """A bench that failed may have left anything behind: the next one gets another control plane."""
        self._common = None
        self._stack.close()


def _made(stack: ExitStack) -> Ground:
    made = stack.enter_context(ground("bench"))
    policies = BY_KIND["SovereigntyPolicy"].path()
    made.run(lambda client: client.create(policies, objects.policy()))
    return made


def clock() -> str:
    """The time of day."""
    return datetime.now().astimezone().strftime("%H:%M:%S")


@contextmanager
def _still(what: str, tell: Tell) -> Iterator[None]:
    """Say now and then that ``what`` still runs, and since when."""
    since, started = clock(), time.monotonic()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_PATIENCE):
            tell(f"{clock()} {what}: runs since {since}, {(time.monotonic() - started) / 60:.0f} min")

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
