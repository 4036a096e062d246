"""What becomes of nodes: nobody takes over the name of an approved one, and facts are set by whom the installation names.

Nodes have no namespace, so these rules are asked about every node. A kubelet that starts creates its Node first, and goes
on with the one that is there after ``AlreadyExists`` or ``Forbidden``: what is refused here must be Forbidden.

Labels can be changed by the ``status`` subresource of nodes too. Source: ``nodeStatusStrategy`` of the API server, and
NodeRestriction, which judges both.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from sovereign.api.meta import FACT_DOMAIN, FACT_IDENTITY, approved_label
from sovereign.plan import canary_requests
from sovereign.plan.approval import Shard
from sovereign.plan.cel import Cel, code, quote, sentence, strings, variable
from sovereign.plan.inventory import Policy, Settings, Subjects
from sovereign.plan.rules import Rules, Validation, by_others, resources

_CREATED: Final = resources("", "v1", ["CREATE"], ["nodes"])
_WRITTEN: Final = (_CREATED, resources("", "v1", ["UPDATE"], ["nodes", "nodes/status"]))
_LABELS_CHANGE: Final = (
    "labels-change",
    code("request.operation == 'CREATE' || object.metadata.?labels != oldObject.metadata.?labels"),
)
_VARIABLES: Final = (
    ("before", code("request.operation == 'CREATE' ? {} : oldObject.metadata.?labels.orValue({})")),
    ("after", code("object.metadata.?labels.orValue({})")),
    (
        "changed",
        code(
            "variables.after.filter(k, variables.before[?k] != variables.after[?k]) + "
            "variables.before.filter(k, !(k in variables.after))"
        ),
    ),
)
_CHANGED: Final = variable("changed")
_KEY: Final = code("k")


def node_rules(policy: Policy, shards: Iterable[Shard], settings: Settings) -> Iterator[Rules]:
    """The rules about nodes of a policy whose approved nodes are cut into ``shards``."""
    whose = f"policy {policy.name}: "
    for shard in shards:
        yield _created(whose, shard)
    yield _facts(policy, whose, settings)


def _created(whose: str, shard: Shard) -> Rules:
    """Each shard refuses the names that it lists itself."""
    advice = (
        " is approved, and would be another machine: delete its Node and wait until the operator has seen that, which takes "
        "seconds while it runs"
    )
    untaken = Validation(
        ~shard.listed,
        f"{whose}a node of this name{advice}",
        sentence(f"{whose}node ", variable("node"), advice),
    )
    names, canary = shard.names(code("object.metadata.name")), canary_requests.node_created(shard.example)
    return Rules(f"nodecreate{shard.suffix}", (_CREATED,), (untaken,), names, canary=canary)


def _facts(policy: Policy, whose: str, settings: Settings) -> Rules:
    selected = sorted(policy.spec.placement.node_selector)
    is_fact = _KEY.starts_with(quote(f"{FACT_DOMAIN}/")) | _KEY.within(strings(selected))
    advice = (
        " may be changed only by whom the installation names; change it as one of them, or add who writes it to "
        "nodeFacts.writers of the chart"
    )
    by_writers = Validation(
        _writer(settings.node_facts_writers) | _CHANGED.every("k", ~is_fact),
        f"{whose}facts of nodes (labels under {FACT_DOMAIN}, and those in placement.nodeSelector){advice}",
        sentence(f"{whose}label ", _CHANGED.where("k", is_fact).joined(", "), advice),
    )
    own = _KEY.within(strings([FACT_IDENTITY, approved_label(policy.name)]))
    kept = (
        " is written by the operator alone; leave it (the operator takes it off when the policy is deleted, and facts that are "
        "set anew are bound to the machine by itself)"
    )
    by_operator = Validation(
        _CHANGED.every("k", ~own),
        f"{whose}the label by which approval is kept{kept}",
        sentence(f"{whose}label ", _CHANGED.where("k", own).joined(", "), kept),
    )
    conditions, canary = (by_others(settings), _LABELS_CHANGE), canary_requests.node_labelled(policy)
    return Rules("nodefacts", _WRITTEN, (by_writers, by_operator), _VARIABLES, conditions, canary=canary)


def _writer(writers: Subjects) -> Cel:
    named = code("request.userInfo.username").within(strings(sorted(writers.users)))
    member = code("g").within(strings(sorted(writers.groups)))
    return named | code("request.userInfo.?groups.orValue([])").some("g", member)
