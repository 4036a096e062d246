"""Keeps credentials out of whatever is printed: logs, messages, the termination log."""

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "***"

# Shorter secrets would blank out ordinary text; nobody guards weights with three characters.
_MIN_LENGTH = 4

_USERINFO = re.compile(r"([a-z][a-z0-9+.-]*://)[^/\s@\"']+@", re.IGNORECASE)
_QUERY = re.compile(r"([a-z][a-z0-9+.-]*://[^\s?#\"'<>]*)\?[^\s\"'<>]*", re.IGNORECASE)
_AUTHORIZATION = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)


class Redactor:
    """Replaces known secrets (as they are, URL-quoted, in base64), URLs' userinfo and queries, and bearer tokens."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if len(secret) >= _MIN_LENGTH for form in _forms(secret)}
        # The longest first: one secret may be a part of another.
        ordered = sorted(forms, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def __call__(self, text: str) -> str:
        """The text without what must not be seen."""
        if self._known:
            text = self._known.sub(MASK, text)
        text = _USERINFO.sub(rf"\1{MASK}@", text)
        text = _QUERY.sub(rf"\1?{MASK}", text)
        return _AUTHORIZATION.sub(rf"\1 {MASK}", text)


def _forms(secret: str) -> set[str]:
    return {secret, quote(secret, safe=""), quote_plus(secret), base64.b64encode(secret.encode()).decode()}
