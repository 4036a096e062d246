"""What a policy does not admit and is there: judged anew from a cluster's pods, so that all is shown, and before anything moves."""

from sovereign.cli.answers import Answer
from sovereign.cli.planning import governance_of
from sovereign.cli.snapshot import Snapshot
from sovereign.plan.placement import approved
from sovereign.residency.findings import Finding, shown, workload_of
from sovereign.residency.verdicts import judge


class Violating(Answer, frozen=True):
    """Pods of a workload that break one rule of a policy."""

    kind: str
    namespace: str
    name: str
    rule: str
    count: int
    message: str
    step: str
    """What comes of it, or came of it as far as the policy's status says."""


def violating(snapshot: Snapshot, policy: str) -> tuple[Violating, ...] | None:
    """All that breaks ``policy``; None when pods were not read.

    Which node agents the installation names is not known here, so that dedicated nodes may show them.
    """
    if snapshot.pods is None:
        return None
    nodes = {node.name: node for node in snapshot.nodes or ()}
    lawful = {one.name: approved(nodes.values(), one) for one in snapshot.policies}
    dedicating = [one for one in snapshot.policies if one.spec.placement.dedicated]
    governances = {
        namespace: governance_of(snapshot, namespace) for namespace in {pod.namespace for pod in snapshot.pods}
    }
    findings = []
    for pod in snapshot.pods:
        found = judge(pod, nodes.get(pod.node), governances[pod.namespace], lawful, dedicating, snapshot.settings)
        findings.append(Finding(workload_of(pod.namespace, pod.name, pod.workload), pod.name, found))
    steps = _steps(snapshot, policy)
    entries = [one.to_dict() for one in shown(policy, findings)]
    return tuple(Violating(**{**entry, "step": steps.get(_place(entry), entry["step"])}) for entry in entries)


def _steps(snapshot: Snapshot, policy: str) -> dict[tuple[str, ...], str]:
    """What repair has come to, by what the policy's status shows."""
    status = snapshot.statuses.get(("SovereigntyPolicy", "", policy), {})
    told = (status.get("violations") or {}).get("workloads") or ()
    return {_place(entry): entry["step"] for entry in told if entry.get("step")}


def _place(entry: dict[str, str]) -> tuple[str, ...]:
    return tuple(entry.get(field, "") for field in ("kind", "namespace", "name", "rule"))
