"""The command of ``python -m sovereign.probe``."""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from sovereign.probe.attempt import Outcome, Target, watch

_TERMINATION_LOG: Final = Path("/dev/termination-log")
_REACHED: Final = (Outcome.REACHED, Outcome.LATE)
AS_EXPECTED: Final = 0
UNCLEAR: Final = 1
OTHERWISE: Final = 10
"""One was reached that should not be, or the other way round. (2 is wrong usage.)"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Try each target, leave a line of JSON as termination message, and return the exit code.

    0 all is as expected; 1 it cannot be told; 2 wrong usage; 10 one is not as expected.
    """
    options = _parser().parse_args(arguments)
    targets: list[Target] = options.target
    reached = options.expect == "reached"
    started = time.monotonic()
    with ThreadPoolExecutor(len(targets)) as threads:
        outcomes = list(
            threads.map(lambda target: watch(target, options.timeout, until_reached=reached), targets),
        )
    seen = {_written(target): outcome.value for target, outcome in zip(targets, outcomes, strict=True)}
    _report(json.dumps({"outcomes": seen, "seconds": round(time.monotonic() - started, 1)}), options.termination_log)
    return exit_code(outcomes, reached=reached)


def exit_code(outcomes: Iterable[Outcome], *, reached: bool) -> int:
    """The exit code for what was seen; ``reached`` is whether the targets were expected to be reached."""
    seen = list(outcomes)
    if any((outcome in _REACHED) != reached and outcome is not Outcome.UNCLEAR for outcome in seen):
        return OTHERWISE
    return UNCLEAR if Outcome.UNCLEAR in seen else AS_EXPECTED


def _written(target: Target) -> str:
    return f"[{target.host}]:{target.port}" if ":" in target.host else f"{target.host}:{target.port}"


def _report(line: str, path: Path | None) -> None:
    print(line, flush=True)  # noqa: T201 - a command's own output
    place = path or (_TERMINATION_LOG if _TERMINATION_LOG.exists() else None)
    if place is None:
        return
    try:
        place.write_text(line)
    except OSError as error:
        print(f"the termination log cannot be written: {error.strerror}", file=sys.stderr)  # noqa: T201


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sovereign.probe",
        description="Try to reach the operator's probe listener, and report what happened.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--target", action="append", required=True, type=_target, metavar="IP:PORT", help="to reach; can be repeated"
    )
    parser.add_argument(
        "--expect",
        choices=("refused", "reached"),
        default="refused",
        help="what is as it should be: refused tries to the end of the time, reached only until it is",
    )
    parser.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS", help="how long it is tried")
    parser.add_argument("--termination-log", type=Path, metavar="FILE", help="default: /dev/termination-log")
    return parser


def _target(text: str) -> Target:
    try:
        return Target.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: write IP:PORT, with [] around IPv6") from error
