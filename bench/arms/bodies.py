"""The requests that a pool and its model cost, without an operator: the same bodies, from the same core."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from bench import objects
from bench.ground import Manifest
from sovereign.api.kinds import MODEL, POLICY, POOL
from sovereign.api.model import Artifact
from sovereign.plan.builtin import builtin
from sovereign.plan.governance import Governance
from sovereign.plan.inventory import InferencePool, Node, Owner, Policy, Settings, SovereignModel
from sovereign.plan.pool import PoolPlan, plan_pool
from testbed.chaos.operator import ZERO

_NAME: Final = "bench-pool-name"
_UID: Final = "bench-pool-uid"


def children(place: str, name: str, uid: str) -> list[Manifest]:
    """What the operator would apply for the pool ``name``, in its order."""
    return [_renamed(child, {_NAME: name, _UID: uid}) for child in _templates(place)]


@cache
def _templates(place: str) -> tuple[Manifest, ...]:
    plan = planner(place)()
    if not plan.children or any(child["kind"] not in objects.CHILDREN for child in plan.children):
        raise ValueError(f"the pool of the bench is not planned: {plan.blocking or plan.waiting}")
    return plan.children


def planner(place: str) -> Callable[[], PoolPlan]:
    """Planning the pool of the bench, ready to be called."""
    policy_spec = POLICY.parse(objects.policy())
    policy = Policy(Owner("SovereigntyPolicy", "bench"), policy_spec)
    model = SovereignModel(
        Owner("SovereignModel", _NAME, "model-uid", place),
        MODEL.parse(objects.model(place, _NAME)),
        Artifact(digest=f"sha256:{ZERO}", claim="weights", path="mistral", entrypoint="", bytes=0, files=0),
    )
    pool = InferencePool(Owner("InferencePool", _NAME, _UID, place), POOL.parse(objects.pool(place, _NAME)))
    node = Node("n", labels={"sovereignai.node-restriction.kubernetes.io/jurisdiction": "FR"})
    governance, settings, runtime = Governance((policy,), place), Settings(), builtin()["vllm"]
    return lambda: plan_pool(pool, model, runtime, governance, [node], settings)


def status(example: Manifest, name: str) -> Manifest:
    """The status patch that the operator writes, from what it wrote for another object."""
    return {"status": _renamed(example["status"], {example["metadata"]["name"]: name})}


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """A copy of ``value`` with each of ``names`` replaced wherever it stands."""
    match value:
        case str():
            for old, new in names.items():
                value = value.replace(old, new)
            return value
        case dict():
            return {_renamed(key, names): _renamed(one, names) for key, one in value.items()}
        case list():
            return [_renamed(one, names) for one in value]
    return value
