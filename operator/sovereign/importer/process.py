"""An import as a process: signals, exit codes, the termination message."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

import uvloop

from sovereign.importer import logs, report
from sovereign.importer.credentials import Credentials
from sovereign.importer.failure import ImportFailure, Reason
from sovereign.importer.progress import Progress
from sovereign.importer.redaction import Redactor
from sovereign.importer.run import import_weights
from sovereign.importer.settings import Settings

LOG = logging.getLogger(__name__)

# What a stopped import may take to record the parts that are being written. The promise is to end within 2 s.
_GRACE_SECONDS = 1.2


class Process:
    """Runs one import, whatever happens to it, to a termination message and an exit code."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._progress = Progress()
        self._redact = Redactor()

    def run(self) -> int:
        """Run the import; returns the exit code."""
        logs.configure(self._settings.log_format, self._redact)
        # Until the event loop takes over there is nothing to save.
        signal.signal(signal.SIGTERM, lambda *_: self._end_interrupted())
        try:
            credentials = Credentials.load(self._settings.credentials)
            self._redact = Redactor(credentials.secrets())
            logs.configure(self._settings.log_format, self._redact)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(self._main(credentials))
        except ImportFailure as failure:
            return self._fail(failure)

    async def _main(self, credentials: Credentials) -> int:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        loop.set_exception_handler(_note)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._interrupt, task)
        reporter = asyncio.create_task(self._progress.report(self._settings.progress_interval))
        try:
            imported = await import_weights(self._settings, credentials, self._progress)
        except ImportFailure as failure:
            return self._fail(failure)
        except asyncio.CancelledError:
            self._end_interrupted()
        except Exception:
            LOG.exception("the importer has a fault")
            return self._fail(ImportFailure(Reason.INTERNAL_ERROR, "the importer has a fault: see its log"))
        finally:
            reporter.cancel()
        self._progress.log("imported")
        self._finish(imported.document())
        return 0

    def _interrupt(self, task: "asyncio.Task[Any]") -> None:
        task.cancel()
        asyncio.get_running_loop().call_later(_GRACE_SECONDS, self._end_interrupted)

    def _end_interrupted(self) -> NoReturn:
        """Report, and end without waiting for threads: one may hang in a write to a dead disk."""
        code = self._fail(
            ImportFailure(Reason.INTERRUPTED, "the import was stopped; the next attempt goes on where it ended")
        )
        sys.stderr.flush()
        os._exit(code)

    def _fail(self, failure: ImportFailure) -> int:
        failure.message = self._redact(failure.message)
        LOG.error("%s: %s", failure.reason.value, failure.message)
        self._finish(report.failed(failure, self._progress.done))
        return failure.exit_code

    def _finish(self, document: Mapping[str, Any]) -> None:
        LOG.info("result", extra={"fields": {"termination": document}})
        try:
            report.write(self._settings.termination_log, document)
        except OSError as error:
            LOG.warning("the termination log cannot be written: %s", error.strerror)


def _note(_: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """Say in a line what happened beside the import, with no traceback.

    A connection that is given up in the middle of a TLS record ends with an error of its own, in the event loop; the
    request has failed already, or does not matter any more.
    """
    level = logging.DEBUG if "transport" in context or "protocol" in context else logging.WARNING
    LOG.log(level, "%s: %r", context.get("message", "event loop").partition("\n")[0], context.get("exception"))
