"""Pods with weights are made, and known as such, by the operator alone.

Services, NetworkPolicies and the verifier know them by `RESERVED_LABELS`. A pod gets such a label from the template of a workload that
the operator made, through the cluster's own controllers, and keeps it until the operator takes it away: a pod that only pretends
would be served to callers, one that no longer shows would be opened, one that shows again after a repair would serve from where it
must not.
"""

from collections.abc import Iterator
from typing import Final

from sovereign.api.meta import LABEL_MODEL, LABEL_POOL, RESERVED_LABELS
from sovereign.plan import canary_requests
from sovereign.plan.cel import Cel, any_of, code, quote, sentence, variable
from sovereign.plan.child_rules import IDENTITY, MADE, same_labels
from sovereign.plan.inventory import Policy, Settings
from sovereign.plan.rules import Rules, Validation, by_controllers, by_others, resources

_PODS: Final = (
    resources("", "v1", ["CREATE", "UPDATE"], ["pods"]),
    # Labels can be written through the status; a resize changes the spec.
    resources("", "v1", ["UPDATE"], ["pods/resize", "pods/status"]),
)
_BINDINGS: Final = (resources("", "v1", ["CREATE"], ["bindings", "pods/binding"]),)
_WORKLOADS: Final = (
    resources("", "v1", ["CREATE", "UPDATE"], ["replicationcontrollers"]),
    resources("apps", "v1", ["CREATE", "UPDATE"], ["daemonsets", "deployments", "replicasets", "statefulsets"]),
    resources("batch", "v1", ["CREATE", "UPDATE"], ["cronjobs", "jobs"]),
)
_SCALES: Final = (resources("apps", "v1", ["UPDATE"], ["deployments/scale", "replicasets/scale"]),)

TOPOLOGY: Final = "topology.kubernetes.io/"
"""The beginning of labels that the API server copies from a node to the pods that are bound to it."""

_CREATED: Final = code("request.operation == 'CREATE'")
_SAME_SPEC: Final = code("object.spec == oldObject.spec")
_KEYS: Final = " and ".join((", ".join(RESERVED_LABELS[:-1]), RESERVED_LABELS[-1]))
_INSTEAD: Final = "make an InferencePool or a SovereignModel, and the operator makes the rest"

# A pod of a StatefulSet or a DaemonSet is not from a template that was judged: they keep old ones as ControllerRevisions.
_CONTROLLED: Final = code(
    "object.metadata.?ownerReferences.orValue([]).exists(o, o.?controller.orValue(false) && o.kind in ['ReplicaSet', 'Job'])"
)
# By another label a Service of the tenant's own would lead to it, and go on when it is where it must not be.
_NO_NEW_LABELS: Final = code(
    "object.metadata.?labels.orValue({}).all(k, "
    "oldObject.metadata.?labels[?k] == optional.of(object.metadata.labels[k]))"
)
_SAME_OWNERS: Final = code(
    "object.metadata.?ownerReferences.orValue([]) == oldObject.metadata.?ownerReferences.orValue([])"
)
# `dyn`, because a CronJob has its template elsewhere.
_TEMPLATE_LABELS: Final = (
    ("template", code("dyn(object).spec.?template.?metadata.?labels")),
    ("cron", code("dyn(object).spec.?jobTemplate.?spec.?template.?metadata.?labels")),
    ("labels", code("variables.template.orValue(variables.cron.orValue({}))")),
    ("oldTemplate", code("oldObject == null ? optional.none() : dyn(oldObject).spec.?template.?metadata.?labels")),
    (
        "oldCron",
        code(
            "oldObject == null ? optional.none() : dyn(oldObject).spec.?jobTemplate.?spec.?template.?metadata.?labels"
        ),
    ),
    ("before", code("variables.oldTemplate.orValue(variables.oldCron.orValue({}))")),
)


def reserved(labels: Cel) -> Cel:
    """Whether ``labels``, an expression of a map, hold one that marks pods with weights."""
    return any_of(quote(key).within(labels) for key in RESERVED_LABELS)


def reserved_rules(policy: Policy, settings: Settings) -> Iterator[Rules]:
    """The rules about pods with reserved labels, about what makes them, and about how many there are."""
    whose = f"policy {policy.name}: "
    yield _pods(policy, settings, whose)
    yield _bindings(whose)
    yield _templates(policy, settings, whose)
    yield _scale(settings, whose)


def _pods(policy: Policy, settings: Settings, whose: str) -> Rules:
    was = variable("reserved")
    made = by_controllers("job-controller", "replicaset-controller") & _CONTROLLED
    controllers = by_controllers("generic-garbage-collector", "job-controller", "replicaset-controller")
    return Rules(
        "reserved-pods",
        _PODS,
        (
            Validation(
                ~(_CREATED & was) | made,
                f"{whose}the labels {_KEYS} mark pods with weights, which the operator alone makes; leave them out, or {_INSTEAD}",
            ),
            _kept(
                same_labels(RESERVED_LABELS),
                whose,
                f"labels {_KEYS} mark pods with weights, and are the operator's alone",
            ),
            _kept(
                ~was | same_labels(IDENTITY),
                whose,
                f"labels {', '.join(IDENTITY)} are the operator's alone, because the pod has weights",
            ),
            _kept(
                ~was | _NO_NEW_LABELS,
                whose,
                "labels cannot become more, because the pod has weights and a Service could select it by them",
            ),
            _kept(
                ~was | _SAME_OWNERS | controllers,
                whose,
                "ownerReferences are the cluster's alone, because the pod has weights",
            ),
            _kept(
                ~was | _SAME_SPEC,
                whose,
                "spec is the operator's alone, because the pod has weights; change its InferencePool or SovereignModel, or delete the pod",
            ),
        ),
        (
            ("before", code("(request.operation == 'CREATE' ? object : oldObject).metadata.?labels.orValue({})")),
            ("reserved", reserved(code("variables.before"))),
        ),
        (by_others(settings),),
        screened=True,
        canary=canary_requests.reserved_pod(policy),
    )


def _kept(condition: Cel, whose: str, what: str) -> Validation:
    """A rule about changes of pods."""
    return Validation(
        _CREATED | condition,
        f"{whose}the pod's {what}; leave them as they are",
        sentence(f"{whose}pod ", code("request.name"), f": its {what}; leave them as they are"),
    )


def _bindings(whose: str) -> Rules:
    """The labels of a Binding become the pod's, whatever pod that is. The API server adds those of the node."""
    of_the_node = code("object.metadata.?labels.orValue({})").every("k", code("k").starts_with(quote(TOPOLOGY)))
    return Rules(
        "bound-labels",
        _BINDINGS,
        (
            Validation(
                of_the_node,
                f"{whose}the labels of a Binding become the pod's, which may have weights; leave metadata.labels out",
            ),
        ),
        screened=True,
        canary=canary_requests.reserved_binding(),
    )


def _templates(policy: Policy, settings: Settings, whose: str) -> Rules:
    """What pods with weights are made from. What the deployment-controller makes is as the Deployment, which was judged."""
    marked = reserved(variable("labels")) | reserved(variable("before"))
    # `child_rules` are stricter about these, and know whose they are.
    child = ~_CREATED & code("request.resource.resource in ['deployments', 'jobs']") & MADE
    scaled = code("request.resource.resource == 'replicasets'") & by_controllers("deployment-controller")
    wrong = (
        f"has a pod template with one of the labels {_KEYS}, which mark pods with weights and are the operator's alone"
    )
    advice = f"leave them out, or {_INSTEAD}; what it made is changed through them"
    return Rules(
        "reserved-templates",
        _WORKLOADS,
        (
            Validation(
                ~marked | (~_CREATED & _SAME_SPEC) | scaled | child,
                f"{whose}the workload {wrong}; {advice}",
                sentence(
                    f"{whose}",
                    code("request.kind.kind + ' ' + object.metadata.?name.orValue('')"),
                    f" {wrong}; {advice}",
                ),
            ),
        ),
        _TEMPLATE_LABELS,
        (by_others(settings),),
        canary=canary_requests.reserved_template(policy),
    )


def _scale(settings: Settings, whose: str) -> Rules:
    """A Scale knows its Deployment's labels by the selector alone."""
    selector = code("oldObject.?status.?selector.orValue('')")
    ours = any_of(code("%s.contains(%s)").filled(selector, quote(key)) for key in (LABEL_POOL, LABEL_MODEL))
    pool = code("request.name")
    return Rules(
        "reserved-scale",
        _SCALES,
        (
            Validation(
                by_controllers("horizontal-pod-autoscaler") | code("object.spec == oldObject.spec"),
                f"{whose}how many pods with weights there are is said by their InferencePool; scale that instead",
                sentence(
                    f"{whose}how many pods ",
                    pool,
                    " has is said by its InferencePool; kubectl scale inferencepools.sovereignai.io ",
                    pool,
                    " --replicas=<number>",
                ),
            ),
        ),
        conditions=(by_others(settings), ("of-a-pool", ours)),
        canary=canary_requests.reserved_scale(),
    )
