"""Nodes that a policy dedicates to the namespaces it governs: nobody else's pods, beside the installation's own.

The judge of a Binding sees no more of a pod than its name, so the pods of node agents are known there by the name that
their DaemonSet gives them: whoever makes pods in a namespace of ``nodeAgents`` is trusted with that.

A scheduler that is refused tries the same node again: the emptiest, which a dedicated node may well be. So that it looks
elsewhere at once, strangers' pods get a required node affinity, where the API server can (`keep_off`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from sovereign.api.meta import approved_label
from sovereign.plan import canary_requests
from sovereign.plan.approval import BINDINGS, PODS, Shard
from sovereign.plan.cel import Cel, all_of, any_of, choose, code, integers, quote, sentence, strings, variable
from sovereign.plan.inventory import Policy, Settings
from sovereign.plan.rules import Rules, Validation
from sovereign.plan.selectors import NAMESPACE_LABELS, governs

_NAMESPACE: Final = code("request.namespace")
_DAEMON_SETS: Final = strings(
    ["system:kube-controller-manager", "system:serviceaccount:kube-system:daemon-set-controller"]
)
"""Who makes the pods of DaemonSets."""
_TERMS: Final = 32
"""OR-ed terms of a pod's affinity that are looked at; the scheduler is refused where a pod has more."""
_OWNER: Final = code("o.kind == 'DaemonSet' && o.apiVersion.startsWith('apps/') && o.?controller.orValue(false)")


def dedicated_rules(policy: Policy, shards: Iterable[Shard], settings: Settings) -> Iterator[Rules]:
    """The rules about pods of other namespaces on approved nodes; none where the policy does not dedicate them."""
    if not policy.spec.placement.dedicated:
        return
    target, own = code("object.target.?name.orValue('')"), code("object.spec.?nodeName.orValue('')")
    elsewhere = _elsewhere(settings)
    named = ("names-a-node", ~own.equals(quote("")))
    for shard in shards:
        yield Rules(
            f"dedicatedbinding{shard.suffix}",
            (BINDINGS,),
            (_kept(policy, shard, _bound_agent(settings)),),
            _variables(policy, shard.names(target), settings),
            (elsewhere,),
            everywhere=True,
            canary=canary_requests.dedicated_binding(shard.example),
        )
        yield Rules(
            f"dedicatednodename{shard.suffix}",
            (PODS,),
            (_kept(policy, shard, _made_agent(settings)),),
            _variables(policy, shard.names(own), settings),
            (elsewhere, named),
            everywhere=True,
            canary=canary_requests.dedicated_node_name(policy, shard.example),
        )


@dataclass(frozen=True)
class Affinity:
    """What keeps strangers' pods off dedicated nodes, for a MutatingAdmissionPolicy."""

    variables: tuple[tuple[str, Cel], ...]
    conditions: tuple[tuple[str, Cel], ...]
    patches: Cel
    """A list of JSONPatch."""


def keep_off(policy: Policy, settings: Settings) -> Affinity:
    """A requirement that nodes lack the approved label, in each of the OR-ed terms of a pod's own affinity."""
    stranger = ~(variable("governed") | _made_agent(settings))
    lacks = code("{'key': %s, 'operator': 'DoesNotExist'}").filled(quote(approved_label(policy.name)))
    terms = code("[{'matchExpressions': [%s]}]").filled(lacks)
    required = code("{'requiredDuringSchedulingIgnoredDuringExecution': {'nodeSelectorTerms': %s}}").filled(terms)
    whole = code("[JSONPatch{op: 'add', path: '/spec/affinity', value: {'nodeAffinity': %s}}]").filled(required)
    of_nodes = code("[JSONPatch{op: 'add', path: '/spec/affinity/nodeAffinity', value: %s}]").filled(required)
    first = code(
        "[JSONPatch{op: 'add', path: '/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution', "
        "value: {'nodeSelectorTerms': %s}}]"
    ).filled(terms)
    each = code("variables.open.map(i, %s)").filled(_into_term(lacks))
    patches = choose(
        code("!has(object.spec.affinity)"),
        whole,
        choose(
            code("!has(object.spec.affinity.nodeAffinity)"),
            of_nodes,
            choose(
                code("!has(object.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution)"),
                first,
                each,
            ),
        ),
    )
    # A term that asks for nothing selects nothing, and must go on to do so.
    unsaid = code(
        "(has(variables.terms[i].matchExpressions) || has(variables.terms[i].matchFields)) && "
        "!variables.terms[i].?matchExpressions.orValue([]).exists(e, e.key == %s && e.operator == 'DoesNotExist')"
    ).filled(quote(approved_label(policy.name)))
    places = integers(range(_TERMS))
    variables = (
        ("labels", NAMESPACE_LABELS),
        ("governed", governs(policy, settings, variable("labels"))),
        (
            "terms",
            code(
                "object.spec.?affinity.?nodeAffinity.?requiredDuringSchedulingIgnoredDuringExecution.?nodeSelectorTerms.orValue([])"
            ),
        ),
        ("open", places.where("i", code("i < variables.terms.size()") & unsaid)),
    )
    without_node = ("without-node", code("object.spec.?nodeName.orValue('') == ''"))
    return Affinity(variables, (_elsewhere(settings), without_node), choose(stranger, patches, code("[]")))


def _into_term(lacks: Cel) -> Cel:
    """One more requirement in the term at ``i``."""
    place = code(
        "'/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/' + string(i)"
    )
    stated = code("has(variables.terms[i].matchExpressions)")
    more = code("JSONPatch{op: 'add', path: %s + '/matchExpressions/-', value: %s}").filled(place, lacks)
    new = code("JSONPatch{op: 'add', path: %s + '/matchExpressions', value: [%s]}").filled(place, lacks)
    return choose(stated, more, new)


def _elsewhere(settings: Settings) -> tuple[str, Cel]:
    return "elsewhere", ~_NAMESPACE.within(strings(settings.ungoverned_namespaces))


def _kept(policy: Policy, shard: Shard, agent: Cel) -> Validation:
    advice = (
        " is dedicated to the namespaces that the policy governs; keep the pod to other nodes by a required node affinity "
        f"{{key: {approved_label(policy.name)}, operator: DoesNotExist}}, or name its DaemonSet in nodeAgents of the chart"
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
