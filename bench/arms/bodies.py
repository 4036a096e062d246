"""The requests that a pool and its model cost, without an operator: the same bodies, from the same core."""

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any, Final

from bench import objects
from bench.ground import ZERO, Manifest
from sovereign.api.kinds import MODEL, POLICY, POOL
from sovereign.api.model import Artifact
from sovereign.plan.builtin import builtin
from sovereign.plan.governance import Governance
from sovereign.plan.inventory import InferencePool, Node, Owner, Policy, Settings, SovereignModel
from sovereign.plan.pool import PoolPlan, plan_pool

_NAME: Final = "bench-pool-name"
_UID: Final = "bench-pool-uid"


def children(place: str, name: str, uid: str) -> list[Manifest]:
    """What the operator would apply for the pool ``name``, in its order."""
    return [_named(child, name, uid) for child in _templates(place)]


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


def _named(value: Any, name: str, uid: str) -> Any:
    if isinstance(value, str):
        return value.replace(_NAME, name).replace(_UID, uid)
    if isinstance(value, dict):
        return {_named(key, name, uid): _named(one, name, uid) for key, one in value.items()}
    if isinstance(value, list):
        return [_named(one, name, uid) for one in value]
    return value


def status(example: Manifest, name: str) -> Manifest:
    """The status patch that the operator writes, from what it wrote for another object."""
    old = example["metadata"]["name"]
    content = _named_as(deepcopy(example["status"]), old, name)
    return {"status": content}


def _named_as(value: Any, old: str, new: str) -> Any:
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, dict):
        return {key: _named_as(one, old, new) for key, one in value.items()}
    if isinstance(value, list):
        return [_named_as(one, old, new) for one in value]
    return value
