"""What ginkgo's JSON report says, and whether it is what the network plugin is there for. No cluster."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError

MORE_THAN = 40
"""A whole run has more tests than this: fewer, and the suite or its skip pattern is not what it was."""

_DENY = "'default-deny-ingress' policy"
_ALLOW = "should support allow-all policy"
_PASSED_PACKETS = "wrong results in reachability matrix"
"""How the suite says that pods reached each other, or did not, against the policy; it has seen them reach each other before."""
_SKIPPED = ("skipped", "pending")


@dataclass(frozen=True)
class Test:
    """One test that was run."""

    __test__ = False  # the name starts like a test class; pytest must not collect it

    name: str
    state: str
    seconds: float
    message: str = ""  # why it failed

    @property
    def passed(self) -> bool:
        """Whether it ended as it should."""
        return self.state == "passed"


@dataclass(frozen=True)
class Outcome:
    """One run of the suite."""

    tests: tuple[Test, ...]  # those that were run
    skipped: int
    seconds: float
    cut_short: tuple[str, ...] = ()  # why the suite did not come to its end

    @property
    def passed(self) -> list[Test]:
        """The tests that passed."""
        return [test for test in self.tests if test.passed]

    @property
    def failed(self) -> list[Test]:
        """The tests that failed, in whatever way."""
        return [test for test in self.tests if not test.passed]


@dataclass(frozen=True)
class Verdict:
    """Whether the plugin does what the test bed says of it, and the figures or the first reason why not."""

    ok: bool
    reason: str


def read(path: Path) -> Outcome:
    """The outcome in a file that ``--ginkgo.json-report`` wrote.

    Raises:
        TestbedError: there is no such report, or it is not one.
    """
    try:
        (suite,) = json.loads(path.read_text())
        nodes = [node for node in suite["SpecReports"] or () if node["LeafNodeType"] == "It" or _fault(node)]
        ran = tuple(_test(node) for node in nodes if node["State"] not in _SKIPPED)
        reasons = tuple(suite["SpecialSuiteFailureReasons"] or ())
        return Outcome(ran, len(nodes) - len(ran), _seconds(suite), reasons)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TestbedError(f"{path} is not a report of a suite that ended: {error!r}") from error


def enforces(outcome: Outcome, more_than: int = MORE_THAN) -> Verdict:
    """Of a plugin that is to enforce NetworkPolicy: all tests pass, and there are more than `more_than`."""
    if outcome.cut_short:
        return Verdict(False, f"the suite did not come to its end: {'; '.join(outcome.cut_short)}")
    if outcome.failed:
        return Verdict(False, f"failed: {'; '.join(test.name for test in outcome.failed)}")
    if len(outcome.tests) <= more_than:
        return Verdict(
            False, f"too few tests were run: {len(outcome.tests)}, and there should be more than {more_than}"
        )
    return Verdict(True, "it enforces NetworkPolicy: all tests that were run pass")


def enforces_nothing(outcome: Outcome) -> Verdict:
    """Of a plugin that does not know NetworkPolicy: connections pass a default-deny, where pods reach each other at all."""
    if outcome.cut_short:
        return Verdict(False, f"the suite did not come to its end: {'; '.join(outcome.cut_short)}")
    denied, allowed = _called(outcome, _DENY), _called(outcome, _ALLOW)
    if not denied or not allowed:
        missing = "default-deny" if not denied else "allow-all"
        return Verdict(False, f"no {missing} test was run: --focus leaves it out, or upstream calls it something else")
    if passing := [test for test in denied if test.passed]:
        return Verdict(False, f"it enforces, or nothing was tried: {passing[0].name} passes")
    if broken := [test for test in denied if _PASSED_PACKETS not in test.message]:
        return Verdict(False, f"{broken[0].name} fails for a reason of its own: {broken[0].message.strip()[:500]}")
    if broken := [test for test in allowed if not test.passed]:
        return Verdict(False, f"pods do not reach each other, so that a failure says nothing: {broken[0].name} fails")
    return Verdict(
        True, "it enforces nothing: the default-deny tests fail, as they must, and the allow-all test passes"
    )


def _called(outcome: Outcome, text: str) -> list[Test]:
    return [test for test in outcome.tests if text in test.name]


def _fault(node: dict[str, Any]) -> bool:
    """Whether something around the tests went wrong, such as a set-up of the whole suite."""
    return node["State"] not in ("passed", *_SKIPPED)


def _test(node: dict[str, Any]) -> Test:
    name = " ".join([*(node["ContainerHierarchyTexts"] or ()), node["LeafNodeText"] or node["LeafNodeType"]])
    return Test(name, node["State"], _seconds(node), node.get("Failure", {}).get("Message", ""))


def _seconds(node: dict[str, Any]) -> float:
    return round(float(node["RunTime"]) / 1e9, 1)  # Go's time.Duration
