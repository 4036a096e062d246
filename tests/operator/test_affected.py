"""A change touches what it concerns: not one request is about anything else. Counted in the API server's audit log."""

from tests.operator.lab import Lab, Process, wait_for

ADMISSION = "validatingadmissionpolicies"


def serve(lab: Lab, place: str) -> dict[str, str]:
    """A pool in France and one in Germany; the pod of each."""
    lab.policy(place, tier=place, jurisdictions=("FR", "DE"))
    lab.model("m", place)
    for pool, country in (("chat-fr", "FR"), ("chat-de", "DE")):
        lab.pool(pool, place, modelRef={"name": "m"}, placement={"jurisdictions": [country]})
    for pool in ("chat-fr", "chat-de"):
        lab.wait_condition("sovpool", pool, place, "Ready", "True")
    return {pool: lab.pods(place, pool)[0]["metadata"]["name"] for pool in ("chat-fr", "chat-de")}


def written(lab: Lab, place: str, since: int) -> set[str]:
    """What of the namespace the operator wrote, besides Events."""
    requests = [one for one in lab.requests(since) if one.writes and one.namespace == place]
    return {one.name for one in requests if one.resource != "events"}


def test_a_policy_that_changes(lab: Lab, operator: Process, place: str) -> None:
    pods = serve(lab, place)
    lab.settle(operator)
    since = lab.position()
    lab.policy(place, tier=place, jurisdictions=("FR",))
    wait_for(
        "the German pod to go",
        lambda: pods["chat-de"] not in {p["metadata"]["name"] for p in lab.pods(place, "chat-de")},
    )
    lab.settle(operator)
    touched = written(lab, place, since)
    assert pods["chat-de"] in touched
    assert {name for name in touched if name.startswith("chat-fr")} == set()


def test_a_node_that_changes(lab: Lab, operator: Process, place: str) -> None:
    pods = serve(lab, place)
    used = {pod["spec"]["nodeName"] for pool in pods for pod in lab.pods(place, pool)}
    spare = next(name for name in ("gpu-fr-1", "gpu-fr-2") if name not in used)
    lab.settle(operator)
    since = lab.position()
    lab.facts(spare, jurisdiction="US")
    try:
        wait_for("admission", lambda: any(one.resource == ADMISSION for one in lab.requests(since)))
        lab.settle(operator)
        assert written(lab, place, since) == set()
    finally:
        lab.facts(spare, jurisdiction="FR")
