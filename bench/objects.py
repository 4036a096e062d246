"""What is loaded: a governed namespace, models whose weights are there, and pools that start no pod."""

from typing import Any, Final

from bench.ground import IMAGE, Manifest
from testbed import objects
from testbed.chaos.operator import ZERO

API: Final = "sovereignai.io/v1alpha1"
CHILDREN: Final = ("Deployment", "Service", "ServiceAccount", "NetworkPolicy", "PodDisruptionBudget")
"""Of one pool. The model has none: its weights lie on a claim that is there."""


def namespace(name: str) -> Manifest:
    """A namespace that `policy` governs."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"bench": "yes"}}}


def policy(name: str = "bench", **spec: Any) -> Manifest:
    """French nodes, one registry."""
    full = {
        "namespaceSelector": {"matchLabels": {"bench": "yes"}},
        "placement": {"jurisdictions": ["FR"]},
        "images": {"registries": ["registry.example.eu/ai"]},
    }
    return {"apiVersion": API, "kind": "SovereigntyPolicy", "metadata": {"name": name}, "spec": full | spec}


def model(place: str, name: str) -> Manifest:
    """A model on the claim."""
    spec = {"source": {"uri": "pvc://weights/mistral"}, "digest": f"sha256:{ZERO}"}
    return _ours("SovereignModel", place, name, spec)


def pool(place: str, name: str, **spec: Any) -> Manifest:
    """A pool without pods: what is counted is the operator's work, and not the world's answers."""
    content = {
        "modelRef": {"name": name},
        "runtime": {"name": "vllm", "image": IMAGE},
        "accelerator": {"count": 1},
        "replicas": 0,
    }
    return _ours("InferencePool", place, name, content | spec)


def node(name: str, jurisdiction: str = "FR") -> Manifest:
    """A GPU node that nobody runs."""
    facts = "sovereignai.node-restriction.kubernetes.io"
    labels = {f"{facts}/jurisdiction": jurisdiction, f"{facts}/region": "fr-par", "kubernetes.io/hostname": name}
    labels[f"{objects.OWNED_LABEL}"] = "bench"
    status = {"allocatable": {"cpu": "64", "memory": "512Gi", "pods": "110", "nvidia.com/gpu": "8"}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "status": status}


def _ours(kind: str, place: str, name: str, spec: Manifest) -> Manifest:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, "namespace": place}, "spec": spec}
