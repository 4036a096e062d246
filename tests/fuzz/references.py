"""Image references by a grammar: most are nearly right, and say something else than they seem to."""

from collections.abc import Callable
from random import Random
from typing import Final

HEX: Final = "0123456789abcdef"
REGISTRIES: Final = (
    "registry.example.eu",
    "registry.example.eu/ai",
    "registry.example.eu/ai/models",
    "registry.example.eu:5000",
    "registry.example.eu:5000/ai",
    "localhost:5000",
    "registry:5000/ai",
    "docker.io",
    "docker.io/library",
    "index.docker.io",
    "10.0.0.1:5000/ai",
)
"""What the policies here allow; references are made to look like them."""
_HOSTS: Final = (
    "registry.example.eu",
    "registry.example.eu.evil.org",
    "registry.example.eu.",
    "registry.example.eu-evil.org",
    "Registry.example.eu",
    "REGISTRY.EXAMPLE.EU",
    "registry.example.eu:5000",
    "registry.example.eu:05000",
    "registry.example.eu:",
    "registry.example.eu:443:5000",
    "registry.example.eu:500000",
    "registry.ехample.eu",  # noqa: RUF001 - Cyrillic letters
    "regıstry.example.eu",  # noqa: RUF001 - dotless i
    "registry\u0301.example.eu",
    "registry。example。eu",
    "registry.example.eu\u200b",
    "\u202eregistry.example.eu",
    "ｒegistry.example.eu",  # noqa: RUF001 - full width
    "xn--rgistry-9xa.example.eu",
    "user@registry.example.eu",
    "user:secret@registry.example.eu",
    "https://registry.example.eu",
    "evil.org",
    "evil.org:5000",
    "localhost",
    "localhost:5000",
    "LOCALHOST",
    "localhost.evil.org",
    "registry",
    "registry:5000",
    "docker.io",
    "index.docker.io",
    "docker.io:443",
    "index.docker.io:443",
    "registry-1.docker.io",
    "DOCKER.IO",
    "library",
    "10.0.0.1",
    "10.0.0.1:5000",
    "0x0a000001:5000",
    "[::1]",
    "[::1]:5000",
    "[fd00::1]:5000",
    "[fe80::1%25eth0]:5000",
    "::1",
    "a",
    "-a.eu",
    "a-.eu",
    "a_b.eu",
    "a..eu",
    ".eu",
    "",
)
_SEGMENTS: Final = (
    "ai",
    "ai",
    "models",
    "vllm",
    "library",
    "..",
    ".",
    "",
    "AI",
    "aı",  # noqa: RUF001 - dotless i
    "a.b",
    "a..b",
    "a__b",
    "a___b",
    "a--b",
    "a-",
    "_a",
    "a%2f..",
    "ai\\evil",
    "ai?x=1",
    "ai#x",
    "registry.example.eu",
    "a" * 40,
    "1" * 64,
    "ai\u0000",
    "ai\n",
    "ai\t",
    "ai ",
    "🦙",
)
_TAGS: Final = (
    "",
    "",
    ":latest",
    ":v1.0",
    ":",
    ":a/b",
    ":5000",
    ":" + "t" * 128,
    ":" + "t" * 129,
    ":-a",
    ":v1:v2",
    ":v 1",
)
_ODD_DIGESTS: Final = (
    "@",
    "@sha256:",
    "@sha256:" + "a" * 63,
    "@sha256:" + "a" * 65,
    "@sha256:" + "A" * 64,
    "@SHA256:" + "a" * 64,
    "@sha512:" + "a" * 128,
    "@sha384:" + "a" * 96,
    "@md5:" + "a" * 32,
    "@sha256+b64u:" + "a" * 64,
    "@sha256:" + "a" * 64 + "@sha256:" + "b" * 64,
    "@sha256:" + "a" * 64 + ":latest",
    "@sha256:" + "a" * 64 + "\n",
    "@sha256:" + "a" * 64 + " ",
    "@sha256:" + "a" * 64 + "/b",
)


def reference(random: Random) -> str:
    """One reference."""
    text = random.choice(_MAKERS)(random)
    return _mutated(random, text) if random.random() < 0.2 else text


def _by_grammar(random: Random) -> str:
    separator = "//" if random.random() < 0.03 else "/"
    segments = [
        random.choice(_SEGMENTS[:5] if random.random() < 0.7 else _SEGMENTS)
        for _ in range(random.choice((0, 1, 1, 2, 2, 3)))
    ]
    return separator.join([random.choice(_HOSTS), *segments]) + _tag(random) + _digest(random)


def _below_a_registry(random: Random) -> str:
    tail = "/".join(random.choice(_SEGMENTS[:5]) for _ in range(random.choice((0, 1, 1, 1, 2))))
    between = random.choice(("/", "/", "/", "/", "/", "/", "/", "", ".", "-", "@", ":", "\\", "%2f", "//", "/../"))
    return random.choice(REGISTRIES) + between + tail + _tag(random) + _digest(random)


def _short(random: Random) -> str:
    return (
        random.choice(("", "library/", "ai/", "a/b/"))
        + random.choice(_SEGMENTS)
        + random.choice(_TAGS)
        + _digest(random)
    )


def _long(random: Random) -> str:
    length = random.choice((100, 180, 230, 234, 235, 236, 254, 255, 256, 300, 2000))
    path = "/".join(["a" * random.choice((1, 60, 120)) for _ in range(length // 60)] + ["b" * (length % 60 + 1)])
    return f"{random.choice(REGISTRIES)}/{path}{_tag(random)}{_digest(random)}"


def _noise(random: Random) -> str:
    alphabet = "aA0.:/@-_ \n\0\t[]%\\é。" + HEX
    return "".join(random.choice(alphabet) for _ in range(random.randint(0, 40)))


def _tag(random: Random) -> str:
    return random.choice(_TAGS) if random.random() < 0.5 else ""


def _digest(random: Random) -> str:
    if random.random() < 0.15:
        return random.choice(_ODD_DIGESTS)
    return "" if random.random() < 0.2 else "@sha256:" + "".join(random.choices(HEX, k=64))


def _mutated(random: Random, text: str) -> str:
    place = random.randint(0, len(text))
    inserted = random.choice(("/", ":", "@", ".", "-", "_", "..", "A", "\n", "\0", " ", "\u200d", "\u0430", "%", "0"))
    return text[:place] + inserted + text[place + random.choice((0, 0, 1)) :]


_MAKERS: Final[tuple[Callable[[Random], str], ...]] = (
    _by_grammar,
    _by_grammar,
    _by_grammar,
    _below_a_registry,
    _below_a_registry,
    _below_a_registry,
    _short,
    _long,
    _noise,
)
