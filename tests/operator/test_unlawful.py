"""Objects that rules would refuse and that were there before them: told, and never taken for a closed network (rows 9 and 17)."""

from collections.abc import Callable
from typing import Any

import yaml

from tests.operator.lab import Lab, Process, wait_for

OPEN = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}


def network_policy(namespace: str, name: str, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace, "labels": labels or {}},
        "spec": OPEN | spec,
    }


def service(namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"ports": [{"port": 80}]} | spec,
    }


def slice_of(namespace: str, service: str, name: str, manager: str = "a-tenant.example.eu") -> dict[str, Any]:
    labels = {"kubernetes.io/service-name": service, "endpointslice.kubernetes.io/managed-by": manager}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["192.0.2.66"], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": 8000}],
    }


def told(lab: Lab, policy: str) -> Callable[[], set[tuple[str, str]]]:
    """Kinds and names of what the policy's status shows."""

    def look() -> set[tuple[str, str]]:
        status = (lab.get("sovpol", policy) or {}).get("status") or {}
        return {(entry["kind"], entry["name"]) for entry in status.get("violations", {}).get("workloads") or ()}

    return look


def before_the_policy(lab: Lab, place: str, *manifests: dict[str, Any]) -> None:
    """Make objects while the policy refuses nothing, then put it in force."""
    lab.policy(place, tier=place, enforcement="Audit")
    text = yaml.safe_dump_all(manifests)
    admin = lab.cluster.kubectl_as(lab.cluster.kubeconfig)
    wait_for("the rules to be gone", lambda: admin.run("apply", "-f", "-", input=text).returncode == 0)
    lab.policy(place, tier=place)
    lab.wait_condition("sovpol", place, "", "Enforced", "True")


def test_what_was_there_before_the_policy_is_told_and_left_alone(lab: Lab, operator: Process, place: str) -> None:
    """Row 9, row 17: Services and NetworkPolicies older than the rules."""
    before_the_policy(
        lab,
        place,
        network_policy(place, "open"),
        network_policy(place, "pretender", {"app.kubernetes.io/managed-by": "sovereign-operator"}),
        network_policy(place, "harmless", egress=[{"to": [{"podSelector": {}}]}]),
        service(place, "elsewhere", type="ExternalName", externalName="example.org"),
        service(place, "door", type="NodePort", selector={"app": "front"}),
        service(place, "stolen", externalIPs=["192.0.2.1"], selector={"app": "front"}),
        service(place, "handmade"),
        service(place, "front", selector={"app": "front"}),
    )
    wrong = {
        ("NetworkPolicy", "open"),
        ("NetworkPolicy", "pretender"),
        ("Service", "elsewhere"),
        ("Service", "door"),
        ("Service", "stolen"),
        ("Service", "handmade"),
    }
    wait_for("all of them", lambda: told(lab, place)() == wrong)
    assert lab.get("sovpol", place)["status"]["violations"]["current"] == len(wrong)  # type: ignore[index]
    wait_for("the gauge", lambda: operator.metric("sovereign_unlawful_objects") == len(wrong))
    events = [e for e in lab.all("events", "default") if e["involvedObject"]["name"] == place]
    messages = [e["message"] for e in events if e["reason"] == "UnlawfulObject"]
    assert len(messages) == len(wrong)
    assert any(f"NetworkPolicy {place}/open has an egress rule without 'to'" in message for message in messages)

    # mended one by one
    lab.cluster.kubectl("delete", "networkpolicy", "open", "pretender", "-n", place)
    lab.cluster.kubectl("delete", "service", "elsewhere", "door", "stolen", "handmade", "-n", place)
    wait_for("the end of it", lambda: not told(lab, place)())


def test_a_network_policy_that_opens_a_pool_is_seen_in_its_condition(lab: Lab, operator: Process, place: str) -> None:
    """Row 17: the union of all policies is what counts; one that selects other pods opens nothing here."""
    lab.model("chat", place)
    lab.pool("chat", place)
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")
    other = {"podSelector": {"matchLabels": {"app": "front"}}}
    before_the_policy(lab, place, network_policy(place, "beside", **other))
    wait_for("the word", lambda: told(lab, place)() == {("NetworkPolicy", "beside")})
    lab.settle(operator)
    assert lab.condition("sovpool", "chat", place, "NetworkEnforced")["reason"] != "UnlawfulObject"

    before_the_policy(lab, place, network_policy(place, "open"))
    found = lab.wait_condition("sovpool", "chat", place, "NetworkEnforced", "False", "UnlawfulObject")
    assert f"NetworkPolicy {place}/open" in found["message"]
    lab.cluster.kubectl("delete", "networkpolicy", "open", "-n", place)
    lab.wait_condition("sovpool", "chat", place, "NetworkEnforced", "Unknown")


def test_a_slice_that_leads_a_pools_callers_elsewhere(lab: Lab, operator: Process, place: str) -> None:
    """Row 9: one that says it is another manager's is told; one that says it is the controller's is removed by that."""
    lab.model("chat", place)
    lab.pool("chat", place)
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")
    forged = slice_of(place, "chat", "forged")
    as_controllers = slice_of(place, "chat", "taken", "endpointslice-controller.k8s.io")
    before_the_policy(lab, place, forged, as_controllers)
    found = lab.wait_condition("sovpool", "chat", place, "NetworkEnforced", "False", "UnlawfulObject")
    assert f"EndpointSlice {place}/forged says where Service chat leads" in found["message"]
    wait_for("the policy's word", lambda: told(lab, place)() == {("EndpointSlice", "forged")})

    def addresses() -> set[str]:
        slices = lab.all(
            "endpointslices", place, "endpointslice.kubernetes.io/managed-by=endpointslice-controller.k8s.io"
        )
        return {address for one in slices for endpoint in one["endpoints"] or () for address in endpoint["addresses"]}

    wait_for("the controller to clean up", lambda: "192.0.2.66" not in addresses())
    lab.cluster.kubectl("delete", "endpointslice", "forged", "-n", place)
    lab.wait_condition("sovpool", "chat", place, "NetworkEnforced", "Unknown")


def test_a_lawful_object_costs_no_request(lab: Lab, operator: Process, place: str) -> None:
    """Services that only say what a tenant needs are not even kept."""
    lab.wait_condition("sovpol", place, "", "Enforced", "True")
    lab.settle(operator)
    since = lab.position()
    lab.apply(*(service(place, f"front-{number}", selector={"app": "front"}) for number in range(10)))
    lab.settle(operator)
    assert [request for request in lab.requests(since) if request.writes] == []
