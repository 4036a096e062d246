"""A node that turns out to be another machine: its facts are withdrawn, whether the operator was there to see it or not."""

import functools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from sovereign.api.meta import ANNOTATION_WITHDRAWN, FACT_DOMAIN, FACT_IDENTITY, TOPOLOGY_REGION, approved_label
from sovereign.plan.identity import identity
from sovereign.plan.inventory import Node
from testbed.errors import TestbedError
from tests.integration.api import Api
from tests.operator.lab import FACTS, IMAGE, Lab, Process, admitted, wait_for

NODE = "swapped-fr-1"
"""A node of no kubelet: what its kubelet says is played here."""
TAKEN = "is approved, and would be another machine"
Manifest = dict[str, Any]


class Machine:
    """The node, and what can happen to it."""

    def __init__(self, lab: Lab, policy: str) -> None:
        self._lab = lab
        self._approved = approved_label(policy)
        certificate = lab.cluster.client_certificate(f"system:node:{NODE}", ["system:nodes"])
        self._kubelet = lab.cluster.kubectl_as(certificate)
        self._api = Api.of(certificate)

    def create(self, *, by_kubelet: bool = False, **labels: str) -> None:
        """A Node without facts, or with labels as an administrator makes one."""
        manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": labels}}
        who = self._kubelet if by_kubelet else self._lab.cluster.kubectl_as(self._lab.cluster.kubeconfig)
        who("create", "-f", "-", input=json.dumps(manifest))

    def appear(self) -> None:
        """Have the Node created, once its name is free, on a machine that says it is A."""
        wait_for("the name to be free", lambda: admitted(self.create, TAKEN))
        self.says("A")

    def vouch(self) -> None:
        """Set facts as an administrator does."""
        self._lab.facts(NODE, jurisdiction="FR", region="fr-par", provider="seine")

    def says(self, system_uuid: str) -> None:
        """The kubelet reports which machine it runs on."""
        ready = [{"type": "Ready", "status": "True", "reason": "Test", "message": ""}]
        patch = {"status": {"nodeInfo": {"systemUUID": system_uuid}, "conditions": ready}}
        answer = self._api.request(
            "PATCH", f"/api/v1/nodes/{NODE}/status", patch
        )  # kubectl reads the status, which a kubelet may not
        assert answer.ok, answer.message

    def region(self, name: str) -> None:
        """The kubelet says in which region it is."""
        self._kubelet("label", "node", NODE, f"{TOPOLOGY_REGION}={name}", "--overwrite")

    @property
    def live(self) -> Manifest:
        found = self._lab.get("node", NODE)
        assert found is not None
        return found

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.live["metadata"].get("labels") or {})

    @property
    def approved(self) -> bool:
        """Approved, and bound to the machine that it is."""
        live = self.live
        labels = live["metadata"].get("labels") or {}
        bound = labels.get(FACT_IDENTITY) == identity(Node.from_manifest(live))
        return bound and labels.get(self._approved) == "true"

    @property
    def withdrawn(self) -> bool:
        """Nothing of what was granted is left."""
        return not any(FACT_DOMAIN in key for key in self.labels)

    def kept(self) -> str:
        """The annotation."""
        return str((self.live["metadata"].get("annotations") or {}).get(ANNOTATION_WITHDRAWN, ""))

    def delete(self) -> None:
        self._lab.cluster.kubectl("delete", "node", NODE, "--ignore-not-found")


@pytest.fixture
def bare(lab: Lab, operator: Process, place: str) -> Iterator[Machine]:
    """A node without facts, on a machine that says it is A."""
    lab.wait_condition("sovpol", place, "", "Enforced", "True")
    made = Machine(lab, place)
    try:
        made.appear()
        yield made
    finally:
        made.delete()


@pytest.fixture
def machine(bare: Machine) -> Machine:
    """The node, with facts and approved."""
    bare.vouch()
    wait_for("its approval", lambda: bare.approved)
    return bare


def told(lab: Lab, reason: str, name: str) -> list[Manifest]:
    """Events about a cluster-scoped object."""
    found = lab.all("events", "default")
    return [event for event in found if event["reason"] == reason and event["involvedObject"]["name"] == name]


def occupy(lab: Lab, place: str) -> None:
    """A pod on the node, which is lawful there."""
    spec = {"nodeName": NODE, "containers": [{"name": "c", "image": IMAGE}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "serves", "namespace": place}, "spec": spec}

    def make() -> None:
        lab.cluster.kubectl("create", "-f", "-", input=json.dumps(pod))

    wait_for("the pod to be admitted", lambda: admitted(make, "is not approved"))


def test_facts_are_bound_with_the_approval_and_at_no_further_cost(lab: Lab, operator: Process, bare: Machine) -> None:
    lab.settle(operator)
    since = lab.position()
    bare.vouch()
    wait_for("its approval", lambda: bare.approved)
    lab.settle(operator)
    writes = [request for request in lab.requests(since) if request.resource == "nodes"]
    assert [(request.verb, request.name) for request in writes] == [("patch", NODE)]
    since = lab.position()
    bare.says("A")
    lab.settle(operator)
    assert lab.requests(since) == []


def test_what_is_learned_of_a_machine_is_no_change(lab: Lab, machine: Machine, place: str) -> None:
    provider = {"spec": {"providerID": "aws:///eu-west-3a/i-1"}}
    lab.cluster.kubectl("patch", "node", NODE, "--type=merge", "-p", json.dumps(provider))
    found = machine.live
    assert found["spec"]["providerID"]
    wait_for("it to be bound anew", lambda: machine.approved)
    uid = found["metadata"]["uid"]
    assert [one for one in told(lab, "IdentityChanged", NODE) if one["involvedObject"]["uid"] == uid] == []


def test_another_machine_under_the_name_loses_what_was_granted(
    lab: Lab, operator: Process, machine: Machine, place: str
) -> None:
    """Row 4: its kubelet reports another systemUUID. The Event has the command that sets the facts again."""
    occupy(lab, place)
    counted = operator.metric("sovereign_identity_changes_total")
    machine.says("B")
    wait_for("the facts to be withdrawn", lambda: machine.withdrawn)
    assert json.loads(machine.kept()) == {
        f"{FACTS}/jurisdiction": "FR",
        f"{FACTS}/region": "fr-par",
        f"{FACTS}/provider": "seine",
    }
    uid = machine.live["metadata"]["uid"]
    (event,) = wait_for(
        "the Event", lambda: [one for one in told(lab, "IdentityChanged", NODE) if one["involvedObject"]["uid"] == uid]
    )
    assert "another systemUUID" in event["message"]
    wait_for("the policy's Event", lambda: told(lab, "IdentityChanged", place))
    wait_for("the count", lambda: operator.metric("sovereign_identity_changes_total") == counted + 1)
    wait_for("the pod to be told to go", lambda: _goes(lab, place))
    _, _, command = event["message"].partition("set them again: kubectl ")
    lab.cluster.kubectl(*command.split())
    wait_for("it to be approved as the machine that it is", lambda: machine.approved)
    assert machine.kept() == ""


def _goes(lab: Lab, place: str) -> bool:
    pod = lab.get("pod", "serves", place)
    return pod is None or "deletionTimestamp" in pod["metadata"]


def test_while_the_operator_is_down(lab: Lab, operator: Process, machine: Machine, place: str) -> None:
    """Row 4: nobody takes over the name, and another machine behind the same Node is noticed at the start."""
    operator.stop()
    machine.says("C")
    assert not machine.withdrawn
    again = lab.start()
    try:
        wait_for("the facts to be withdrawn", lambda: machine.withdrawn)
        wait_for("the policy's Event", lambda: told(lab, "IdentityChanged", place))
        lab.settle(again)
        machine.vouch()
        wait_for("its approval", lambda: machine.approved)
        lab.settle(again)
        again.stop()
        machine.delete()
        with pytest.raises(TestbedError, match=TAKEN):
            machine.create()
        with pytest.raises(TestbedError, match="Forbidden"):
            machine.create(by_kubelet=True)
        assert lab.get("node", NODE) is None
    finally:
        if again.popen.poll() is None:
            again.stop()


def test_a_node_made_anew_with_copied_labels_is_another_machine(
    lab: Lab, operator: Process, machine: Machine, place: str
) -> None:
    """Row 4: as an administrator does it who restores a backup. In Audit the rules only warn."""
    lab.policy(place, tier=place, enforcement="Audit")
    lab.wait_condition("sovpol", place, "", "Enforced", "False", "AuditOnly")
    labels = machine.labels
    machine.delete()

    # the rules of other tests' policies may be in force for another moment, and those of this one as they were
    copy = functools.partial(machine.create, **labels)
    wait_for("the name to be free", lambda: admitted(copy, TAKEN, "written by the operator"))
    wait_for("the facts to be withdrawn", lambda: machine.withdrawn)
    assert json.loads(machine.kept())[f"{FACTS}/jurisdiction"] == "FR"


def test_a_region_that_contradicts_its_fact_is_told_once_and_never_trusted(
    lab: Lab, operator: Process, machine: Machine, place: str
) -> None:
    """Row 3, as the kubelet."""
    machine.region("us-east")
    uid = machine.live["metadata"]["uid"]

    def events() -> list[Manifest]:
        return [one for one in told(lab, "NodeFactMismatch", NODE) if one["involvedObject"]["uid"] == uid]

    (event,) = wait_for("the Event", events)
    assert "says us-east, its region fact says fr-par" in event["message"]
    assert machine.approved, "what counts is the fact"
    lab.settle(operator)
    since = lab.position()
    lab.cluster.kubectl("label", "node", NODE, "unrelated=label")
    lab.settle(operator)
    assert lab.requests(since) == []
    machine.region("fr-par")
    lab.settle(operator)
    machine.region("us-west")
    wait_for("another change to be told", lambda: len(events()) == 2)


def test_bindings_go_with_the_last_policy(lab: Lab, operator: Process, machine: Machine, place: str) -> None:
    others = [one["metadata"]["name"] for one in lab.all("sovpol") if one["metadata"]["name"] != place]
    lab.cluster.kubectl("delete", "sovpol", place)
    wait_for("the approval to go", lambda: approved_label(place) not in machine.labels)
    if not others:
        wait_for("the bindings to go", lambda: not lab.all("nodes", selector=FACT_IDENTITY))
    assert machine.labels[f"{FACTS}/jurisdiction"] == "FR", "facts are the administrators'"
