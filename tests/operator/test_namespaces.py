"""Which namespaces are governed: all but the named ones from their first moment, and what left is told."""

from typing import Any

from tests.operator.lab import Lab, Process, admitted, wait_for

REFUSAL = "would release the namespace"
Manifest = dict[str, Any]


def refusal(lab: Lab, namespace: str) -> str:
    """What the API server says to a pod from elsewhere; empty when it takes it. Nothing is made."""
    done = lab.cluster.kubectl_as(lab.cluster.kubeconfig).run(
        "run", "stranger", "--image=docker.io/library/nginx:1", "-n", namespace, "--dry-run=server"
    )
    return done.stderr if done.returncode else ""


def test_a_policy_for_all_namespaces_but_the_named_ones_governs_a_new_one_at_once(lab: Lab, operator: Process) -> None:
    """Row 12: a namespace without labels is no way out."""
    policy, fresh = "everywhere", "fresh"
    named = [one["metadata"]["name"] for one in lab.all("namespaces")]
    expression = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": named}
    lab.policy(policy, tier=policy, namespaceSelector={"matchExpressions": [expression]})
    lab.wait_condition("sovpol", policy, "", "Enforced", "True")
    try:
        probe = "fresh-probe"  # the rules are in force a moment after they are written
        lab.namespace(probe)
        wait_for("the rules to be in force", lambda: f"policy {policy}: " in refusal(lab, probe))
        lab.namespace(fresh)
        assert f"policy {policy}: image docker.io/library/nginx:1 is" in refusal(lab, fresh)
        assert refusal(lab, "default") == ""
        wait_for("its default-deny", lambda: lab.get("networkpolicy", f"sovereign-{policy}-default-deny", fresh))
    finally:
        lab.cluster.kubectl("delete", "sovpol", policy)
        lab.cluster.kubectl("delete", "namespace", fresh, probe, "--wait=false", "--ignore-not-found")


def test_a_namespace_that_left_while_no_rule_held_it_is_told(lab: Lab, operator: Process, place: str) -> None:
    """Row 12: an administrator takes the rule away and then the label, while the operator is down."""
    lab.wait_condition("sovpol", place, "", "Enforced", "True")
    wait_for("the namespace", lambda: place in (lab.get("sovpol", place) or {})["status"]["namespaces"])
    wait_for("the rule to hold", lambda: not admitted(lambda: _release(lab, place, "--dry-run=server"), REFUSAL))
    operator.stop()
    rule = f"sovereign-{place}-namespaces"
    lab.cluster.kubectl("delete", "validatingadmissionpolicybinding", rule)
    wait_for("the rule not to hold", lambda: admitted(lambda: _release(lab, place), REFUSAL))
    again = lab.start()
    try:
        event = wait_for("the Event", lambda: _told(lab, place))
        assert f"namespace {place} has lost the labels" in event["message"]
        wait_for("the rule to be back", lambda: lab.get("validatingadmissionpolicybinding", rule))
        lab.settle(again)
        lab.namespace(place, tier=place)
        wait_for("it to be governed", lambda: place in (lab.get("sovpol", place) or {})["status"]["namespaces"])
    finally:
        again.stop()


def test_a_policy_that_selects_others_now_tells_nothing(lab: Lab, operator: Process, place: str) -> None:
    wait_for(
        "the namespace", lambda: place in ((lab.get("sovpol", place) or {}).get("status") or {}).get("namespaces", ())
    )
    lab.policy(place, tier=f"{place}-other")
    wait_for("it to be released", lambda: place not in (lab.get("sovpol", place) or {})["status"].get("namespaces", ()))
    lab.settle(operator)
    assert _told(lab, place) is None


def _release(lab: Lab, namespace: str, *words: str) -> None:
    lab.cluster.kubectl("label", "namespace", namespace, "tier-", *words)


def _told(lab: Lab, policy: str) -> Manifest | None:
    found = (event for event in lab.all("events", "default") if event["involvedObject"]["name"] == policy)
    return next((event for event in found if event["reason"] == "NamespaceReleased"), None)
