"""The ServiceAccount of a pool's pods."""

from sovereign.api.meta import LABEL_POOL
from sovereign.plan import names
from sovereign.plan.children import child
from sovereign.plan.deployment import COMPONENT
from sovereign.plan.inventory import InferencePool, Manifest


def service_account(pool: InferencePool) -> Manifest:
    """A ServiceAccount of the pool's own, to which nothing is granted and whose token no pod gets."""
    return child(
        "v1",
        "ServiceAccount",
        names.serving(pool.owner.name),
        pool.owner,
        component=COMPONENT,
        extra_labels={LABEL_POOL: pool.owner.name},
        automountServiceAccountToken=False,
    )
