"""Values that nobody should write, and some do."""

from typing import Any, Final

INJECTIONS: Final = (
    "{{ 7*7 }}",
    "{{ ().__class__.__mro__[1].__subclasses__() }}",
    "{% for x in range(10**9) %}x{% endfor %}",
    "{{ 'a' * 10**9 }}",
    "$(HOME)",
    "$$(HOME)",
    "${HOME}",
    "`id`",
    "$(id)",
    "'; DROP TABLE pools; --",
    "' || true || '",
    "'] || true || ['",
    "\\' || true",
    "--trust-remote-code",
    "a\n- hostPath: {path: /}",
    'a", "privileged": true, "b": "',
    "&anchor *alias",
    "!!python/object/apply:os.system [id]",
    "%s%n%d",
    "<script>alert(1)</script>",
)
TRAVERSALS: Final = (
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "a/../b",
    "a/./b",
    "a//b",
    "%2e%2e/a",
    "a\\..\\b",
    "file:///etc/passwd",
)
UNICODE: Final = (
    "\u0440aris",
    "F\u0280",
    "\u202efr-par",
    "fr\u200bpar",
    "fr\u00adpar",
    "\ufeffFR",
    "\uff26\uff32",
    "e\u0301",
    "\U0001f999",
    "a\u2028b",
    "a\u00a0b",
    "\u2100",
    "٣",
)
CONTROLS: Final = ("\0", "a\0b", "\n", "a\nb", "a\tb", "\r\n", "\x1b[31m", "\x7f", "\x85")
GARBAGE: Final = (
    "",
    " ",
    " a",
    "a ",
    ".",
    "-",
    "-a",
    "a-",
    "/",
    "@",
    ":",
    "a" * 64,
    "a" * 254,
    "A_b",
    "null",
    "true",
    "0",
    "-1",
    "1e999999",
    "9" * 40,
    "NaN",
    "0x10",
    "::/0",
    "0.0.0.0/0",
    "::ffff:0:0/96",
    "10.0.0.1/8",
    "10.0.0.0/08",
    "s3://a[/x",
    "https://a[b",
    "https://a\u2100b/x",
    "https://user:secret@host/x",
    "pvc://UPPER/../x",
    "pvc://a b/x",
    "hf://a/%2e%2e/b",
    "registry.example.eu.evil.org/ai",
    "kube-system",
    "kubernetes.io/metadata.name",
    "system:masters",
)
HUGE: Final = ("x" * 100_000, "a/" * 50_000, "\u00e9" * 100_000, "x" * 1_000_000)
HOSTILE: Final = (*INJECTIONS, *TRAVERSALS, *UNICODE, *CONTROLS, *GARBAGE)
"""Short strings."""


def nested(depth: int) -> Any:
    """A map in a map, and so on."""
    result: Any = "end"
    for _ in range(depth):
        result = {"a": result}
    return result


SHAPES: Final = (0, -1, 2**63, 2**64, 1.5, True, None, [], {}, ["a"], {"a": "b"}, nested(100), [[[[["a"]]]]])
"""What is no string at all."""
