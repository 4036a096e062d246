"""A settable wall clock for one process."""

import struct
from pathlib import Path


class Clock:
    """The wall clock of a process that is started with `environment`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0.0)

    @property
    def environment(self) -> dict[str, str]:
        """What the process has to be started with."""
        return {"PYTHONPATH": str(Path(__file__).parent), "CHAOS_CLOCK": str(self._file)}

    def set(self, seconds: float) -> None:
        """Have it differ from the machine's by so much, from now on."""
        mode = "r+b" if self._file.exists() else "wb"  # the mapping of a running process has to stay
        with self._file.open(mode) as file:
            file.write(struct.pack("d", seconds))
