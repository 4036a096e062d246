"""The threat model's table, held against the tests: those that it names exist, and ran.

``python -m tests.security.threats REPORT.xml ...`` reads what pytest wrote (``--junitxml``) and ends with 1 when a test that
the table names did not run, or did not pass.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple
from xml.etree import ElementTree

ROOT: Final = Path(__file__).parents[2]
DOCUMENT: Final = ROOT / "docs" / "security" / "threat-model.md"
COLUMNS: Final = ("#", "Bypass or fault", "Prevented by", "Detected by", "Repaired by", "Tests", "What cannot be held")
ROWS: Final = 27


class Proof(NamedTuple):
    """A test function, as the table names it: ``FILE::NAME``."""

    file: str
    name: str

    def __str__(self) -> str:
        return f"{self.file}::{self.name}"


class Row(NamedTuple):
    """A row of the table."""

    number: int
    cells: tuple[str, ...]
    tests: tuple[Proof, ...]


def rows(text: str) -> Iterator[Row]:
    """The rows of the table in ``text``.

    Raises:
        ValueError: a row has another number of cells than the table has columns.
    """
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells or not cells[0].isdigit():
            continue
        if len(cells) != len(COLUMNS):
            raise ValueError(f"row {cells[0]} has {len(cells)} cells, not {len(COLUMNS)}")
        named = re.findall(r"`((?:tests|e2e)/[\w/]+\.py)::(\w+)`", cells[COLUMNS.index("Tests")])
        yield Row(int(cells[0]), tuple(cells), tuple(Proof(*one) for one in named))


def defined(file: Path) -> set[str]:
    """Names of the test functions in ``file``, those in classes included."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, functions)}


def outcomes(reports: Iterable[Path]) -> dict[Proof, set[str]]:
    """What became of each test by its function: passed, failed, skipped."""
    found: dict[Proof, set[str]] = {}
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):
            file = "/".join(_module(case.get("classname", ""))) + ".py"
            name = case.get("name", "").partition("[")[0]
            wrong = [state for state in ("failure", "error", "skipped") if case.find(state) is not None]
            found.setdefault(Proof(file, name), set()).add(wrong[0] if wrong else "passed")
    return found


def _module(classname: str) -> list[str]:
    """The path of a module, without a class in it."""
    parts = classname.split(".")
    return [part for part in parts if not part.startswith("Test")]


def missing(table: Iterable[Row], ran: dict[Proof, set[str]], folders: Iterable[str]) -> list[str]:
    """Tests of the table that did not run or did not pass, among those in ``folders``."""
    wrong = []
    for row in table:
        for test in row.tests:
            if test.file.split("/")[0] in folders and "passed" not in ran.get(test, set()):
                wrong.append(f"row {row.number}: {test} {'/'.join(sorted(ran.get(test, {'did not run'})))}")
            elif "failure" in ran.get(test, set()) or "error" in ran.get(test, set()):
                wrong.append(f"row {row.number}: {test} failed")
    return wrong


def main(reports: list[str]) -> int:
    """Check; which folders are asked for follows from what the reports hold."""
    ran = outcomes(Path(report) for report in reports)
    folders = {test.file.split("/")[0] for test in ran}
    table = list(rows(DOCUMENT.read_text()))
    wrong = missing(table, ran, folders)
    for line in wrong:
        print(line, file=sys.stderr)
    named = {test for row in table for test in row.tests if test.file.split("/")[0] in folders}
    print(
        f"threat model: {len(named)} tests named in {', '.join(sorted(folders))}, {len(wrong)} of them not run or not passed"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
