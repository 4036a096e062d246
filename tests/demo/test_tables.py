"""Tables made of manifests."""

from typing import Any

from testbed.demo import tables

FACTS = "sovereignai.node-restriction.kubernetes.io"


def node(name: str, jurisdiction: str = "", region: str = "", gpus: int = 0) -> dict[str, Any]:
    labels = {f"{FACTS}/jurisdiction": jurisdiction, f"{FACTS}/region": region, f"{FACTS}/provider": "somebody"}
    gpu = {"nvidia.com/gpu.count": str(gpus), "nvidia.com/gpu.product": "H100"} if gpus else {}
    return {"metadata": {"name": name, "labels": (labels if jurisdiction else {}) | gpu}}


def pod(name: str, pool: str, on: str = "", **metadata: Any) -> dict[str, Any]:
    spec = {"nodeName": on} if on else {}
    return {"metadata": {"name": name, "labels": {"sovereignai.io/pool": pool}} | metadata, "spec": spec}


def pool(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"modelRef": {"name": f"model-of-{name}"}}}


def test_nodes_are_shown_by_jurisdiction_and_those_without_facts_last() -> None:
    found = [node("a"), node("b", "US", "us-east"), node("d", "FR", "fr-par", 8), node("c", "FR", "fr-par")]
    assert tables.nodes(found) == [
        ("FR", "fr-par", "somebody", "c", "-"),
        ("FR", "fr-par", "somebody", "d", "8 x H100"),
        ("US", "us-east", "somebody", "b", "-"),
        ("(no facts)", "-", "-", "a", "-"),
    ]


def test_a_rejection_without_a_found_value_says_that_the_fact_is_missing() -> None:
    entries = [
        {"node": "a", "rule": "placement.facts"},
        {"node": "b", "rule": "placement.jurisdictions", "found": "US"},
    ]
    assert tables.rejections({"status": {"rejections": entries}}) == [
        ("a", "placement.facts", "no such fact"),
        ("b", "placement.jurisdictions", "US"),
    ]


def test_replicas_are_shown_with_the_facts_of_their_node() -> None:
    pods = [
        pod("chat-2", "chat"),
        pod("chat-1", "chat", "n"),
        pod("other-1", "other", "gone"),
        pod("x", "no-pool-of-ours", "n"),
    ]
    assert tables.replicas([pool("chat"), pool("other")], pods, [node("n", "FR", "fr-par")]) == [
        ("model-of-chat", "chat", "chat-1", "n", "fr-par", "FR"),
        ("model-of-chat", "chat", "chat-2", "(none)", "-", "-"),
        ("model-of-other", "other", "other-1", "gone", "-", "-"),
    ]


def test_pods_that_are_ending_do_not_stay() -> None:
    staying = pod("a", "chat")
    assert tables.staying([staying, pod("b", "chat", deletionTimestamp="2026-01-01T00:00:00Z")]) == [staying]


def test_only_ready_endpoints_serve() -> None:
    def endpoint(name: str, *, ready: bool) -> dict[str, Any]:
        return {"targetRef": {"name": name}, "conditions": {"ready": ready}}

    slices = [{"endpoints": [endpoint("a", ready=True), endpoint("b", ready=False)]}, {"endpoints": None}, {}]
    assert tables.serving(slices) == {"a"}


def test_a_condition_that_is_not_there_is_empty() -> None:
    ready = {"type": "Ready", "status": "True"}
    assert tables.condition({"status": {"conditions": [ready]}}, "Ready") == ready
    assert tables.condition({"status": {"conditions": [ready]}}, "Stalled") == {}
    assert tables.condition({"status": {}}, "Ready") == {}
    assert tables.condition(None, "Ready") == {}


def test_a_column_in_which_no_row_has_anything_is_left_out() -> None:
    rows = [("FR", "-", "a"), ("DE", "-", "b")]
    assert tables.telling(("country", "GPUs", "node"), rows) == (("country", "node"), [("FR", "a"), ("DE", "b")])
    assert tables.telling(("country", "GPUs"), [("FR", "-"), ("DE", "2")])[0] == ("country", "GPUs")
