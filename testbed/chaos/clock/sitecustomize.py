"""A wall clock that can be set for one process: Python imports this by itself when the folder is on PYTHONPATH.

What the date is, a Python program hears from `time.time` and `datetime.now`; both add what the file named in CHAOS_CLOCK says
(seconds, a double), each time anew, so that the clock can jump while the process runs. Monotonic clocks stay as they are, as they
do when an administrator or NTP sets the date of a machine. A time namespace of Linux would not do: it shifts monotonic clocks only.
"""

import datetime
import mmap
import os
import struct
import time
from pathlib import Path
from typing import Any

_real_time = time.time
_real = datetime.datetime
_real_now = _real.now


class _Anything(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return any(kind is _real for kind in type(instance).__mro__)


class _Shifted(datetime.datetime, metaclass=_Anything):
    """What `datetime.datetime` is in this process."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return _real_now(tz) + datetime.timedelta(seconds=_shift())


def _shift() -> float:
    return float(struct.unpack_from("d", _view)[0])


if _file := os.environ.get("CHAOS_CLOCK"):
    with Path(_file).open("rb") as _handle:
        _view = mmap.mmap(_handle.fileno(), 8, prot=mmap.PROT_READ)
    time.time = lambda: _real_time() + _shift()
    datetime.datetime = _Shifted  # type: ignore[misc]
