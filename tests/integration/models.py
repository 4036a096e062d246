"""What the operator makes for a pool and its model, made in its name on a real API server."""

from dataclasses import dataclass
from typing import Any

from sovereign.api.meta import API_VERSION, LABEL_COMPLIANT, LABEL_MODEL, LABEL_POOL
from sovereign.plan.children import child
from sovereign.plan.inventory import Manifest, Owner
from tests.integration.api import Api, address
from tests.integration.enforcement import claim, container, eventually

POOL = "chat"
MODEL = "mistral"


@dataclass(frozen=True)
class Served:
    """A pool and the Deployment that serves it."""

    operator: Api
    owner: Owner
    deployment: Manifest

    @property
    def namespace(self) -> str:
        """Where it is."""
        return self.owner.namespace

    def pods(self) -> list[Manifest]:
        """Its pods that are not ending."""
        found = self._items(
            f"/api/v1/namespaces/{self.namespace}/pods", labelSelector=f"{LABEL_POOL}={self.owner.name}"
        )
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def replica_set(self) -> Manifest:
        """Its only ReplicaSet."""
        made_for = {"labelSelector": f"{LABEL_POOL}={self.owner.name}"}
        (found,) = self._items(f"/apis/apps/v1/namespaces/{self.namespace}/replicasets", **made_for)
        return found | {"apiVersion": "apps/v1", "kind": "ReplicaSet"}

    def await_pod(self, *, other_than: str = "") -> Manifest:
        """One of its pods, once the cluster's controllers have made it."""

        def others() -> list[Manifest]:
            return [pod for pod in self.pods() if pod["metadata"]["uid"] != other_than]

        eventually(lambda: self.operator.request("GET", address(self.deployment)), lambda _: bool(others()))
        return {"apiVersion": "v1", "kind": "Pod"} | others()[0]

    def _items(self, path: str, **query: str) -> list[Manifest]:
        items: list[Manifest] = self.operator.request("GET", path, **query).body["items"]
        return items


def serve(operator: Api, namespace: str) -> Served:
    """A pool with one replica, owned and labelled as the operator does it."""
    owner = pool(operator, namespace)
    made = deployment(owner)
    answer = operator.apply(made)
    assert answer.ok, answer.message
    return Served(operator, owner, made)


def pool(operator: Api, namespace: str) -> Owner:
    """An InferencePool as an owner, without an operator that reads it."""
    spec = {"modelRef": {"name": MODEL}, "runtime": {"name": "vllm"}, "replicas": 1}
    meta = {"name": POOL, "namespace": namespace}
    answer = operator.create({"apiVersion": API_VERSION, "kind": "InferencePool", "metadata": meta, "spec": spec})
    assert answer.ok, answer.message
    return Owner("InferencePool", POOL, answer.body["metadata"]["uid"], namespace)


def deployment(owner: Owner, **spec: Any) -> Manifest:
    """A pool's Deployment."""
    marks = {LABEL_POOL: owner.name, LABEL_MODEL: MODEL}
    return _child(
        "apps/v1",
        "Deployment",
        owner,
        replicas=1,
        selector={"matchLabels": {LABEL_POOL: owner.name}},
        template={"metadata": {"labels": {**marks, LABEL_COMPLIANT: "true"}}, "spec": {"containers": [container()]}},
        **spec,
    )


def job(owner: Owner) -> Manifest:
    """A Job as one that imports a model: its pods have weights too."""
    pod = {"restartPolicy": "Never", "containers": [container()], "volumes": [_WEIGHTS]}
    template = {"metadata": {"labels": {LABEL_MODEL: MODEL}}, "spec": pod}
    return _child("batch/v1", "Job", owner, template=template)


def others(owner: Owner) -> list[Manifest]:
    """All further kinds of children."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": owner.name}
    weights = claim(owner.namespace, storageClassName="local-fr-par")["spec"]
    account = _child("v1", "ServiceAccount", owner)
    del account["spec"]
    return [
        _child("v1", "Service", owner, clusterIP="None", selector={LABEL_POOL: owner.name}, ports=[{"port": 8000}]),
        account | {"automountServiceAccountToken": False},
        _child("networking.k8s.io/v1", "NetworkPolicy", owner, podSelector={"matchLabels": {LABEL_POOL: owner.name}}),
        _child("policy/v1", "PodDisruptionBudget", owner, maxUnavailable=1),
        _child("autoscaling/v2", "HorizontalPodAutoscaler", owner, scaleTargetRef=target, maxReplicas=2),
        _child("v1", "PersistentVolumeClaim", owner, **weights),
    ]


_WEIGHTS = {"name": "weights", "persistentVolumeClaim": {"claimName": f"{MODEL}-weights"}}


def _child(version: str, kind: str, owner: Owner, **spec: Any) -> Manifest:
    return child(
        version, kind, owner.name, owner, component="serving", extra_labels={LABEL_POOL: owner.name}, spec=spec
    )
