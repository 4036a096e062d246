"""Why an import fails: one reason each, and whether another try may help."""

from enum import StrEnum


class Reason(StrEnum):
    """Reasons of a failed import, as they appear in the termination message and in conditions."""

    SOURCE_NOT_FOUND = "SourceNotFound"
    SOURCE_UNREACHABLE = "SourceUnreachable"
    SOURCE_CHANGED = "SourceChanged"
    SOURCE_INVALID = "SourceInvalid"
    ACCESS_DENIED = "AccessDenied"
    MANIFEST_REQUIRED = "ManifestRequired"
    ENDPOINT_REQUIRED = "EndpointRequired"
    DIGEST_MISMATCH = "DigestMismatch"
    SIZE_MISMATCH = "SizeMismatch"
    UNSAFE_FILE = "UnsafeFile"
    INVALID_WEIGHTS = "InvalidWeights"
    INSUFFICIENT_STORAGE = "InsufficientStorage"
    STORAGE_FAILED = "StorageFailed"
    INTERRUPTED = "Interrupted"
    INTERNAL_ERROR = "InternalError"


RETRYABLE = frozenset(
    {
        Reason.SOURCE_UNREACHABLE,
        Reason.SOURCE_CHANGED,
        Reason.STORAGE_FAILED,
        Reason.INTERRUPTED,
        Reason.INTERNAL_ERROR,
    }
)
"""Reasons for which the same import may succeed later with nothing changed in its specification."""


class ImportFailure(Exception):
    """An import, or one request of it, failed for a documented reason.

    Args:
        reason: the documented reason.
        message: what happened and what to do, for a person.
        retryable: overrides what the reason says by default.
        retry_after: seconds the server asked to wait, if it did.
        status: the HTTP status behind the failure, if there is one.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        retryable: bool | None = None,
        retry_after: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retryable = reason in RETRYABLE if retryable is None else retryable
        self.retry_after = retry_after
        self.status = status

    @property
    def exit_code(self) -> int:
        """1 when another try may help, 3 when it cannot."""
        return 1 if self.retryable else 3
