"""docs/security/threat-model.md names tests that exist, for every row; the check itself can fail."""

from pathlib import Path

import pytest

from tests.security import threats
from tests.security.threats import COLUMNS, DOCUMENT, ROOT, ROWS, Proof, Row

TABLE = list(threats.rows(DOCUMENT.read_text()))


def test_every_row_of_the_threat_model_is_there_once() -> None:
    assert [row.number for row in TABLE] == list(range(1, ROWS + 1))
    assert "| " + " | ".join(COLUMNS) + " |" in DOCUMENT.read_text()


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"row {row.number}")
def test_a_row_says_everything_and_names_tests_that_exist(row: Row) -> None:
    assert all(row.cells), f"an empty cell; write '-' where there is nothing: {row.cells}"
    assert row.tests, "a row without a test is a claim without proof"
    for test in row.tests:
        assert test.name in threats.defined(ROOT / test.file), test


REPORT = """<testsuites><testsuite>
<testcase classname="tests.a.test_b" name="test_c[one]"/>
<testcase classname="tests.a.test_b" name="test_c[two]"><failure>x</failure></testcase>
<testcase classname="tests.a.test_b" name="test_d"><skipped/></testcase>
<testcase classname="tests.a.test_b.TestE" name="test_f"/>
</testsuite></testsuites>"""


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("test_c", "row 1: tests/a/test_b.py::test_c failed"),
        ("test_d", "row 1: tests/a/test_b.py::test_d skipped"),
        ("test_f", ""),
        ("test_z", "row 1: tests/a/test_b.py::test_z did not run"),
    ],
)
def test_a_test_that_did_not_run_or_pass_is_said(tmp_path: Path, name: str, wrong: str) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    row = Row(1, ("1",), (Proof("tests/a/test_b.py", name),))
    found = threats.missing([row], threats.outcomes([report]), {"tests"})
    assert found == ([wrong] if wrong else [])


def test_a_row_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="row 3 has 2 cells"):
        list(threats.rows("| 3 | something |"))
