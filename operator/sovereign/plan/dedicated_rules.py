"""Nodes that a policy dedicates to the namespaces it governs: nobody else's pods, beside the installation's own.

The judge of a Binding sees no more of a pod than its name, so the pods of node agents are known there by the name that
their DaemonSet gives them: whoever makes pods in a namespace of ``nodeAgents`` is trusted with that.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from sovereign.plan.approval import BINDINGS, PODS, Shard
from sovereign.plan.cel import Cel, all_of, any_of, code, quote, sentence, strings, variable
from sovereign.plan.inventory import Policy, Settings
from sovereign.plan.rules import Rules, Validation
from sovereign.plan.selectors import NAMESPACE_LABELS, governs

_NAMESPACE: Final = code("request.namespace")
_DAEMON_SETS: Final = strings(
    ["system:kube-controller-manager", "system:serviceaccount:kube-system:daemon-set-controller"]
)
"""Who makes the pods of DaemonSets."""
_OWNER: Final = code("o.kind == 'DaemonSet' && o.apiVersion.startsWith('apps/') && o.?controller.orValue(false)")


def dedicated_rules(policy: Policy, shards: Iterable[Shard], settings: Settings) -> Iterator[Rules]:
    """The rules about pods of other namespaces on approved nodes; none where the policy does not dedicate them."""
    if not policy.spec.placement.dedicated:
        return
    target, own = code("object.target.?name.orValue('')"), code("object.spec.?nodeName.orValue('')")
    elsewhere = ("elsewhere", ~_NAMESPACE.within(strings(settings.ungoverned_namespaces)))
    named = ("names-a-node", ~own.equals(quote("")))
    for shard in shards:
        yield Rules(
            f"dedicatedbinding{shard.suffix}",
            (BINDINGS,),
            (_kept(policy, shard, _bound_agent(settings)),),
            _variables(policy, shard.names(target), settings),
            (elsewhere,),
            everywhere=True,
        )
        yield Rules(
            f"dedicatednodename{shard.suffix}",
            (PODS,),
            (_kept(policy, shard, _made_agent(settings)),),
            _variables(policy, shard.names(own), settings),
            (elsewhere, named),
            everywhere=True,
        )


def _kept(policy: Policy, shard: Shard, agent: Cel) -> Validation:
    advice = (
        " is dedicated to the namespaces that the policy governs; let the pod run on another node (taint dedicated nodes, so that "
        "the scheduler looks elsewhere first), or name its DaemonSet in nodeAgents of the chart"
    )
    whose = f"policy {policy.name}: "
    return Validation(
        variable("governed") | agent | ~shard.listed,
        f"{whose}the node{advice}",
        sentence(f"{whose}node ", variable("node"), advice),
    )


def _variables(policy: Policy, names: tuple[tuple[str, Cel], ...], settings: Settings) -> tuple[tuple[str, Cel], ...]:
    governed = governs(policy, settings, variable("labels"))
    return (("labels", NAMESPACE_LABELS), ("governed", governed), *names)


def _agents(settings: Settings) -> Iterator[tuple[str, str]]:
    """Namespace and name of each DaemonSet."""
    for agent in sorted(settings.node_agents):
        namespace, _, name = agent.partition("/")
        yield namespace, name


def _bound_agent(settings: Settings) -> Cel:
    pod = code("object.metadata.?name.orValue('')")
    return any_of(
        _NAMESPACE.equals(quote(namespace)) & pod.starts_with(quote(f"{name}-"))
        for namespace, name in _agents(settings)
    )


def _made_agent(settings: Settings) -> Cel:
    """By its owner, which only the DaemonSets' controller is believed about."""
    by_controller = code("request.userInfo.username").within(_DAEMON_SETS)
    owners = code("object.metadata.?ownerReferences.orValue([])")
    one_of_them = any_of(
        _NAMESPACE.equals(quote(namespace)) & code("o.name").equals(quote(name))
        for namespace, name in _agents(settings)
    )
    return by_controller & owners.some("o", all_of([_OWNER, one_of_them]))
