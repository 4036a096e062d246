"""What of a file is on disk already: a journal that survives a kill at any point.

The journal lies beside the staged files. Its first line describes the file and the cut into parts, every
further line is ``[part, etag]``. A part is recorded only after its bytes were synced, so a record that is
there is true; a record that was lost costs a part fetched again. A torn last line is ignored. What the
journal says is believed only until the file's digest has been computed.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from sovereign.importer.source import RemoteFile

_VERSION = 1


class PartJournal:
    """The parts of one file that are safely on disk.

    Args:
        path: where the journal lies.
        file: the file it is about.
        part_size: bytes per part; the last part may be shorter.
    """

    def __init__(self, path: Path, file: RemoteFile, part_size: int) -> None:
        self._path = path
        self._file = file
        self._part_size = part_size

    def load(self) -> set[int]:
        """The recorded parts, none when the journal is missing, about another version, or cannot be proven
        right.

        Pins the version (etag) that the parts came from on the file.
        """
        try:
            header, *records = [json.loads(line) for line in _whole_lines(self._path)]
        except (OSError, ValueError):
            return set()
        if header != self._header():
            return set()
        etags = {etag for _, etag in records}
        if len(etags) > 1 or (self._file.etag and etags - {self._file.etag}):
            return set()
        etag = etags.pop() if etags else None
        if etag is None and self._file.sha256 is None:
            return set()
        self._file.etag = self._file.etag or etag
        return {part for part, _ in records}

    def start(self) -> None:
        """Begin an empty journal."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self._header()) + "\n")

    def record(self, parts: Iterable[int]) -> None:
        """Add parts whose bytes have been synced."""
        lines = "".join(json.dumps([part, self._file.etag]) + "\n" for part in parts)
        with self._path.open("a") as journal:
            journal.write(lines)

    def remove(self) -> None:
        """Forget everything."""
        self._path.unlink(missing_ok=True)

    def _header(self) -> dict[str, object]:
        return {
            "version": _VERSION,
            "path": self._file.path,
            "size": self._file.size,
            "sha256": self._file.sha256,
            "partSize": self._part_size,
        }


def _whole_lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
