"""What users, tenants, administrators and the world do meanwhile: drawn from a seed, whatever the cluster looks like.

There is a fixed set of names. An operation makes, changes or removes what has one of them, so each can be repeated until it has
been done, and none depends on what another one found.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from testbed.chaos.operator import ZERO
from testbed.chaos.schedule import SPAN

Manifest = dict[str, Any]
NAMESPACES: Final = ("chaos-0", "chaos-1", "chaos-2", "chaos-3")
TIERS: Final = ("a", "b")
POLICIES: Final = ("pa", "pb", "pall")
MODELS: Final = ("m0", "m1")
POOLS: Final = ("s0", "s1", "s2")
NODES: Final = ("gpu-fr-1", "gpu-fr-2", "gpu-fr-3", "gpu-de-1", "gpu-de-2", "gpu-us-1")
RUNTIME: Final = f"registry.example.eu/ai/vllm@sha256:{ZERO}"
_FACTS: Final = (("FR", "fr-par"), ("DE", "de-fra"), ("US", "us-east"), (None, None))
_COUNTRIES: Final = (("FR",), ("FR", "DE"), ("DE", "FR", "US"), ("FR", "US"))
_PER_BATCH: Final = 14


@dataclass(frozen=True)
class Operation:
    """One thing that is done."""

    at: float
    """Seconds after the batch began."""
    what: str
    """The name of a method of `testbed.chaos.hands.Hands`."""
    arguments: dict[str, Any] = field(default_factory=dict)


def ours(kind: str, name: str, namespace: str, spec: Manifest) -> Manifest:
    """One of our objects."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": "sovereignai.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def policy(name: str, countries: tuple[str, ...], **spec: Any) -> Manifest:
    """A policy for one tier, or for both."""
    tiers = TIERS if name == "pall" else (name[1:],)
    content = {
        "namespaceSelector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": list(tiers)}]},
        "placement": {"jurisdictions": list(countries)},
        "images": {"registries": ["registry.example.eu/ai"]},
    }
    return ours("SovereigntyPolicy", name, "", content | spec)


def model(name: str, namespace: str, version: int = 0) -> Manifest:
    """A model on a claim that is there."""
    spec = {"source": {"uri": f"pvc://weights/{name}-{version}"}, "digest": f"sha256:{ZERO[1:]}{version}"}
    return ours("SovereignModel", name, namespace, spec)


def pool(name: str, namespace: str, of: str, **spec: Any) -> Manifest:
    """A pool with one GPU per replica."""
    content = {"modelRef": {"name": of}, "runtime": {"name": "vllm", "image": RUNTIME}, "accelerator": {"count": 1}}
    return ours("InferencePool", name, namespace, content | spec)


def first() -> Iterator[Operation]:
    """What is there before the first fault."""
    for index, namespace in enumerate(NAMESPACES):
        yield Operation(0, "namespace", {"name": namespace, "tier": TIERS[index % 2]})
        yield Operation(0, "claim", {"namespace": namespace})
    for name in POLICIES:
        yield Operation(0, "apply", {"manifest": policy(name, ("FR", "DE"), onViolation={"gracePeriod": "5s"})})
    for namespace in NAMESPACES:
        yield Operation(0, "apply", {"manifest": model("m0", namespace)})
        yield Operation(0, "apply", {"manifest": pool("s0", namespace, "m0", replicas=2)})


def batches(seed: int) -> Iterator[list[Operation]]:
    """The operations of each batch, without end, by their time."""
    random = Random(f"workload {seed}")
    makers, weights = zip(*_MAKERS, strict=True)
    while True:
        drawn = [make(random) for make in random.choices(makers, weights, k=_PER_BATCH)]
        times = sorted(round(random.uniform(0, SPAN), 2) for _ in drawn)
        yield [Operation(at, what, arguments) for at, (what, arguments) in zip(times, drawn, strict=True)]


Drawn = tuple[str, dict[str, Any]]


def _policy(random: Random) -> Drawn:
    spec: Manifest = {
        "enforcement": random.choices(("Enforce", "Audit"), (8, 1))[0],
        "onViolation": {"gracePeriod": f"{random.randint(3, 8)}s"},
    }
    return "apply", {"manifest": policy(random.choice(POLICIES), random.choice(_COUNTRIES), **spec)}


def _model(random: Random) -> Drawn:
    name = random.choice(MODELS)
    return "apply", {"manifest": model(name, random.choice(NAMESPACES), random.randrange(3))}


def _pool(random: Random) -> Drawn:
    scaling = {"minReplicas": 1, "maxReplicas": 3, "metric": "CPU", "target": 70}
    spec: Manifest = random.choice(
        (
            {"replicas": random.randint(0, 3)},
            {"replicas": random.randint(1, 2), "placement": {"jurisdictions": [random.choice(("FR", "DE"))]}},
            {"replicas": 1, "suspend": True},
            {"autoscaling": scaling},
        )
    )
    return "apply", {"manifest": pool(random.choice(POOLS), random.choice(NAMESPACES), random.choice(MODELS), **spec)}


def _remove(random: Random) -> Drawn:
    kind, names = random.choice((("InferencePool", POOLS), ("SovereignModel", MODELS), ("SovereigntyPolicy", POLICIES)))
    namespace = "" if kind == "SovereigntyPolicy" else random.choice(NAMESPACES)
    return "remove", {"kind": kind, "namespace": namespace, "name": random.choice(names)}


def _scale(random: Random) -> Drawn:
    place = {"namespace": random.choice(NAMESPACES), "name": random.choice(POOLS)}
    return "scale", {**place, "replicas": random.randint(0, 3)}


def _facts(random: Random) -> Drawn:
    jurisdiction, region = random.choices(_FACTS, (5, 3, 2, 1))[0]
    return "facts", {"node": random.choice(NODES), "jurisdiction": jurisdiction, "region": region}


def _node(random: Random) -> Drawn:
    return "recreate", {"node": random.choice(NODES)}


def _tier(random: Random) -> Drawn:
    return "namespace", {"name": random.choice(NAMESPACES), "tier": random.choices((*TIERS, None), (4, 4, 1))[0]}


def _child(random: Random) -> Drawn:
    kind = random.choice(
        ("Deployment", "Service", "ServiceAccount", "NetworkPolicy", "PodDisruptionBudget", "HorizontalPodAutoscaler")
    )
    name = random.choice(POOLS)
    suffix = "-serving" if kind in ("NetworkPolicy", "ServiceAccount") else ""
    return "remove", {"kind": kind, "namespace": random.choice(NAMESPACES), "name": name + suffix}


def _edit(random: Random) -> Drawn:
    kind, spec = random.choice(
        (
            ("Deployment", {"template": {"metadata": {"annotations": {"chaos": str(random.random())}}}}),
            ("Deployment", {"replicas": random.randint(0, 4)}),
            ("Service", {"sessionAffinity": "ClientIP"}),
        )
    )
    place = {"namespace": random.choice(NAMESPACES), "name": random.choice(POOLS)}
    return "edit", {"kind": kind, **place, "patch": {"spec": spec}}


def _admission(random: Random) -> Drawn:
    kind = random.choice(("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"))
    name = f"sovereign-{random.choice(POLICIES)}-{random.choice(('binding', 'pods'))}"
    if kind.endswith("Binding") and random.random() < 0.5:
        return "edit", {
            "kind": kind,
            "namespace": "",
            "name": name,
            "patch": {"spec": {"validationActions": ["Audit"]}},
        }
    return "remove", {"kind": kind, "namespace": "", "name": name}


def _bare(random: Random) -> Drawn:
    place = {"namespace": random.choice(NAMESPACES), "name": f"bare-{random.randrange(2)}"}
    if random.random() < 0.4:
        return "remove", {"kind": "Pod", **place}
    return "bare_pod", {**place, "node": random.choice((None, *NODES))}


_MAKERS: Final[tuple[tuple[Callable[[Random], Drawn], float], ...]] = (
    (_policy, 4),
    (_model, 4),
    (_pool, 8),
    (_remove, 3),
    (_scale, 3),
    (_facts, 4),
    (_node, 1),
    (_tier, 1.5),
    (_child, 6),
    (_edit, 3),
    (_admission, 2),
    (_bare, 4),
)
