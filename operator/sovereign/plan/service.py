"""The Service of a pool."""

from sovereign.api.meta import LABEL_COMPLIANT, LABEL_MODEL, LABEL_POOL
from sovereign.plan.children import child
from sovereign.plan.deployment import COMPONENT, PORT_NAME, selector
from sovereign.plan.inventory import InferencePool, Manifest, Runtime, Settings


def service(pool: InferencePool, runtime: Runtime) -> Manifest:
    """The headless Service: it leads to pods that are ready and, by their label, where they may be.

    A ClusterIP costs the API server time that grows with the number of Services; callers of a model keep connections open and
    need no virtual address.
    """
    port = {
        "name": PORT_NAME,
        "port": runtime.spec.port,
        "targetPort": PORT_NAME,
        "protocol": "TCP",
        "appProtocol": "http",
    }
    return child(
        "v1",
        "Service",
        pool.owner.name,
        pool.owner,
        component=COMPONENT,
        extra_labels={LABEL_POOL: pool.owner.name, LABEL_MODEL: pool.spec.model_ref.name},
        spec={
            "type": "ClusterIP",
            "clusterIP": "None",
            "selector": selector(pool) | {LABEL_COMPLIANT: "true"},
            "ports": [port],
        },
    )


def endpoint(pool: InferencePool, runtime: Runtime, settings: Settings) -> str:
    """The URL at which the model answers inside the cluster."""
    host = f"{pool.owner.name}.{pool.owner.namespace}.svc.{settings.cluster_domain}"
    return f"http://{host}:{runtime.spec.port}"
