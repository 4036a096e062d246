"""Is this pod where it may be, and as it may be? Judged by the node it is on and by what it is, never by what its affinity asks for."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, Protocol

from sovereign.api.conditions import Reason
from sovereign.api.schema import seconds
from sovereign.plan import images
from sovereign.plan.governance import Governance, image_verdict
from sovereign.plan.inventory import Node, Policy, Settings
from sovereign.plan.placement import rejection
from sovereign.residency import pod_spec

FINISHED: Final = ("Succeeded", "Failed")
DEDICATED: Final = "placement.dedicated"
RUNNING_IMAGE: Final = "images.running"

Action = Literal["Evict", "ScaleToZero", "Report"]


class Controller(Protocol):
    """What is looked at of a pod's controller."""

    @property
    def kind(self) -> str:
        """Its kind."""

    @property
    def name(self) -> str:
        """Its name."""


class Placed(Protocol):
    """What is judged of a pod."""

    @property
    def namespace(self) -> str:
        """Its namespace."""

    @property
    def node(self) -> str:
        """Name of the node it is bound to, or nothing."""

    @property
    def phase(self) -> str:
        """Phase of its status."""

    @property
    def mirror(self) -> bool:
        """Whether it stands for a static pod."""

    @property
    def owner(self) -> Controller | None:
        """Its controller."""

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with its spec (`pod_spec.problems`)."""

    @property
    def images(self) -> tuple[str, ...]:
        """The images that it names."""

    @property
    def mismatches(self) -> tuple[str, ...]:
        """Containers that run another image than they name (`running.mismatches`)."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule of one policy that something breaks."""

    policy: str
    reason: Reason
    rule: str
    """Path of the policy's field, or ``pods.`` and the name of one of the rules on pods."""
    message: str
    enforced: bool = False
    """Whether the policy does something about it: the pod leaves the endpoints. If not, it is only told."""
    action: Action = "Report"
    """What the policy asks for: in Audit it is not done."""
    grace_seconds: int = 0
    """How long it may take to be gone."""
    limit: int = 1
    """How many removals this policy has at once."""

    @property
    def removes(self) -> bool:
        """Whether the policy wants it removed."""
        return self.enforced and self.action != "Report"


def judge(
    pod: Placed,
    node: Node | None,
    governance: Governance,
    approved: Mapping[str, Collection[str]],
    dedicating: Sequence[Policy] = (),
    settings: Settings | None = None,
) -> tuple[Violation, ...]:
    """What is wrong with ``pod``, the place first; nothing when it has ended.

    Args:
        pod: the pod.
        node: the node it is on; None when there is no such node, which is never a pass.
        governance: the policies of its namespace.
        approved: names of the approved nodes by policy.
        dedicating: all policies whose approved nodes are for governed pods alone.
        settings: names what such nodes take besides.
    """
    if pod.phase in FINISHED:
        return ()
    found: list[Violation] = []
    for policy in governance.policies:
        if pod.node and pod.node not in approved.get(policy.name, ()):
            found.append(_misplaced(pod, node, policy))
        found.extend(_unlawful(pod, policy))
    if pod.node and dedicating:
        using = settings or Settings()
        hosts = (policy for policy in dedicating if pod.node in approved.get(policy.name, ()))
        found.extend(_on_dedicated(pod, policy) for policy in hosts if _stranger(pod, policy, governance, using))
    return tuple(sorted(found, key=_order)) if len(found) > 1 else tuple(found)


_ORDER: Final = (Reason.UNLAWFUL_PLACEMENT, Reason.DEDICATED_NODE, Reason.UNLAWFUL_POD, Reason.IMAGE_MISMATCH)


def _order(violation: Violation) -> tuple[bool, bool, int]:
    return (not violation.removes, not violation.enforced, _ORDER.index(violation.reason))


# --- the place ------------------------------------------------------------------------------------------


def _misplaced(pod: Placed, node: Node | None, policy: Policy) -> Violation:
    verdict = rejection(node, policy) if node is not None else None
    if node is None:
        message = f"node {pod.node} does not exist, so policy {policy.name} does not approve it"
    else:
        why = verdict.message if verdict else "its approval is not in force yet"
        message = f"node {pod.node} is not approved by policy {policy.name}: {why}"
    return violation(policy, Reason.UNLAWFUL_PLACEMENT, verdict.rule if verdict else "placement", message)


def _stranger(pod: Placed, policy: Policy, governance: Governance, settings: Settings) -> bool:
    if pod.mirror or policy.name in governance.names or pod.namespace in settings.ungoverned_namespaces:
        return False
    owner = pod.owner
    agent = owner is not None and owner.kind == "DaemonSet" and f"{pod.namespace}/{owner.name}" in settings.node_agents
    return not agent


def _on_dedicated(pod: Placed, policy: Policy) -> Violation:
    message = (
        f"node {pod.node} takes only pods of the namespaces that policy {policy.name} governs; have it scheduled elsewhere, or name its "
        "DaemonSet among the installation's node agents"
    )
    return violation(policy, Reason.DEDICATED_NODE, DEDICATED, message)


# --- the pod itself -------------------------------------------------------------------------------------


def _unlawful(pod: Placed, policy: Policy) -> Iterator[Violation]:
    for problem in pod.problems:
        rule, text = pod_spec.message(problem)
        yield violation(policy, Reason.UNLAWFUL_POD, f"pods.{rule}", f"policy {policy.name}: {text}")
    registries = tuple(policy.spec.images.registries)
    for image in pod.images:
        if not _admitted(image, registries, policy.spec.images.require_digest):
            verdict = image_verdict(policy, image)
            yield violation(policy, Reason.UNLAWFUL_POD, verdict.rule, verdict.message)
    for mismatch in pod.mismatches:
        message = f"policy {policy.name}: {mismatch}"
        # Registries and runtimes differ in which of an image's digests they tell, so that this is told and nothing is done.
        yield Violation(policy.name, Reason.IMAGE_MISMATCH, RUNNING_IMAGE, message)


@lru_cache(maxsize=4096)
def _admitted(image: str, registries: tuple[str, ...], by_digest: bool) -> bool:
    """Whether an image may run: many pods name the same few."""
    within = images.within(image, registries) if registries else images.well_formed(image)
    return within and (images.pinned(image) or not by_digest)


def violation(policy: Policy, reason: Reason, rule: str, message: str) -> Violation:
    """A violation of ``policy``, with what the policy wants done about it."""
    asked = policy.spec.on_violation
    return Violation(
        policy.name,
        reason,
        rule,
        message,
        enforced=policy.spec.enforcement == "Enforce",
        action=asked.action,
        grace_seconds=seconds(asked.grace_period),
        limit=asked.max_concurrent,
    )


# --- what is to be done ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Remedy:
    """What the policies ask to be done about one pod, taken together."""

    first: Violation
    """The gravest, which is told."""
    more: int
    """How many others there are."""
    enforced: bool
    """Whether it leaves the endpoints."""
    repair: bool
    """Whether it is to be removed."""
    grace_seconds: int
    """How long that may take: the shortest of the policies that ask for it."""
    limits: tuple[tuple[str, int], ...]
    """The policies that want it removed, and how many removals each has at once."""
    stop: Violation | None
    """Why its pool is to be stopped, where that is asked."""

    @property
    def message(self) -> str:
        """What is wrong, in words."""
        return f"{self.first.message} (and {self.more} more)" if self.more else self.first.message


def remedy(violations: Sequence[Violation]) -> Remedy:
    """What is to be done about a pod with ``violations``, as `judge` orders them: at least one."""
    removing = [one for one in violations if one.removes]
    return Remedy(
        first=violations[0],
        more=len(violations) - 1,
        enforced=any(one.enforced for one in violations),
        repair=bool(removing),
        grace_seconds=min((one.grace_seconds for one in removing), default=0),
        limits=tuple({one.policy: one.limit for one in removing}.items()),
        stop=next((one for one in removing if one.action == "ScaleToZero"), None),
    )
