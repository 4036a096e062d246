"""Structured logs: one JSON object a line, or a line for people."""

import logging
import sys
from datetime import UTC, datetime
from enum import StrEnum

import orjson

_QUIET = ("aiohttp", "kopf", "asyncio")


class LogFormat(StrEnum):
    """How logs are written."""

    JSON = "json"
    TEXT = "text"


class JsonFormatter(logging.Formatter):
    """One JSON object: time, level, logger, message, and error where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return orjson.dumps(entry, default=str).decode()


def configure(log_format: LogFormat, level: str) -> None:
    """Log to stderr; libraries only from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    if log_format is LogFormat.JSON:
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
