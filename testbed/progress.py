"""What a long first build shows on stderr: a live line on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections import deque
from types import TracebackType

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

PLAIN_INTERVAL = 30.0  # seconds between plain lines: often enough for a CI that ends silent jobs


class BuildProgress:
    """Follows the output of one `go build -v`, in which every line is a download or a compiled package."""

    def __init__(self, name: str, version: str, minutes: float) -> None:
        self._title = f"building {name} {version}"
        self._expectation = f"once, about {minutes:g} min on 2 cores from empty caches"
        self._packages = 0
        self._tail: deque[str] = deque(maxlen=25)
        self._started = self._last_print = time.monotonic()
        self._console = Console(file=sys.stderr)
        self._live = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", style="dim", markup=False),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._live.add_task(self._title, total=None, detail=self._expectation)

    def __enter__(self) -> "BuildProgress":
        if not self._console.is_terminal:
            self._print(self._expectation)
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
        self._print("done" if error is None else "failed")

    def line(self, text: str) -> None:
        """Take one line of the build's output."""
        self._tail.append(text)
        compiled = not text.startswith(("go: ", "#")) and " " not in text
        self._packages += compiled
        detail = f"{self._packages} packages, {text}" if compiled else text
        self._live.update(self._task, detail=detail[: max(20, self._console.width - 60)])
        if not self._console.is_terminal and time.monotonic() - self._last_print > PLAIN_INTERVAL:
            self._print(detail)

    def say(self, text: str) -> None:
        """Show something that is not output of the build."""
        if self._console.is_terminal:
            self._live.update(self._task, detail=text)
        else:
            self._print(text)

    def tail(self) -> str:
        """The last lines of the build's output."""
        return "\n".join(self._tail)

    def _print(self, detail: str) -> None:
        self._last_print = time.monotonic()
        seconds = int(self._last_print - self._started)
        text = f"{self._title} [{seconds // 60}:{seconds % 60:02}] {detail}"
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)
