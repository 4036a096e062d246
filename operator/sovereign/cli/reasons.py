"""The meaning of each reason, as it stands beside it in the source."""

import re
from functools import cache
from importlib.resources import files
from typing import Final

_MEMBER: Final = re.compile(r'"(?P<reason>[A-Z][A-Za-z]+)"\s+#: (?P<meaning>\S.*)')


@cache
def meanings() -> dict[str, str]:
    """Meaning by reason, in the order of the enumeration."""
    source = (files("sovereign.api") / "conditions.py").read_text("utf-8")
    return {match["reason"]: match["meaning"] for match in _MEMBER.finditer(source)}
