"""Request budgets, counted in the API server's audit log: requests per object are what an operator costs."""

import time
from collections import Counter

import pytest

from tests.operator.lab import Lab, Process, custom, model_spec, pool_spec, wait_for

COUNT = 50
PLACE = "budgets"
CHILDREN = ("deployments", "services", "serviceaccounts", "networkpolicies", "poddisruptionbudgets")


def small_pool(model: str) -> dict[str, object]:
    """A pool whose pods never come: what is counted is the operator's work, and not the world's answers."""
    return pool_spec(model) | {"replicas": 0}


def everything_ready(lab: Lab) -> bool:
    pools = lab.all("sovpool", PLACE)
    conditions = [c for pool in pools for c in (pool.get("status") or {}).get("conditions") or []]
    return sum(c["type"] == "Ready" and c["status"] == "True" for c in conditions) == COUNT


@pytest.mark.timeout(900)
def test_budgets_of_fifty_models_with_pools(lab: Lab, operator: Process) -> None:
    lab.namespace(PLACE, tier=PLACE)
    lab.policy(PLACE, tier=PLACE)
    lab.wait_condition("sovpol", PLACE, "", "Enforced", "True")
    names = [f"m{number:02d}" for number in range(COUNT)]
    lab.settle(operator)

    # create: one request per child and one status each
    since = lab.position()
    models = [custom("SovereignModel", name, PLACE, model_spec()) for name in names]
    lab.apply(*models)
    wait_for("all models", lambda: len(lab.all("smodel", PLACE)) == COUNT)
    lab.settle(operator)
    lab.apply(*(custom("InferencePool", name, PLACE, small_pool(name)) for name in names))
    wait_for("all pools", lambda: everything_ready(lab))
    lab.settle(operator)
    created = Counter((request.verb, request.resource) for request in lab.requests(since))
    wanted = Counter({("patch", kind): COUNT for kind in CHILDREN})
    wanted |= Counter({("patch", "sovereignmodels/status"): COUNT, ("patch", "inferencepools/status"): COUNT})
    assert created == wanted

    # a change of one field: the child it concerns, and the status
    since = lab.position()
    lab.apply(*(custom("InferencePool", name, PLACE, small_pool(name) | {"maxNumSeqs": 32}) for name in names))
    lab.settle(operator)
    changed = Counter((request.verb, request.resource) for request in lab.requests(since))
    assert changed == {("patch", "deployments"): COUNT, ("patch", "inferencepools/status"): COUNT}

    # at rest for a minute: nothing (the time is what is measured)
    since = lab.position()
    time.sleep(60)
    assert lab.requests(since) == []

    # a restart with everything in place: lists, and not one write
    operator.stop()
    since = lab.position()
    again = lab.start()
    try:
        wait_for("the restarted operator to lead", lambda: again.leads)
        lab.settle(again)
        requests = lab.requests(since)
        assert [request for request in requests if request.writes] == []
        asked = [r for r in requests if r.resource not in ("selfsubjectreviews", "serviceaccounts/token")]
        assert {request.verb for request in asked} <= {"list", "get"}
        assert all(request.name == "" for request in asked), "no object is read one by one"
        assert len([r for r in requests if r.resource == "serviceaccounts/token"]) <= 1, "one token for the canaries"

        # deletion: the API server's garbage collector does it all
        since = lab.position()
        lab.cluster.kubectl("delete", "sovpool,smodel", "--all", "-n", PLACE, "--wait=true")
        wait_for(
            "the children to go",
            lambda: not lab.all("deployments,services,networkpolicies", PLACE, "sovereignai.io/pool"),
        )
        lab.settle(again)
        assert [
            (request.verb, request.resource, request.name) for request in lab.requests(since) if request.writes
        ] == []
    finally:
        again.stop()
        lab.cluster.kubectl("delete", "sovpol", PLACE)
        lab.cluster.kubectl("delete", "namespace", PLACE, "--wait=false")
