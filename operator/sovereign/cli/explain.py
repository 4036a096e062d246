"""Why: which rule rejects which node, and what an object's conditions ask for."""

import difflib
from collections.abc import Iterable
from typing import Any

from sovereign.api.meta import approved_label
from sovereign.cli.answers import Answer, PolicyAnswer, PoolAnswer, gpus_of, plan_answer
from sovereign.cli.candidates import against
from sovereign.cli.failure import CommandFailed
from sovereign.cli.planning import Planned, plan_all
from sovereign.cli.reasons import meanings
from sovereign.cli.snapshot import Snapshot
from sovereign.cli.violations import Violating, violating
from sovereign.plan.inventory import Node
from sovereign.plan.placement import contradiction, judge, rejection


class Rule(Answer, frozen=True):
    """One rule about one node."""

    rule: str
    ok: bool
    message: str


class PolicyOnNode(Answer, frozen=True):
    """What a policy says of a node."""

    policy: str
    approved: bool
    labelled: bool
    """Whether the node carries the policy's approved label."""
    rules: tuple[Rule, ...]


class PoolOnNode(Answer, frozen=True):
    """Whether a pool's replicas could run on a node."""

    namespace: str
    name: str
    ok: bool
    rule: str
    message: str


class NodeExplained(Answer, frozen=True):
    """A node: its facts, what policies say of it, which pools could use it."""

    node: str
    jurisdiction: str
    region: str
    provider: str
    unschedulable: bool
    warnings: tuple[str, ...]
    policies: tuple[PolicyOnNode, ...]
    pools: tuple[PoolOnNode, ...]


class Condition(Answer, frozen=True):
    """A condition, with what its reason means."""

    type: str
    status: str
    reason: str
    message: str
    meaning: str


class PolicyExplained(Answer, frozen=True):
    """A policy, node by node, and what it does not admit and is there."""

    policy: PolicyAnswer
    violations: tuple[Violating, ...] | None
    """All of them; None when pods were not read."""
    conditions: tuple[Condition, ...]


class NodeForPool(Answer, frozen=True):
    """Whether a node could take a replica."""

    node: str
    jurisdiction: str
    region: str
    ok: bool
    rule: str
    message: str


class PoolExplained(Answer, frozen=True):
    """A pool, node by node."""

    pool: PoolAnswer
    nodes: tuple[NodeForPool, ...]
    conditions: tuple[Condition, ...]


def node(snapshot: Snapshot, name: str) -> NodeExplained:
    """Explain one node.

    Raises:
        CommandFailed: there is none of this name.
    """
    nodes = {node.name: node for node in _nodes(snapshot)}
    if name not in nodes:
        raise _missing("node", name, nodes)
    found = nodes[name]
    policies = sorted(snapshot.policies, key=lambda policy: policy.name)
    return NodeExplained(
        node=name,
        jurisdiction=found.jurisdiction,
        region=found.region,
        provider=found.provider,
        unschedulable=found.unschedulable,
        warnings=(warning,) if (warning := contradiction(found)) else (),
        policies=tuple(
            PolicyOnNode(
                policy=policy.name,
                approved=rejection(found, policy) is None,
                labelled=found.labels.get(approved_label(policy.name)) == "true",
                rules=tuple(Rule(verdict.rule, verdict.ok, verdict.message) for verdict in judge(found, policy)),
            )
            for policy in policies
        ),
        pools=tuple(_pools_on(plan_all(snapshot), found)),
    )


def _pools_on(planned: Planned, found: Node) -> Iterable[PoolOnNode]:
    for item in planned.pools:
        verdict = against(found, item, gpus_of(item))
        owner = item.pool.owner
        yield PoolOnNode(
            owner.namespace,
            owner.name,
            verdict is None,
            verdict.rule if verdict else "",
            verdict.message if verdict else "",
        )


def policy(snapshot: Snapshot, name: str) -> PolicyExplained:
    """Explain one policy.

    Raises:
        CommandFailed: there is none of this name, or it cannot be understood.
    """
    _check_understood(snapshot, "SovereigntyPolicy", "", name)
    answer = {item.name: item for item in plan_answer(plan_all(snapshot)).policies}
    if name not in answer:
        raise _missing("SovereigntyPolicy", name, answer)
    violations = violating(snapshot, name)
    return PolicyExplained(answer[name], violations, _conditions(snapshot, "SovereigntyPolicy", "", name))


def pool(snapshot: Snapshot, namespace: str, name: str) -> PoolExplained:
    """Explain one pool.

    Raises:
        CommandFailed: there is none of this name, or it cannot be understood.
    """
    _check_understood(snapshot, "InferencePool", namespace, name)
    planned = plan_all(snapshot)
    items = {item.pool.owner.name: item for item in planned.pools if item.pool.owner.namespace == namespace}
    if name not in items:
        elsewhere = [item.pool.owner.namespace for item in planned.pools if item.pool.owner.name == name]
        hint = f"; there is one in namespace {', '.join(elsewhere)} (-n)" if elsewhere else ""
        raise _missing("InferencePool", name, items, f" in namespace {namespace}{hint}")
    item = items[name]
    (answer,) = [entry for entry in plan_answer(planned).pools if (entry.namespace, entry.name) == (namespace, name)]
    nodes = []
    for found in sorted(snapshot.nodes or [], key=lambda node: node.name):
        verdict = against(found, item, gpus_of(item))
        rule, message = (verdict.rule, verdict.message) if verdict else ("", "")
        nodes.append(NodeForPool(found.name, found.jurisdiction, found.region, verdict is None, rule, message))
    return PoolExplained(answer, tuple(nodes), _conditions(snapshot, "InferencePool", namespace, name))


def _nodes(snapshot: Snapshot) -> list[Node]:
    if snapshot.nodes is None:
        raise CommandFailed("no nodes were given; use --nodes with what `kubectl get nodes -o json` prints")
    return snapshot.nodes


def _check_understood(snapshot: Snapshot, kind: str, namespace: str, name: str) -> None:
    problem = snapshot.invalid.get((kind, namespace, name))
    if problem is not None:
        raise CommandFailed(f"{kind} {name} cannot be understood: {problem}")


def _missing(kind: str, name: str, known: Iterable[str], where: str = "") -> CommandFailed:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    advice = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names[:10]) or 'none'}"
    return CommandFailed(f"there is no {kind} {name}{where}; {advice}")


def _conditions(snapshot: Snapshot, kind: str, namespace: str, name: str) -> tuple[Condition, ...]:
    status: dict[str, Any] = snapshot.statuses.get((kind, namespace, name), {})
    return tuple(
        Condition(
            entry.get("type", ""),
            entry.get("status", ""),
            entry.get("reason", ""),
            entry.get("message", ""),
            meanings().get(entry.get("reason", ""), ""),
        )
        for entry in status.get("conditions") or ()
    )
