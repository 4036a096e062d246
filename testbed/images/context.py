"""The files that a build may see: a folder less what its .dockerignore says."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath

from testbed.errors import TestbedError


@dataclass(frozen=True)
class Context:
    """A folder, and the patterns of its ignore file: the last one that matches a path or a folder above it decides."""

    folder: Path
    rules: tuple[tuple[bool, re.Pattern[str]], ...]

    def files(self, source: str) -> list[str]:
        """The files at or below `source`, relative to the folder, in order.

        Raises:
            TestbedError: nothing of it may be seen.
        """
        start = PurePosixPath(source)
        if start.is_absolute() or ".." in start.parts or re.search(r"[*?\[]", source):
            raise TestbedError(f"{source!r} is not a plain path inside of {self.folder}")
        found = [path for path in self._walk(self.folder / start) if not self._ignored(path)]
        if not found:
            raise TestbedError(f"{source} is not in {self.folder}, or its ignore file leaves it out")
        return sorted(found)

    def fingerprint(self, file: str) -> tuple[str, int, str]:
        """Name, mode and content of a file."""
        return file, self.mode(file), sha256((self.folder / file).read_bytes()).hexdigest()

    def mode(self, file: str) -> int:
        """As git keeps it: whatever the umask, a file is the same."""
        return 0o755 if (self.folder / file).stat().st_mode & 0o100 else 0o644

    def _walk(self, path: Path) -> Iterator[str]:
        if path.is_symlink():
            raise TestbedError(f"{path} is a link; there are none in this project's build contexts")
        if path.is_dir():
            for below in path.iterdir():
                yield from self._walk(below)
        elif path.exists():
            yield path.relative_to(self.folder).as_posix()

    def _ignored(self, file: str) -> bool:
        path = PurePosixPath(file)
        candidates = [str(path), *(str(parent) for parent in path.parents[:-1])]
        ignored = False
        for ignores, pattern in self.rules:
            if any(pattern.fullmatch(candidate) for candidate in candidates):
                ignored = ignores
        return ignored


def read(folder: Path, ignore_file: Path) -> Context:
    """The context of a folder with this ignore file."""
    rules = []
    for line in ignore_file.read_text().splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#"):
            text = pattern.removeprefix("!").strip().strip("/")
            rules.append((not pattern.startswith("!"), re.compile(_expression(text))))
    return Context(folder, tuple(rules))


def _expression(pattern: str) -> str:
    if re.search(r"[\[\]\\]", pattern):
        raise TestbedError(f"the pattern {pattern!r} of an ignore file is not read here; known are *, ** and ?")
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(known.get(piece, re.escape(piece)) for piece in pieces)
