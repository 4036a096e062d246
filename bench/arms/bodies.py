"""The requests that a pool and its model cost, without an operator: the same bodies, from the same core."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import orjson

from bench import objects
from bench.ground import Manifest
from sovereign.api.kinds import MODEL, POLICY, POOL
from sovereign.api.meta import FIELD_MANAGER
from sovereign.api.model import Artifact
from sovereign.cluster.client import APPLY, MERGE
from sovereign.cluster.resources import BY_KIND
from sovereign.plan.builtin import builtin
from sovereign.plan.governance import Governance
from sovereign.plan.inventory import InferencePool, Node, Owner, Policy, Settings, SovereignModel
from sovereign.plan.pool import PoolPlan, plan_pool
from testbed.chaos.operator import ZERO

NAME: Final = "bench-pool-name"
"""Of a pool and its model that stand for all."""
_PLACE: Final = "bench-namespace"
_UID: Final = "bench-pool-uid"


def children(place: str, name: str, uid: str) -> list[Manifest]:
    """What the operator would apply for the pool ``name``, in its order."""
    return [_renamed(child, {NAME: name, _UID: uid}) for child in _templates(place)]


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
        Owner("SovereignModel", NAME, "model-uid", place),
        MODEL.parse(objects.model(place, NAME)),
        Artifact(digest=f"sha256:{ZERO}", claim="weights", path="mistral", entrypoint="", bytes=0, files=0),
    )
    pool = InferencePool(Owner("InferencePool", NAME, _UID, place), POOL.parse(objects.pool(place, NAME)))
    node = Node("n", labels={"sovereignai.node-restriction.kubernetes.io/jurisdiction": "FR"})
    governance, settings, runtime = Governance((policy,), place), Settings(), builtin()["vllm"]
    return lambda: plan_pool(pool, model, runtime, governance, [node], settings)


class Jobs:
    """What a bare writer is told about each pool, made without more work than putting names in."""

    def __init__(self, waves: list[list[Manifest]]) -> None:
        self._line = orjson.dumps({"waves": waves}) + b"\n"

    def about(self, pool: Manifest) -> bytes:
        """The job of a pool that has just been created, and of its model, which has the same name."""
        metadata = pool["metadata"]
        line = self._line.replace(NAME.encode(), metadata["name"].encode())
        return line.replace(_UID.encode(), metadata["uid"].encode()).replace(
            _PLACE.encode(), metadata["namespace"].encode()
        )


def whole(model: Manifest, pool: Manifest) -> Jobs:
    """The children and both statuses in the operator's order, one after the other.

    ``model`` and ``pool`` are called `NAME` and have statuses that the operator wrote.
    """
    return Jobs([[one] for one in (_status(model), *_applied(), _status(pool))])


def in_parallel(pool: Manifest) -> Jobs:
    """The children all at once, then the pool's status."""
    return Jobs([_applied(), [_status(pool)]])


def _applied() -> list[Manifest]:
    return [
        {
            "path": BY_KIND[child["kind"]].path(_PLACE, child["metadata"]["name"]),
            "body": child,
            "kind": APPLY,
            "params": {"fieldManager": FIELD_MANAGER},
        }
        for child in _templates(_PLACE)
    ]


def _status(example: Manifest) -> Manifest:
    place = example["metadata"]["namespace"]
    path = BY_KIND[example["kind"]].path(_PLACE, NAME, "status")
    return {"path": path, "body": {"status": _renamed(example["status"], {place: _PLACE})}, "kind": MERGE}


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
