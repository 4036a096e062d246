"""What the operator does with an object of ours, as far as no request is sent: decode it, and plan with it."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from sovereign.api.kinds import BY_KIND
from sovereign.controllers.model import snapshot
from sovereign.controllers.objects import Object, decode
from sovereign.controllers.store import Store
from sovereign.plan.governance import Governance
from sovereign.plan.inventory import InferencePool, Manifest, Node, Policy, Runtime, Settings, SovereignModel
from sovereign.plan.model import plan_model
from sovereign.plan.policy import plan_policy
from sovereign.plan.pool import plan_pool
from tests.plan.serving import samples

SETTINGS = Settings(importer_image=samples.IMAGE)
_POD = frozenset(
    {
        "affinity",
        "automountServiceAccountToken",
        "containers",
        "enableServiceLinks",
        "nodeSelector",
        "securityContext",
        "serviceAccountName",
        "terminationGracePeriodSeconds",
        "tolerations",
        "topologySpreadConstraints",
        "volumes",
    }
)
"""All that a serving pod's spec says, whatever users write."""


def understood(body: Manifest) -> Object:
    """``body`` as the operator holds it."""
    metadata = {"uid": "uid", "resourceVersion": "1", "generation": 1, **body["metadata"]}
    return decode({**body, "metadata": metadata})


def planned(item: Object, nodes: Sequence[Node] = samples.NODES) -> Iterator[Manifest]:
    """The children that are planned because of an object, together with others, in a cluster of ``nodes``."""
    if item.spec is None:
        return
    match item.owner.kind:
        case "SovereigntyPolicy":
            yield from _policy(Policy(item.owner, item.spec), nodes)
        case "SovereignModel":
            yield from _model(item, nodes)
        case "InferencePool":
            pool = InferencePool(item.owner, item.spec)
            for engine in (samples.builtin()["vllm"], samples.builtin()["llama-cpp"], None):
                yield from _pool(pool, engine, nodes)
        case _:
            engine = Runtime(item.owner.name, item.spec)
            for pool in (samples.pool("vllm"), samples.pool("vllm", network={"apiKeySecretRef": {"name": "key"}})):
                yield from _pool(pool, engine, nodes)


def _policy(policy: Policy, nodes: Sequence[Node]) -> Iterator[Manifest]:
    other = samples.policy("other")
    labels = {"a": dict(policy.spec.namespace_selector.match_labels), "b": {"team": "web"}}
    plan = plan_policy(policy, nodes, labels, [policy, other], SETTINGS)
    yield from (*plan.admission, *plan.network)
    governed = samples.governance(policy, other)
    for children in (
        _pool_plan(samples.pool(), None, governed, nodes),
        plan_model(samples.model(), governed, SETTINGS).children,
    ):
        yield from children


def _model(item: Object, nodes: Sequence[Node]) -> Iterator[Manifest]:
    nothing: Any = SimpleNamespace(caches={"PersistentVolumeClaim": SimpleNamespace(rows={})}, store=Store(SETTINGS))
    model = snapshot(item, nothing)
    for governed in (samples.governance(), _strict()):
        yield from plan_model(model, governed, SETTINGS).children
    served = SovereignModel(item.owner, item.spec, samples.model().artifact, model.parameters)
    yield from _pool_plan(samples.pool(), None, samples.governance(), nodes, served)


def _pool(pool: InferencePool, engine: Runtime | None, nodes: Sequence[Node]) -> Iterator[Manifest]:
    unknown = samples.model(imported=False, parameters=None)
    for weights, previous in (
        (samples.model(), None),
        (samples.model("gguf"), 3),
        (samples.model("gguf", parameters=samples.ABSURD), None),
        (samples.model(), 2**53),
        (unknown, None),
    ):
        yield from _pool_plan(pool, engine, samples.governance(), nodes, weights, previous)


def _pool_plan(
    pool: InferencePool,
    engine: Runtime | None,
    governed: Governance,
    nodes: Sequence[Node],
    weights: SovereignModel | None = None,
    previous: int | None = None,
) -> tuple[Manifest, ...]:
    found = engine or samples.builtin().get(pool.spec.runtime.name)
    plan = plan_pool(pool, weights or samples.model(), found, governed, nodes, SETTINGS, previous)
    for manifest in plan.children:
        if manifest["kind"] == "Deployment":
            _is_one_of_ours(manifest)
    return plan.children


def _is_one_of_ours(manifest: Manifest) -> None:
    """The shape of a pod is the operator's, whatever stands in its strings."""
    spec = manifest["spec"]["template"]["spec"]
    assert spec.keys() <= _POD, spec.keys() - _POD
    (container,) = spec["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert "privileged" not in container["securityContext"]
    assert {kind for volume in spec["volumes"] for kind in volume} == {"name", "persistentVolumeClaim", "emptyDir"}
    for text in [*container.get("args", []), *(entry.get("value", "") for entry in container["env"])]:
        assert isinstance(text, str)
        assert "\0" not in text


def _strict() -> Governance:
    policy = samples.policy("strict")
    strict = BY_KIND["SovereigntyPolicy"].parse(
        {
            "spec": {
                "namespaceSelector": {"matchLabels": {"a": "b"}},
                "placement": {"jurisdictions": ["FR"]},
                "models": {
                    "sources": ["s3://weights-fr/"],
                    "hubEndpoint": "https://hub.example.eu",
                    "s3Endpoint": "https://s3.example.eu",
                },
                "licenses": {"allow": ["MIT"]},
                "storage": {"storageClasses": ["fast-fr"]},
            }
        }
    )
    return samples.governance(Policy(policy.owner, strict))
