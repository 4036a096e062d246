"""The commands of ``python -m sovereign.importer``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sovereign.importer import flags
from sovereign.importer import manifest as manifests
from sovereign.importer.catalogue import Format
from sovereign.importer.failure import ImportFailure


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an import, or ``manifest DIR``; returns the exit code.

    0 success; 1 failed, may succeed later; 2 wrong usage; 3 failed, and will fail again unless something is
    changed.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] == "manifest":
        return _make_manifest(arguments[1:])
    settings = flags.parse(arguments)
    # Only now: wrong usage should not wait for the event loop's libraries.
    from sovereign.importer.process import Process

    return Process(settings).run()


def _make_manifest(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m sovereign.importer manifest",
        description=f"Write {manifests.FILE_NAME} for a directory of weights, and print its digest.",
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--format", type=Format, choices=list(Format), help="of the weights; default: what is there")
    parser.add_argument("--include", action="append", default=[], metavar="GLOB", help="take only files that match")
    parser.add_argument("--exclude", action="append", default=[], metavar="GLOB", help="leave out files that match")
    options = parser.parse_args(arguments)
    try:
        manifest = manifests.build(
            options.directory, weights=options.format, include=options.include, exclude=options.exclude
        )
        (options.directory / manifests.FILE_NAME).write_bytes(manifest.encode())
    except ImportFailure as failure:
        print(f"{failure.reason.value}: {failure.message}", file=sys.stderr)  # noqa: T201 - a command's own output
        return failure.exit_code
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)  # noqa: T201 - a command's own output
        return 1
    print(manifest.digest)  # noqa: T201 - a command's own output
    return 0
