"""Is this pod where it may be? Judged by the node it is on, never by what its spec asks for."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from sovereign.api.schema import seconds
from sovereign.plan.governance import Governance
from sovereign.plan.inventory import Node, Policy
from sovereign.plan.placement import rejection

FINISHED: Final = ("Succeeded", "Failed")


class Placed(Protocol):
    """What is judged of a pod."""

    @property
    def node(self) -> str:
        """Name of the node it is bound to, or nothing."""

    @property
    def phase(self) -> str:
        """Phase of its status."""


@dataclass(frozen=True)
class Violation:
    """A pod on a node that a policy of its namespace does not approve."""

    policies: tuple[str, ...]
    """The policies that do not approve it."""
    rule: str
    message: str
    repair: bool
    """Whether one of these policies is enforced and wants it removed."""
    enforced: bool
    """Whether one of these policies is enforced, so that it leaves the endpoints."""
    grace_seconds: int
    """How long it may take to be gone: the shortest of the policies that want it removed."""


def judge(
    pod: Placed, node: Node | None, governance: Governance, approved: Mapping[str, Collection[str]]
) -> Violation | None:
    """What is wrong with where ``pod`` is; None when nothing is, when it has ended, or when it is nowhere yet.

    ``node`` is None when there is no such node: an unknown is never a pass. ``approved`` are the approved nodes by policy.
    """
    if not pod.node or pod.phase in FINISHED:
        return None
    against = [policy for policy in governance.policies if pod.node not in approved.get(policy.name, ())]
    if not against:
        return None
    verdict = rejection(node, against[0]) if node is not None else None
    enforced = [policy for policy in against if policy.spec.enforcement == "Enforce"]
    evicting = [policy for policy in enforced if policy.spec.on_violation.action == "Evict"]
    return Violation(
        policies=tuple(policy.name for policy in against),
        rule=verdict.rule if verdict else "placement",
        message=_message(pod.node, node, against[0], verdict.message if verdict else ""),
        repair=bool(evicting),
        enforced=bool(enforced),
        grace_seconds=min((seconds(policy.spec.on_violation.grace_period) for policy in evicting), default=0),
    )


def _message(name: str, node: Node | None, policy: Policy, why: str) -> str:
    if node is None:
        return f"node {name} does not exist, so policy {policy.name} does not approve it"
    return f"node {name} is not approved by policy {policy.name}: {why or 'its approval is not in force yet'}"
