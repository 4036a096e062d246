"""What the operator's own service account may do, held by a table; and what it may never do.

``UPDATE_GOLDEN=1 pytest tests/install/test_rbac.py`` writes the table anew: read the difference before it is committed.
"""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from charts import sync
from testbed import Cluster
from testbed.kubectl import Kubectl

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("install")]

TABLE = Path(__file__).with_name("rbac.txt")
Access = tuple[str, str, str]
"""A verb, a resource as kubectl writes it (``nodes/proxy``, ``deployments.apps``), and an object's name or nothing."""

CANARY = f"{sync.RELEASE}-canary"
HEADER = """\
# What the operator and its canaries may do beyond what every service account may: `kubectl auth can-i --list` with their own tokens.
# UPDATE_GOLDEN=1 pytest tests/install/test_rbac.py writes this file.
"""


def access(verbs: Iterable[str], *resources: str) -> list[Access]:
    """Each verb on each resource."""
    return [(verb, resource, "") for verb in verbs for resource in resources]


WRITE = ("create", "update", "patch", "delete")
OUR_KINDS = ("sovereigntypolicies", "sovereignmodels", "inferencepools", "inferenceruntimes")
RBAC_KINDS = ("roles", "clusterroles", "rolebindings", "clusterrolebindings")
NEVER = {
    "read or write a Secret": access(("get", "list", "watch", *WRITE), "secrets"),
    "reach into a node": access(("get", "create"), "nodes/proxy", "nodes/exec", "nodes/log", "nodes/stats"),
    "add, replace or remove a node": access(("create", "update", "delete"), "nodes"),
    "reach into a pod": access(
        ("get", "create", "update"),
        *(f"pods/{part}" for part in ("exec", "attach", "portforward", "proxy", "log", "ephemeralcontainers")),
    ),
    "place a pod": access(("create",), "pods", "pods/binding", "bindings"),
    "become somebody else": access(("impersonate",), "users", "groups", "serviceaccounts"),
    "get a token": access(("create",), "serviceaccounts/token", "tokenreviews.authentication.k8s.io"),
    "widen its own rights": access(
        ("escalate", "bind", *WRITE), *(f"{kind}.rbac.authorization.k8s.io" for kind in RBAC_KINDS)
    ),
    "sign a certificate": access(
        ("approve", "sign", "update"),
        "certificatesigningrequests.certificates.k8s.io",
        "signers.certificates.k8s.io",
    ),
    "delete weights": access(("delete", "deletecollection"), "persistentvolumeclaims", "persistentvolumes"),
    "move weights": access(("create", "update", "patch"), "persistentvolumes"),
    "read or write a ConfigMap": access(("get", "list", *WRITE), "configmaps"),
    "change which namespaces are governed": access(WRITE, "namespaces"),
    "write what users wrote": access(WRITE, *(f"{kind}.sovereignai.io" for kind in OUR_KINDS)),
    "change the kinds": access(("get", *WRITE), "customresourcedefinitions.apiextensions.k8s.io"),
    "send requests elsewhere": access(
        WRITE,
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
        "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        "apiservices.apiregistration.k8s.io",
        "endpointslices.discovery.k8s.io",
    ),
    "delete in bulk": access(
        ("deletecollection",), "pods", "services", "deployments.apps", "networkpolicies.networking.k8s.io"
    ),
    "take another's lease": [("update", "leases.coordination.k8s.io", "another")],
}


@pytest.fixture(scope="module")
def operator(bare: Cluster, release: Callable[..., str]) -> Kubectl:
    """kubectl with the token of the chart's service account."""
    release("--set=replicas=0")
    return bare.kubectl_as(bare.service_account_kubeconfig(sync.NAMESPACE, sync.RELEASE))


def rights(kubectl: Kubectl, namespace: str) -> set[str]:
    """The rows of ``can-i --list``, with one space between columns."""
    lines = kubectl("auth", "can-i", "--list", "-n", namespace).splitlines()[1:]
    return {" ".join(line.split()) for line in lines}


@pytest.fixture(scope="module")
def canary(bare: Cluster, operator: Kubectl) -> Kubectl:
    """kubectl with the token of the account that the rules are tried as."""
    return bare.kubectl_as(bare.service_account_kubeconfig(sync.NAMESPACE, CANARY))


def table(bare: Cluster, operator: Kubectl, canary: Kubectl) -> str:
    anyone = bare.kubectl_as(bare.service_account_kubeconfig("default", "default"))
    text = HEADER
    for title, namespace in (("in every namespace", "default"), ("in its own namespace, besides", sync.NAMESPACE)):
        rows = rights(operator, namespace) - rights(anyone, namespace)
        if namespace == sync.NAMESPACE:
            rows -= rights(operator, "default")
        text += f"\n# {title}: resources, URLs, names, verbs\n" + "".join(f"{row}\n" for row in sorted(rows))
    text += "\n# the canaries' account, in every namespace\n"
    return text + "".join(f"{row}\n" for row in sorted(rights(canary, "default") - rights(anyone, "default")))


def test_rights_are_those_of_the_table(bare: Cluster, operator: Kubectl, canary: Kubectl) -> None:
    found = table(bare, operator, canary)
    if os.environ.get("UPDATE_GOLDEN"):
        TABLE.write_text(found)
    assert found == TABLE.read_text()


@pytest.mark.parametrize("what", NEVER)
@pytest.mark.parametrize("namespace", ["default", "kube-system", sync.NAMESPACE])
def test_never(operator: Kubectl, namespace: str, what: str) -> None:
    assert allowed(operator, namespace, NEVER[what]) == []


OF_CANARIES = {
    "read anything": access(
        ("get", "list", "watch"), "secrets", "pods", "configmaps", "nodes", "namespaces", "serviceaccounts"
    ),
    "write a Secret": access(WRITE, "secrets"),
    "reach into a node or a pod that is there": [*NEVER["reach into a node"], *NEVER["reach into a pod"]],
    "delete anything": access(("delete", "deletecollection"), "pods", "networkpolicies.networking.k8s.io", "nodes"),
    "become somebody else": [*NEVER["become somebody else"], *NEVER["get a token"]],
    "widen its own rights": NEVER["widen its own rights"],
    "undo the rules": access(
        ("create", "update", "patch", "delete"),
        "validatingadmissionpolicies.admissionregistration.k8s.io",
        "validatingadmissionpolicybindings.admissionregistration.k8s.io",
    ),
}


@pytest.mark.parametrize("what", OF_CANARIES)
@pytest.mark.parametrize("namespace", ["default", sync.NAMESPACE])
def test_canaries_never(canary: Kubectl, namespace: str, what: str) -> None:
    """Row 27: the account has no right that would do harm as a dry run, and is held to those."""
    assert allowed(canary, namespace, OF_CANARIES[what]) == []


def test_canaries_are_held_to_dry_runs(canary: Kubectl) -> None:
    """Row 27: RBAC cannot say it, so an admission policy of the chart does."""
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "x"},
        "spec": {"podSelector": {}},
    }
    create = ("create", "--validate=false", "-n", "default", "-f", "-")
    refused = canary.run(*create, input=json.dumps(policy)).stderr
    assert f"ValidatingAdmissionPolicy '{CANARY}'" in refused
    assert canary.run(*create, "--dry-run=server", input=json.dumps(policy)).returncode == 0


def test_the_operator_gets_tokens_of_the_canaries_alone(operator: Kubectl) -> None:
    """Row 27: of no other account, not even its own."""
    tokens = [("create", "serviceaccounts/token", name) for name in (CANARY, sync.RELEASE, "default")]
    assert allowed(operator, sync.NAMESPACE, tokens) == tokens[:1]
    assert allowed(operator, "default", tokens) == []


def test_the_question_is_understood(operator: Kubectl) -> None:
    known = [("patch", "nodes", ""), ("create", "pods/eviction", ""), ("update", "deployments.apps", "")]
    assert allowed(operator, "default", known) == known
    lease = ("update", "leases.coordination.k8s.io", sync.RELEASE)
    assert allowed(operator, sync.NAMESPACE, [lease]) == [lease]


def allowed(kubectl: Kubectl, namespace: str, questions: list[Access]) -> list[Access]:
    """What of it the API server says the caller may do."""
    reviews = [json.dumps(review(namespace, *question)) for question in questions]
    answers = kubectl("create", "--validate=false", "-f", "-", "-o", "json", input="\n---\n".join(reviews))
    decoder, found, rest = json.JSONDecoder(), [], answers.strip()
    while rest:
        answer, end = decoder.raw_decode(rest)
        found += answer.get("items", [answer])
        rest = rest[end:].lstrip()
    assert len(found) == len(questions)
    return [question for question, answer in zip(questions, found, strict=True) if answer["status"]["allowed"]]


def review(namespace: str, verb: str, resource: str, name: str) -> dict[str, Any]:
    """The SelfSubjectAccessReview of one question."""
    resource, _, subresource = resource.partition("/")
    resource, _, group = resource.partition(".")
    attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": resource}
    attributes |= {"subresource": subresource, "name": name}
    spec = {"resourceAttributes": attributes}
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
