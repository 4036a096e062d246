"""What the API server itself refuses because of a policy, tried by a tenant, with no operator running."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sovereign.api.meta import FACT_JURISDICTION
from sovereign.plan import approval
from sovereign.plan.cel import code, quote
from sovereign.plan.inventory import Node
from tests.integration.api import Answer, Api, address
from tests.integration.conftest import TEST_LABEL, Kubectl, make_namespace, make_tenant
from tests.integration.enforcement import (
    DIGEST,
    IMAGE,
    REGISTRY,
    Enforcement,
    InForce,
    bind,
    claim,
    container,
    enforce,
    eventually,
    make_policy,
    node,
    nodes,
    pod,
    settings,
)

pytestmark = pytest.mark.integration

LAWFUL, UNLAWFUL = "gpu-fr-1", "gpu-us-1"
_GRANT = {"cidr": "160.0.0.0/4", "ports": [443]}


@dataclass(frozen=True)
class Governed(InForce):
    """A namespace with a policy in force, a tenant in it, and a pod `old` that was there before the policy."""

    tenant: Api
    namespace: str


@pytest.fixture(scope="module")
def governed(api: Api, kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[Governed]:
    """One policy for all tests of this module that leave nothing behind."""
    worker = getattr(request.config, "workerinput", {}).get("workerid", "one")
    name = make_namespace(api, kubectl, f"admission-{worker}", {TEST_LABEL: f"admission-{worker}"})
    tenant = make_tenant(api, name)
    _may_bind_and_debug(api, name, tenant.user)
    old = pod(name, "old", containers=[container("docker.io/library/nginx:1")], nodeSelector={"no": "node"})
    assert api.create(old).ok
    policy = make_policy(api, name, access={"ephemeralContainers": "Allow"})
    enforcement = enforce(api, policy, name, settings(api))
    yield Governed(enforcement, tenant, name)
    enforcement.remove()
    kubectl("delete", "namespace", name, "--wait")


def _may_bind_and_debug(api: Api, namespace: str, user: str) -> None:
    """Rights that ``edit`` lacks: to make Bindings, as a scheduler of the tenant's own would, and to debug."""
    group = "rbac.authorization.k8s.io"
    meta = {"name": "binder", "namespace": namespace}
    rules = [
        {"apiGroups": [""], "resources": ["bindings", "pods/binding"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["pods/ephemeralcontainers"], "verbs": ["patch"]},
    ]
    role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": meta, "rules": rules}
    assert api.create(role).ok
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": meta,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "binder"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }
    assert api.create(binding).ok


# --- pods ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"nodeName": LAWFUL},
        {"containers": [container(f"{REGISTRY}/a/b-c_d:v1.2{DIGEST}")]},
        {"initContainers": [container(name="first")]},
        {"volumes": [{"name": "v", "image": {"reference": IMAGE}}, {"name": "t", "emptyDir": {}}]},
        {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "x"}}]},
        {"containers": [container(ports=[{"containerPort": 8000}], securityContext={"privileged": False})]},
        {"dnsConfig": {"options": [{"name": "ndots", "value": "1"}]}},
        {"tolerations": [{"operator": "Exists"}]},
    ],
    ids=str,
)
def test_a_lawful_pod_is_accepted(governed: Governed, spec: dict[str, Any]) -> None:
    answer = governed.tenant.create(pod(governed.namespace, **spec), dry_run=True)
    assert answer.ok, answer.message


_IMAGES = {
    "without registry": ("nginx", "not written in full"),
    "without host": (f"ai/vllm{DIGEST}", "not written in full"),
    "of another registry": (f"docker.io/library/nginx{DIGEST}", "not in an allowed registry"),
    "host as a prefix": (f"registry.example.eu.evil.org/ai/vllm{DIGEST}", "not in an allowed registry"),
    "path as a prefix": (f"registry.example.eu/aix/vllm{DIGEST}", "not in an allowed registry"),
    "host as a folder": (f"evil.org/registry.example.eu/ai/vllm{DIGEST}", "not in an allowed registry"),
    "with a port": (f"registry.example.eu:5000/ai/vllm{DIGEST}", "not in an allowed registry"),
    "with a user": (f"registry.example.eu/ai@evil.org/vllm{DIGEST}", "not written in full"),
    "out of the folder": (f"{REGISTRY}/../other/vllm{DIGEST}", "not written in full"),
    "in capitals": (f"Registry.example.eu/ai/vllm{DIGEST}", "not written in full"),
    "by tag": (f"{REGISTRY}/vllm:v1", "without digest"),
    "by short digest": (f"{REGISTRY}/vllm@sha256:abc", "not written in full"),
    "digest as a tag": (f"{REGISTRY}/vllm:sha256-{'a' * 64}", "without digest"),
}


@pytest.mark.parametrize("name", _IMAGES)
def test_an_image_from_elsewhere_is_refused_wherever_it_hides(governed: Governed, name: str) -> None:
    image, words = _IMAGES[name]
    for spec in (
        {"containers": [container(), container(image, "second")]},
        {"initContainers": [container(image, "first")]},
        {"volumes": [{"name": "v", "image": {"reference": image}}]},
    ):
        answer = governed.tenant.create(pod(governed.namespace, **spec), dry_run=True)
        governed.refused(answer, f"image {image} is {words}", "@sha256:" if "digest" in words else "registry")


_OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "node": ({"nodeName": UNLAWFUL}, f"node {UNLAWFUL} in spec.nodeName is not approved; leave spec.nodeName out"),
    "unknown node": ({"nodeName": "gpu-fr-1x"}, "not approved"),
    "host network": ({"hostNetwork": True}, "leave hostNetwork"),
    "host processes": ({"hostPID": True}, "hostPID"),
    "host IPC": ({"hostIPC": True}, "hostIPC"),
    "host path": ({"volumes": [{"name": "root", "hostPath": {"path": "/"}}]}, "volume root is of a kind"),
    "nfs": ({"volumes": [{"name": "far", "nfs": {"server": "10.0.0.1", "path": "/"}}]}, "volume far is of a kind"),
    "inline csi": ({"volumes": [{"name": "far", "csi": {"driver": "nfs.csi.k8s.io"}}]}, "volume far is of a kind"),
    "host port": ({"containers": [container(ports=[{"containerPort": 1, "hostPort": 1}])]}, "leave hostPort out"),
    "init host port": (
        {"initContainers": [container(name="first", ports=[{"containerPort": 1, "hostPort": 1}])]},
        "leave hostPort out",
    ),
    "privileged": ({"containers": [container(securityContext={"privileged": True})]}, "securityContext.privileged"),
    "own resolver": ({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.53"]}}, "dnsConfig.nameservers"),
    "further resolver": ({"dnsConfig": {"nameservers": ["192.0.2.53"]}}, "dnsConfig.nameservers"),
    "the node's resolver": ({"dnsPolicy": "Default"}, "leave dnsPolicy"),
    "own hosts": ({"hostAliases": [{"ip": "192.0.2.1", "hostnames": ["hub"]}]}, "leave hostAliases out"),
}


@pytest.mark.parametrize("name", _OTHERS)
def test_a_way_round_is_refused_with_what_to_do(governed: Governed, name: str) -> None:
    spec, words = _OTHERS[name]
    governed.refused(governed.tenant.create(pod(governed.namespace, **spec), dry_run=True), words)


def test_a_mirror_pod_is_refused(governed: Governed) -> None:
    mirror = pod(governed.namespace, nodeName=LAWFUL)
    mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    governed.refused(governed.tenant.create(mirror, dry_run=True), "mirror pods", "make an ordinary pod")


def test_a_pod_made_by_a_controller_is_refused_and_its_owner_says_why(governed: Governed, kubectl: Kubectl) -> None:
    labels = {"app": "deployed"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container("docker.io/library/nginx:1")]}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "deployed", "namespace": governed.namespace},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    }
    assert governed.tenant.create(deployment).ok
    eventually(
        lambda: governed.tenant.request("GET", f"/api/v1/namespaces/{governed.namespace}/events"),
        lambda answer: any(
            event["reason"] == "FailedCreate" and "not in an allowed registry" in event["message"]
            for event in answer.body["items"]
        ),
    )
    kubectl("delete", "deployment", "deployed", "-n", governed.namespace)


# --- changes of pods that were there before -----------------------------------------------------------


def test_a_pod_in_breach_can_still_be_labelled_so_that_it_can_be_repaired(governed: Governed) -> None:
    path = f"/api/v1/namespaces/{governed.namespace}/pods/old"
    change = {"metadata": {"labels": {"a": "b"}, "finalizers": []}}
    answer = governed.tenant.request("PATCH", path, change, dryRun="All")
    assert answer.ok, answer.message


def _whatever_its_version(manifest: dict[str, Any]) -> dict[str, Any]:
    """So that a PUT is not refused because the pod's status has changed meanwhile."""
    del manifest["metadata"]["resourceVersion"]
    return manifest


def test_a_pod_cannot_be_changed_to_another_image(governed: Governed) -> None:
    path = f"/api/v1/namespaces/{governed.namespace}/pods/old"
    changed = _whatever_its_version(governed.tenant.get(path))
    changed["spec"]["containers"][0]["image"] = "evil.org/nginx:1"
    governed.refused(governed.tenant.request("PUT", path, changed, dryRun="All"), "evil.org/nginx:1")


def test_a_running_pod_cannot_be_made_to_tolerate_more(governed: Governed, kubectl: Kubectl) -> None:
    running = pod(governed.namespace, "running", nodeName=LAWFUL)
    assert governed.tenant.create(running).ok
    changed = _whatever_its_version(governed.tenant.get(address(running)))
    changed["spec"]["tolerations"].append({"key": "dedicated", "operator": "Exists"})
    answer = governed.tenant.request("PUT", address(running), changed, dryRun="All")
    governed.refused(answer, "tolerations of a pod that has a node")
    kubectl("delete", "pod", "running", "-n", governed.namespace, "--grace-period=0", "--force")


def test_an_ephemeral_container_is_held_to_the_same_rules(governed: Governed, kubectl: Kubectl) -> None:
    lawful = pod(governed.namespace, "lawful", nodeSelector={"no": "node"})
    assert governed.tenant.create(lawful).ok
    path = f"{address(lawful)}/ephemeralcontainers"
    for image in (IMAGE, "evil.org/shell:1"):
        debugger = {"spec": {"ephemeralContainers": [container(image, "shell")]}}
        answer = governed.tenant.request("PATCH", path, debugger, dryRun="All")
        if image == IMAGE:
            assert answer.ok, answer.message
        else:
            governed.refused(answer, "image evil.org/shell:1")
    kubectl("delete", "pod", "lawful", "-n", governed.namespace, "--grace-period=0", "--force")


# --- bindings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "bindings"])
def test_a_binding_made_by_hand_goes_to_approved_nodes_only(governed: Governed, path: str) -> None:
    refusal = bind(governed.tenant, governed.namespace, "old", UNLAWFUL, path=path)
    governed.refused(refusal, f"node {UNLAWFUL} is not approved")
    accepted = bind(governed.tenant, governed.namespace, "old", LAWFUL, path=path)
    assert accepted.ok, accepted.message


def test_a_binding_to_something_else_is_refused(governed: Governed) -> None:
    answer = bind(governed.tenant, governed.namespace, "old", LAWFUL, kind="Machine")
    assert not answer.ok
    assert "Node" in answer.message


def test_no_scheduler_gets_round_it(api: Api, namespace: str, kubectl: Kubectl) -> None:
    """A pod that nothing pins and that wants a foreign node: the scheduler's Binding is refused, and the pod says why."""
    using = settings(api)
    enforcement = enforce(api, make_policy(api, namespace), namespace, type(using)(mutating_admission=False))
    wanted = pod(namespace, nodeSelector={"kubernetes.io/hostname": UNLAWFUL})
    assert api.create(wanted).ok
    eventually(
        lambda: api.request("GET", f"/api/v1/namespaces/{namespace}/events"),
        lambda answer: any(
            event["reason"] == "FailedScheduling" and f"node {UNLAWFUL} is not approved" in event["message"]
            for event in answer.body["items"]
        ),
    )
    assert "nodeName" not in api.get(address(wanted))["spec"]
    enforcement.remove()


def _terms(*requirements: tuple[str, str, list[str]], fields: bool = False) -> dict[str, Any]:
    found = [
        {"key": key, "operator": operator} | ({"values": values} if values else {})
        for key, operator, values in requirements
    ]
    return {"matchFields" if fields else "matchExpressions": found}


_APPROVED = (FACT_JURISDICTION, "In", ["FR"])
AFFINITIES: dict[str, list[dict[str, Any]]] = {
    "a second term, OR-ed": [_terms(_APPROVED), _terms((FACT_JURISDICTION, "In", ["US"]))],
    "In, good and bad": [_terms((FACT_JURISDICTION, "In", ["FR", "US"]))],
    "NotIn": [_terms((FACT_JURISDICTION, "NotIn", ["FR", "DE"]))],
    "Exists": [_terms((FACT_JURISDICTION, "Exists", []))],
    "matchFields": [_terms(("metadata.name", "In", [UNLAWFUL]), fields=True)],
}


@pytest.mark.parametrize("name", AFFINITIES)
def test_no_affinity_brings_a_pod_to_an_unapproved_node(
    governed: Governed, name: str, request: pytest.FixtureRequest
) -> None:
    """Row 2: neither by the cluster's scheduler, which does as the affinity says, nor by a Binding."""
    pod_name = f"wants-{sorted(AFFINITIES).index(name)}"
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": AFFINITIES[name]}}
    wanted = pod(
        governed.namespace, pod_name, affinity={"nodeAffinity": required}, tolerations=[{"operator": "Exists"}]
    )
    assert governed.tenant.create(wanted).ok
    path = f"/api/v1/namespaces/{governed.namespace}/pods/{pod_name}"
    request.addfinalizer(lambda: governed.enforcement.api.request("DELETE", path, gracePeriodSeconds="0"))

    def settled() -> dict[str, Any]:
        found: dict[str, Any] = governed.enforcement.api.get(path)
        tried = [one for one in found.get("status", {}).get("conditions", []) if one["type"] == "PodScheduled"]
        return found if found["spec"].get("nodeName") or tried else {}

    deadline = time.monotonic() + 60
    while not (found := settled()):
        assert time.monotonic() < deadline, "no scheduler looked at it"
        time.sleep(0.1)
    assert found["spec"].get("nodeName") != UNLAWFUL
    if "nodeName" not in found["spec"]:
        governed.refused(bind(governed.tenant, governed.namespace, pod_name, UNLAWFUL), UNLAWFUL, "is not approved")


def test_a_pod_that_nobody_pinned_lands_on_an_approved_node(governed: Governed, kubectl: Kubectl) -> None:
    if not settings(governed.enforcement.api).mutating_admission:
        assert "MutatingAdmissionPolicy" not in {one["kind"] for one in governed.enforcement.plan.admission}
        return
    names = [f"free-{index}" for index in range(4)]
    for name in names:
        assert governed.tenant.create(pod(governed.namespace, name, nodeSelector={"kubernetes.io/os": "linux"})).ok
    for name in names:
        kubectl("wait", "--for=jsonpath={.spec.nodeName}", f"pod/{name}", "-n", governed.namespace, "--timeout=60s")
        spec = governed.tenant.get(address(pod(governed.namespace, name)))["spec"]
        assert spec["nodeName"] in governed.enforcement.plan.approved
        assert spec["nodeSelector"] == {"kubernetes.io/os": "linux", governed.enforcement.plan.node_label: "true"}
    kubectl("delete", "pods", *names, "-n", governed.namespace, "--grace-period=0", "--force")


# --- claims -------------------------------------------------------------------------------------------

_ALLOWED = {"storageClassName": "local-fr-par"}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, "storage class '' is not allowed; set spec.storageClassName to local-fr-par"),
        ({"storageClassName": "local-us-east"}, "storage class 'local-us-east' is not allowed"),
        (_ALLOWED | {"volumeName": "us-east-0001"}, "leave spec.volumeName out"),
        (_ALLOWED | {"dataSource": {"kind": "PersistentVolumeClaim", "name": "x"}}, "leave spec.dataSource"),
        (
            _ALLOWED
            | {"dataSourceRef": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "x"}},
            "spec.dataSourceRef",
        ),
    ],
    ids=str,
)
def test_a_claim_that_could_lie_elsewhere_is_refused(governed: Governed, spec: dict[str, Any], words: str) -> None:
    governed.refused(governed.tenant.create(claim(governed.namespace, **spec), dry_run=True), words)


def test_a_claim_is_bound_by_the_cluster_and_not_by_hand(governed: Governed, kubectl: Kubectl) -> None:
    tenant, namespace = governed.tenant, governed.namespace
    wanted = claim(namespace, "weights", **_ALLOWED)
    assert tenant.create(wanted).ok
    by_hand = tenant.request("PATCH", address(wanted), {"spec": {"volumeName": "us-east-0001"}}, dryRun="All")
    governed.refused(by_hand, "leave spec.volumeName out")
    user = pod(
        namespace,
        "reader",
        nodeSelector={governed.enforcement.plan.node_label: "true"},
        volumes=[{"name": "weights", "persistentVolumeClaim": {"claimName": "weights"}}],
        containers=[container(volumeMounts=[{"name": "weights", "mountPath": "/models"}])],
    )
    assert tenant.create(user).ok
    kubectl("wait", "--for=jsonpath={.status.phase}=Bound", "pvc/weights", "-n", namespace, "--timeout=90s")
    assert tenant.request("PATCH", address(wanted), {"metadata": {"labels": {"a": "b"}}}).ok
    kubectl("delete", "pod", "reader", "-n", namespace, "--grace-period=0", "--force")


# --- reach --------------------------------------------------------------------------------------------


def test_other_namespaces_are_untouched(governed: Governed, api: Api, free_namespace: str) -> None:
    free = make_tenant(api, free_namespace)
    for manifest in (
        pod(free_namespace, nodeName=UNLAWFUL, containers=[container("nginx")]),
        pod(free_namespace, hostNetwork=True),
        claim(free_namespace, volumeName="x"),
    ):
        answer = free.create(manifest, dry_run=True)
        assert answer.ok, answer.message
        assert governed.enforcement.plan.node_label not in answer.body["spec"].get("nodeSelector", {})


def test_audit_warns_and_refuses_nothing(api: Api, namespace: str, tenant: Api) -> None:
    policy = make_policy(api, namespace, enforcement="Audit")
    enforcement = enforce(api, policy, namespace, settings(api))
    breach = pod(namespace, nodeName=UNLAWFUL, hostPID=True, containers=[container("nginx")])
    answer = tenant.create(breach, dry_run=True)
    assert answer.ok, answer.message
    assert "nodeSelector" not in answer.body["spec"]
    warnings = "\n".join(answer.warnings)
    for words in (f"node {UNLAWFUL}", "image nginx", "hostPID"):
        assert words in warnings
    enforcement.remove()


def test_an_applied_plan_is_stored_as_it_was_written(governed: Governed, api: Api) -> None:
    for manifest in governed.enforcement.plan.admission:
        stored = api.get(address(manifest))
        assert stored["spec"] == manifest["spec"]
        assert stored["metadata"]["ownerReferences"] == manifest["metadata"]["ownerReferences"]
        again = api.apply(manifest)
        assert again.body["metadata"]["resourceVersion"] == stored["metadata"]["resourceVersion"]


@pytest.mark.parametrize("spec", [{}, {"images": {}, "storage": {}}, {"network": {"egress": [_GRANT]}}], ids=str)
def test_the_api_server_finds_nothing_wrong_with_the_types(api: Api, namespace: str, spec: dict[str, Any]) -> None:
    enforcement = enforce(api, make_policy(api, namespace, **spec), namespace, settings(api))
    for manifest in enforcement.plan.admission:
        if manifest["kind"] == "ValidatingAdmissionPolicy":
            path = address(manifest)
            checked = eventually(
                lambda path=path: api.request("GET", path),
                lambda answer: answer.body.get("status", {}).get("observedGeneration") == 1,
            )
            assert checked.body["status"].get("typeChecking", {}) == {}, manifest["metadata"]["name"]
    enforcement.remove()


# --- size ---------------------------------------------------------------------------------------------


def _many(count: int, domain: str, **labels: str) -> list[Node]:
    """Nodes that do not exist; ``domain`` keeps their names apart from those of other tests, whose rules are about all namespaces."""
    facts = {FACT_JURISDICTION: "FR"} | labels
    return [Node(f"node-{index:05}.{domain}.internal", labels=facts) for index in range(count)]


def _try_names(api: Api, namespace: str, enforcement: Enforcement, names: list[str]) -> None:
    waiting = pod(namespace, "waiting", nodeSelector={"no": "node"})
    assert api.create(waiting).ok
    for name in names:
        answer = bind(api, namespace, "waiting", name)
        assert answer.ok, answer.message
        refused = bind(api, namespace, "waiting", f"{name}x")
        assert refused.code == 403, name
        assert f"node {name}x is not approved" in refused.message
        named = api.create(pod(namespace, nodeName=f"{name}x"), dry_run=True)
        assert named.code == 403, name


def test_fifteen_thousand_approved_nodes_work(api: Api, namespace: str, free_namespace: str) -> None:
    """With every rule that lists them: for Bindings, pods and Nodes, and for strangers, because they are dedicated."""
    tier = {f"{namespace}.node-restriction.kubernetes.io/tier": "gold"}  # so that the nodes of other tests stay theirs
    many = _many(15_000, namespace, **tier)
    placement = {"jurisdictions": ["FR"], "nodeSelector": tier, "dedicated": True}
    enforcement = enforce(api, make_policy(api, namespace, placement=placement), namespace, settings(api), many)
    names = [many[0].name, many[7_777].name, many[-1].name]
    _try_names(api, namespace, enforcement, names)
    for name in names:
        assert api.create(node(name), dry_run=True).code == 403
        stranger = api.create(pod(free_namespace, nodeName=name), dry_run=True)
        assert f"node {name} is dedicated" in stranger.message
    free = api.create(pod(free_namespace, nodeName=LAWFUL), dry_run=True)
    assert free.ok, free.message
    enforcement.remove()


def test_names_cut_over_several_objects_are_each_judged_once(
    api: Api, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approval, "BYTES_PER_OBJECT", 20_000)
    many = _many(2_000, namespace)
    enforcement = enforce(api, make_policy(api, namespace), namespace, settings(api), many)
    shards = [one["metadata"]["name"] for one in enforcement.plan.admission if "-binding-" in one["metadata"]["name"]]
    assert len(shards) >= 8  # policies and bindings
    _try_names(api, namespace, enforcement, [LAWFUL, *(one.name for one in many[::250])])
    for one in many[::250]:
        eventually(lambda name=one.name: api.create(node(name), dry_run=True), lambda answer: answer.code == 403)
    fresh = api.create(node("node-fresh"), dry_run=True)
    assert fresh.ok, fresh.message
    enforcement.remove()


# --- quoting ------------------------------------------------------------------------------------------

_HOSTILE = [
    "' || true || '",
    "\\",
    "\\' || true",
    "'''",
    '"',
    "`",
    "${x} %s {{y}}",
    "a\nb\r\tc",
    "\u2028\u00e4\u202e",
    "\U0001d518",
    "\\u0027",
    "\x7f",
    "r'x'",
    "",
]


def test_the_api_server_reads_a_quoted_text_as_it_was_written(api: Api, namespace: str) -> None:
    keys = [f"k{index}" for index in range(len(_HOSTILE))]
    name = f"quoting-{namespace}"
    same = code("object.data[%s] == %s")
    expressions = [same.filled(quote(key), quote(text)).text for key, text in zip(keys, _HOSTILE, strict=True)]
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    group = "admissionregistration.k8s.io/v1"
    policy = {
        "apiVersion": group,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {
                "resourceRules": [rule],
                "namespaceSelector": {"matchLabels": {TEST_LABEL: namespace}},
            },
            "validations": [{"expression": expression} for expression in expressions],
        },
    }
    binding = {
        "apiVersion": group,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }
    for manifest in (policy, binding):
        answer = api.create(manifest)
        assert answer.ok, answer.message
    good = dict(zip(keys, _HOSTILE, strict=True))

    def attempt(data: dict[str, str]) -> Answer:
        meta = {"name": "quoting", "namespace": namespace}
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}
        return api.create(json.loads(json.dumps(manifest)), dry_run=True)

    eventually(lambda: attempt(good | {"k0": "other"}), lambda answer: not answer.ok)
    assert attempt(good).ok
    for key in keys:
        assert not attempt(good | {key: good[key] + "x"}).ok, key
    for manifest in (binding, policy):
        assert api.request("DELETE", address(manifest)).ok


def test_the_nodes_of_the_test_bed_are_as_these_tests_believe(api: Api) -> None:
    jurisdictions = {one.name: one.jurisdiction for one in nodes(api)}
    assert (jurisdictions[LAWFUL], jurisdictions[UNLAWFUL]) == ("FR", "US")
