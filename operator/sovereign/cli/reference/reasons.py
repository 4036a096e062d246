"""The page of reasons and conditions."""

from sovereign.api.kinds import KINDS
from sovereign.cli.reasons import meanings
from sovereign.cli.reference.markdown import code, plain, table


def page() -> str:
    """Every reason with its meaning, and the conditions of each kind."""
    conditions = [
        (code(kind.kind), plain(str(kind.status.model_fields["conditions"].description).partition(" Default")[0]))
        for kind in KINDS
        if kind.status is not None
    ]
    reasons = [(code(reason), plain(meaning)) for reason, meaning in sorted(meanings().items())]
    return (
        "# Conditions and reasons\n\n"
        "`Ready`, `Reconciling` and `Stalled` follow kstatus: `kubectl wait --for=condition=Ready` works, as do Flux and "
        "Helm. Messages say what to do.\n\n"
        + table(("Kind", "Conditions"), conditions)
        + "\n## Reasons\n\nWhat may stand as the reason of a condition, of an Event or of a verdict of `kubectl sovereign`.\n\n"
        + table(("Reason", "Meaning"), reasons)
    )
