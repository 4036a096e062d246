"""What is wrong now, counted and shown by workload."""

from sovereign.api.conditions import Reason
from sovereign.residency.findings import Findings, Step, Workload, workload_of
from sovereign.residency.verdicts import Violation

WEB = Workload("gov", "web", "Deployment")


def violation(policy: str = "eu", rule: str = "placement", **fields: object) -> Violation:
    known = {"enforced": True, "action": "Evict"} | fields
    return Violation(policy, Reason.UNLAWFUL_PLACEMENT, rule, f"{rule} of {policy}", **known)  # type: ignore[arg-type]


def test_objects_are_counted_once_for_each_policy_and_shown_by_workload_and_rule() -> None:
    findings = Findings()
    findings.put("u2", WEB, "web-2", (violation(), violation(rule="pods.volumes")))
    findings.put("u1", WEB, "web-1", (violation(), violation("other")))
    findings.put("u3", Workload("a", "claim", "PersistentVolumeClaim"), "claim", (violation(),))
    assert (findings.count("eu"), findings.count("other"), findings.count("none")) == (3, 1, 0)
    shown = [(*one.workload, one.rule, one.objects) for one in findings.workloads("eu")]
    assert shown == [
        ("a", "claim", "PersistentVolumeClaim", "placement", 1),
        ("gov", "web", "Deployment", "placement", 2),
        ("gov", "web", "Deployment", "pods.volumes", 1),
    ]


def test_what_is_new_is_noticed_once() -> None:
    findings = Findings()
    assert findings.put("u", WEB, "web-1", (violation(),))
    assert not findings.put("u", WEB, "web-1", (violation(),))
    assert findings.put("u", WEB, "web-1", (violation(), violation("other")))
    assert findings.put("u", WEB, "web-1", ())
    assert not findings.put("u", WEB, "web-1", ())
    assert findings.put("u", WEB, "web-1", (violation(),))
    assert findings.noticed == {"eu": 2, "other": 1}
    assert findings.drop("u")
    assert not findings.drop("u")
    assert len(findings) == 0


def test_the_gravest_step_of_a_workload_is_shown() -> None:
    findings = Findings()
    for name in ("web-1", "web-2", "web-3"):
        findings.put(name, WEB, name, (violation(),))
    assert findings.advance("web-1", Step.WAITING)
    assert not findings.advance("web-1", Step.WAITING)
    findings.advance("web-3", Step.REPAIR_BLOCKED, "finalizers a/b")
    (shown,) = findings.workloads("eu")
    assert shown.step is Step.REPAIR_BLOCKED
    findings.put("web-3", WEB, "web-3", (violation(), violation("other")))
    (shown,) = findings.workloads("other")
    assert (shown.step, shown.message) == (Step.REPAIR_BLOCKED, "placement of other; finalizers a/b"), "steps are kept"


def test_what_nobody_acts_upon_says_so() -> None:
    findings = Findings()
    findings.put("u", WEB, "web-1", (violation(enforced=False), violation("other", action="Report")))
    findings.advance("u", Step.REPAIR_BLOCKED, "stale")
    (audit,), (report,) = findings.workloads("eu"), findings.workloads("other")
    assert (audit.step, audit.message) == (Step.WOULD_EVICT, "placement of eu")
    assert report.step is Step.REPORTED


def test_a_pod_belongs_to_its_deployment_or_stands_for_itself() -> None:
    assert workload_of("gov", "web-1", "Deployment/web") == WEB
    assert workload_of("gov", "alone", "") == Workload("gov", "alone", "Pod")
