"""What the audience sees: headings, sentences, commands, answers, tables. Plain text where there is no terminal."""

import shlex
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

ROOT = Path(__file__).resolve().parents[2]
"""Where the commands that are shown are meant to be typed."""

_PLAIN_WIDTH = 120  # where there is no terminal whose width could be asked for
_MARGIN = 3


class Screen:
    """Writes to a console."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, markup=False, emoji=False)
        if not self._console.is_terminal:
            self._console.width = _PLAIN_WIDTH

    def heading(self, text: str) -> None:
        """The title of a step."""
        self._console.print()
        self._console.print(text, style="bold cyan")

    def say(self, text: str) -> None:
        """A sentence or two about what is being done or seen."""
        self._block(text)

    def command(self, *words: str | Path) -> None:
        """What a user would type, in one line that can be copied."""
        self.shell(typed(words))

    def shell(self, line: str) -> None:
        """A command as it is, in which the shell has something to expand."""
        self._line(f"$ {line}", style="bold", margin=_MARGIN)

    def answer(self, text: str) -> None:
        """What a program printed, line by line as it is: columns stay below each other."""
        for line in text.rstrip().splitlines():
            self._line(line.replace(f"{ROOT}/", ""), style="dim", margin=_MARGIN + 2)

    def refusal(self, text: str) -> None:
        """What the API server said when it refused."""
        for line in text.rstrip().splitlines():
            self._block(line.replace(f"{ROOT}/", ""), style="yellow", margin=_MARGIN + 2)

    def holds(self, text: str) -> None:
        """Something that was checked and is as it should be."""
        self._block(f"ok: {text}", style="green")

    def wrong(self, text: str) -> None:
        """Something that is not as it should be."""
        for line in text.splitlines():
            self._block(line, style="bold red", margin=0)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Rows below each other."""
        table = Table(*columns, box=None, pad_edge=False, header_style="underline")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self._console.print(Padding(table, (0, 0, 0, _MARGIN + 2), expand=False))

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show that something is waited for, while it is."""
        if self._console.is_terminal:
            with self._console.status(f"waiting for {what}"):
                yield
        else:
            self._block(f"waiting for {what}", margin=_MARGIN)
            yield

    def _block(self, text: str, *, style: str = "", margin: int = _MARGIN) -> None:
        width = max(20, self._console.width - margin)
        for line in textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False):
            self._line(line, style=style, margin=margin)

    def _line(self, text: str, *, style: str, margin: int) -> None:
        self._console.print(Text(" " * margin + text, style=style), soft_wrap=True)


def typed(words: Iterable[str | Path]) -> str:
    """A command line as somebody in the root of the tree would type it."""
    return shlex.join(str(word).replace(f"{ROOT}/", "") for word in words)
