"""The command line: every flag has an environment variable, and a flag wins over it."""

import argparse
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sovereign.importer.catalogue import Format
from sovereign.importer.manifest import is_digest
from sovereign.importer.settings import Settings

PREFIX = "SOVEREIGN_IMPORT_"
_TERMINATION_LOG = Path("/dev/termination-log")
_UNITS = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "k": 10**3, "M": 10**6, "G": 10**9}
_QUANTITY = re.compile(r"(\d+)(Ki|Mi|Gi|k|M|G)?")
_MIN_PART = 64 << 10


def parse(arguments: Sequence[str]) -> Settings:
    """Read flags and environment.

    Raises:
        SystemExit: 2 for wrong usage, 0 after ``--help``.
    """
    values = vars(_parser().parse_args(arguments))
    values["include"], values["exclude"] = tuple(values["include"]), tuple(values["exclude"])
    if values["termination_log"] is None and _TERMINATION_LOG.exists():
        values["termination_log"] = _TERMINATION_LOG
    return Settings(**values)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sovereign.importer",
        description="Import a model's weights onto a volume: fetched, checked, published atomically.",
        epilog=f"Each flag can be given as an environment variable: --part-size is {PREFIX}PART_SIZE; lists are "
        "separated by commas or new lines. 'python -m sovereign.importer manifest DIR' makes the manifest of a directory.",
        allow_abbrev=False,
    )
    defaults = Settings(source="", dest=Path())
    add = _Adder(parser)
    add("--source", required=True, metavar="URI", help="s3://, hf://, https://, oci:// or file://")
    add("--dest", required=True, type=Path, metavar="DIR", help="root of the volume")
    add("--revision", help="branch, tag or commit at a hub; tag or digest at a registry")
    add("--endpoint", metavar="URL", help="of the S3 service or the hub")
    add("--region", help="of the bucket")
    add("--digest", type=_digest, help="sha256:... of the canonical manifest; what is imported must have it")
    add("--format", type=Format, choices=list(Format), default=defaults.format, help="of the weights")
    add.list("--include", help="take only files of a listing that match")
    add.list("--exclude", help="leave out files of a listing that match")
    add("--credentials", type=Path, metavar="DIR", help="a mounted Secret, one file per key")
    add("--concurrency", type=_count, default=defaults.concurrency, help="connections at once")
    add(
        "--part-size",
        type=_part_size,
        default=defaults.part_size,
        metavar="BYTES",
        help="of a request, at most; a file has 64 parts or more, of 1Mi or more",
    )
    add(
        "--timeout",
        type=_seconds,
        default=defaults.timeout,
        help="seconds without data until a connection is given up",
    )
    add("--max-attempts", type=_count, default=defaults.max_attempts, help="tries of a request")
    add(
        "--retry-delay",
        type=_seconds,
        default=defaults.retry_delay,
        help="seconds before the second try; doubles",
    )
    add(
        "--progress-interval",
        type=_seconds,
        default=defaults.progress_interval,
        help="seconds between log lines",
    )
    add(
        "--termination-log",
        type=Path,
        metavar="PATH",
        help="the result; default /dev/termination-log if it exists",
    )
    add("--log-format", choices=["json", "text"], default=defaults.log_format)
    add.switch("--allow-insecure", help="allow http:// (for tests, or a link that is protected otherwise)")
    add.switch("--clean", help="remove what other imports left unfinished on the volume")
    add.switch("--verify", help="hash a model that is published already again")
    return parser


class _Adder:
    """Adds flags whose defaults come from the environment."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parser = parser

    def __call__(self, flag: str, *, required: bool = False, default: Any = None, **options: Any) -> None:
        # argparse converts and checks a default that is a string as if it stood on the command line.
        default = _environment(flag) or default
        self._parser.add_argument(flag, required=required and default is None, default=default, **options)

    def list(self, flag: str, **options: Any) -> None:
        default = [item for item in re.split(r"[,\n]", _environment(flag) or "") if item]
        self._parser.add_argument(flag, action=_Append, default=default, metavar="GLOB", **options)

    def switch(self, flag: str, **options: Any) -> None:
        default = (_environment(flag) or "").lower() in {"1", "true", "yes"}
        self._parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=default, **options)


class _Append(argparse.Action):
    """Like "append", but the first flag replaces the default from the environment."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any) -> None:
        current = getattr(namespace, self.dest)
        setattr(namespace, self.dest, ([] if current is self.default else current) + [values])


def _environment(flag: str) -> str | None:
    return os.environ.get(PREFIX + flag.removeprefix("--").replace("-", "_").upper()) or None


def _bounded(convert: Callable[[str], float], least: float, most: float, what: str) -> Callable[[str], Any]:
    def check(text: str) -> float:
        try:
            value = convert(text)
        except ValueError:
            value = -1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
        return value

    return check


def _quantity(text: str) -> int:
    if not (match := _QUANTITY.fullmatch(text)):
        raise ValueError(text)
    return int(match[1]) * _UNITS[match[2] or ""]


_count = _bounded(int, 1, 256, "a number from 1 to 256")
_seconds = _bounded(float, 0.01, 86_400, "a number of seconds")
_part_size = _bounded(_quantity, _MIN_PART, 1 << 30, "a size from 64Ki to 1Gi")


def _digest(text: str) -> str:
    if not is_digest(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not sha256: and 64 lower-case hexadecimal digits")
    return text
