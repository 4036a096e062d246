"""Write the reference pages, or say which are out of date."""

import sys
from pathlib import Path

from sovereign.cli.reference.pages import pages

COMMAND = "python -m sovereign.cli.reference docs/reference"


def main(arguments: list[str]) -> int:
    """Write all pages into the folder that ``arguments`` name; with ``--check`` only compare."""
    check = "--check" in arguments
    folders = [argument for argument in arguments if argument != "--check"]
    if len(folders) != 1:
        sys.stderr.write(f"usage: {COMMAND} [--check]\n")
        return 2
    folder = Path(folders[0])
    stale = {name: text for name, text in pages().items() if not _same(folder / name, text)}
    if check:
        for name in stale:
            sys.stderr.write(f"{folder / name} is out of date; run `{COMMAND}`\n")
        return 1 if stale else 0
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in stale.items():
        (folder / name).write_text(text, "utf-8")
    return 0


def _same(file: Path, text: str) -> bool:
    return file.exists() and file.read_text("utf-8") == text


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
