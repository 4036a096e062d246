"""The status of our kinds is the operator's: what others could write there would be believed."""

from typing import Final

from sovereign.api.meta import GROUP, VERSION
from sovereign.plan import canary_requests
from sovereign.plan.cel import code, quote, sentence
from sovereign.plan.inventory import Policy, Settings
from sovereign.plan.rules import Rules, Validation, by_others, resources

_STATUS: Final = resources(
    GROUP, VERSION, ["UPDATE"], ["sovereigntypolicies/status", "sovereignmodels/status", "inferencepools/status"]
)


def status_rules(policy: Policy, settings: Settings) -> Rules:
    """The rule about the status of this policy, and of models and pools in the namespaces that it governs."""
    whose = f"policy {policy.name}: "
    wrong = "is what the operator has seen, and the operator's alone to write; leave it as it is"
    # Objects without a namespace are matched whatever their labels: of policies, this one is meant.
    own = code("has(request.namespace) || request.name == %s").filled(quote(policy.name))
    refused = Validation(
        code("false"),
        f"{whose}the status {wrong}",
        sentence(f"{whose}the status of ", code("request.kind.kind"), " ", code("request.name"), f" {wrong}"),
    )
    conditions, canary = (by_others(settings), ("own", own)), canary_requests.status(policy)
    return Rules("status", (_STATUS,), (refused,), conditions=conditions, canary=canary)


__all__ = ["status_rules"]
