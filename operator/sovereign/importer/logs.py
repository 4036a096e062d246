"""Log lines, as JSON or for a person, with every credential taken out."""

import json
import logging
import sys
from datetime import UTC, datetime

from sovereign.importer.redaction import Redactor


class LineFormatter(logging.Formatter):
    """One line per record: ``time``, ``level``, ``message`` and the record's ``fields``."""

    def __init__(self, redact: Redactor, *, as_json: bool) -> None:
        super().__init__()
        self._redact = redact
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """The line, redacted as a whole: a secret may hide in any part of it."""
        message = self._redact(record.getMessage())
        if record.exc_info:
            message += "\n" + self._redact(self.formatException(record.exc_info))
        fields = getattr(record, "fields", {})
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._as_json:
            document = {"time": time, "level": record.levelname.lower(), "message": message, **fields}
            return self._redact(json.dumps(document, ensure_ascii=False))
        pairs = "".join(f" {key}={value}" for key, value in fields.items() if value is not None)
        return f"{time} {record.levelname:<7} {message}{self._redact(pairs)}"


def configure(log_format: str, redact: Redactor) -> None:
    """Send the importer's log to stderr. Libraries are only heard when something is wrong."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(redact, as_json=log_format == "json"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.ERROR)
    logging.getLogger("sovereign.importer").setLevel(logging.INFO)
