"""What is read out of ginkgo's reports: of two real runs, cut to the fields that count, and of what could be wrong with them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed import TestbedError
from testbed.conformance import report

REPORTS = Path(__file__).parent / "reports"
DENY, ALLOW = "default-deny-ingress", "support allow-all"


def changed(tmp_path: Path, plugin: str, change: Callable[[dict[str, Any]], None]) -> report.Outcome:
    """The outcome of a run that differs from the real one."""
    (suite,) = json.loads((REPORTS / f"{plugin}.json").read_text())
    change(suite)
    file = tmp_path / "report.json"
    file.write_text(json.dumps([suite]))
    return report.read(file)


def each(text: str, **fields: Any) -> Callable[[dict[str, Any]], None]:
    """Set fields of all tests whose names have this text."""

    def change(suite: dict[str, Any]) -> None:
        for spec in suite["SpecReports"]:
            if text in spec["LeafNodeText"]:
                spec.update(fields)

    return change


def without(text: str) -> Callable[[dict[str, Any]], None]:
    """Leave out all tests whose names have this text."""

    def change(suite: dict[str, Any]) -> None:
        suite["SpecReports"] = [spec for spec in suite["SpecReports"] if text not in spec["LeafNodeText"]]

    return change


def cut_short(suite: dict[str, Any]) -> None:
    suite["SpecialSuiteFailureReasons"] = ["Suite Timeout Elapsed"]


def broken_set_up(suite: dict[str, Any]) -> None:
    failure = {"Message": "no cluster"}
    suite["SpecReports"].append(
        {
            "ContainerHierarchyTexts": None,
            "LeafNodeType": "BeforeSuite",
            "LeafNodeText": "",
            "State": "failed",
            "RunTime": 0,
            "Failure": failure,
        }
    )


def test_a_plugin_that_enforces_passes_all_but_what_needs_sctp() -> None:
    outcome = report.read(REPORTS / "calico.json")
    assert (len(outcome.passed), len(outcome.failed), outcome.skipped) == (47, 0, 3)
    assert outcome.seconds == pytest.approx(sum(test.seconds for test in outcome.tests), abs=5)
    assert report.enforces(outcome).ok
    assert not report.enforces_nothing(outcome).ok


def test_a_plugin_that_does_not_know_network_policy_fails_the_default_deny_alone() -> None:
    outcome = report.read(REPORTS / "bridge.json")
    assert [DENY in test.name for test in outcome.failed] == [True, True]
    assert [ALLOW in test.name for test in outcome.passed] == [True]
    assert report.enforces_nothing(outcome).ok
    assert not report.enforces(outcome, more_than=0).ok


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (each("named port", State="failed", Failure={"Message": "..."}), "failed: [sig-network] Netpol"),
        (each("named port", State="panicked", Failure={"Message": "..."}), "failed: "),
        (each("policy", State="skipped"), "too few tests were run"),
        (without(""), "too few tests were run: 0"),
        (cut_short, "Suite Timeout Elapsed"),
        (broken_set_up, "failed: BeforeSuite"),
    ],
)
def test_anything_else_is_not_enforcement(tmp_path: Path, change: Callable[[dict[str, Any]], None], says: str) -> None:
    verdict = report.enforces(changed(tmp_path, "calico", change))
    assert not verdict.ok
    assert says in verdict.reason


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (each(DENY, State="passed"), "it enforces, or nothing was tried"),
        (each(DENY, State="skipped"), "no default-deny test was run"),
        (without(DENY), "no default-deny test was run"),
        (without(ALLOW), "no allow-all test was run"),
        (
            each(DENY, Failure={"Message": "unable to wait for pod x/a"}),
            "fails for a reason of its own: unable to wait",
        ),
        (each(ALLOW, State="failed"), "pods do not reach each other"),
        (cut_short, "Suite Timeout Elapsed"),
    ],
)
def test_a_failed_deny_must_mean_that_connections_passed(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], says: str
) -> None:
    verdict = report.enforces_nothing(changed(tmp_path, "bridge", change))
    assert not verdict.ok
    assert says in verdict.reason


@pytest.mark.parametrize("content", ["", "[]", "[{}]", "[{}, {}]", '[{"SpecReports": [{}]}]', "3"])
def test_what_is_no_report_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "report.json"
    file.write_text(content)
    with pytest.raises(TestbedError, match=r"report\.json is not a report"):
        report.read(file)
    with pytest.raises(TestbedError, match="is not a report"):
        report.read(tmp_path / "missing.json")
