"""Services, endpoints and routes that would open a governed namespace, or lead to what is unlawful, tried by who could."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from sovereign.api.meta import COPIED_LABELS, LABEL_COMPLIANT, LABEL_MODEL, LABEL_POOL
from sovereign.api.pool import PoolSpec
from sovereign.api.runtime import RuntimeSpec
from sovereign.plan.deployment import pod_labels
from sovereign.plan.inventory import InferencePool, Manifest, Owner, Runtime
from sovereign.plan.reserved_rules import TOPOLOGY
from sovereign.plan.service import service as pool_service
from sovereign.plan.service_rules import OF_ANY_VALUE
from tests.integration.actors import also, controller
from tests.integration.api import Answer, Api, address, collection
from tests.integration.conftest import Kubectl
from tests.integration.enforcement import (
    endpoints,
    enforce,
    eventually,
    ingress,
    make_policy,
    names,
    pod,
    service,
    settings,
)
from tests.integration.governed import Place, governed, stand_in

# One at a time: the kinds that stand in for the Gateway API are the whole cluster's.
pytestmark = pytest.mark.integration

OWN = {"app": "front"}


@pytest.fixture(scope="module")
def place(api: Api, kubectl: Kubectl) -> Iterator[Place]:
    """One namespace for all tests of this module that leave nothing behind."""
    with governed(api, kubectl) as made:
        # As `edit` had until Kubernetes 1.22, and has in clusters that are older than that.
        endpoints_too = {
            "apiGroups": ["", "discovery.k8s.io"],
            "resources": ["endpoints", "endpointslices"],
            "verbs": ["*"],
        }
        also(api, made.tenant, made.namespace, [endpoints_too])
        yield made


def pool(place: Place, **labels: str) -> InferencePool:
    """A pool of the tenant's, which is not there."""
    spec = {"modelRef": {"name": "m"}, "runtime": {"name": "vllm"}, "replicas": 1}
    owner = Owner("InferencePool", "chat", "u1", place.namespace, labels=labels)
    return InferencePool(owner, PoolSpec.model_validate(spec))


# --- Services -----------------------------------------------------------------------------------------


def test_what_an_application_needs_is_accepted(place: Place) -> None:
    for who in (place.tenant, place.admin):
        for spec in (
            {"selector": OWN},
            {"selector": OWN, "clusterIP": "None", "publishNotReadyAddresses": True},
            {"selector": {"app.kubernetes.io/name": "nginx", "app.kubernetes.io/instance": "front"}},
            {"selector": {LABEL_POOL: "chat", LABEL_COMPLIANT: "true"}},
        ):
            place.accepted(who.create(service(place.namespace, **spec), dry_run=True))


_SERVICES: dict[str, tuple[dict[str, Any], str]] = {
    "a name elsewhere": (
        {"type": "ExternalName", "externalName": "models.example.com"},
        "Service example stands for a name outside of the cluster; leave type ExternalName",
    ),
    "a name elsewhere, and a selector": (
        {"type": "ExternalName", "externalName": "models.example.com", "selector": OWN},
        "leave type ExternalName",
    ),
    "a port of the nodes": (
        {"type": "NodePort", "selector": OWN},
        "Service example opens a way in from outside of the cluster, which the policy does not; use type ClusterIP, or have",
    ),
    "a load balancer": ({"type": "LoadBalancer", "selector": OWN}, "network.serviceTypes"),
    "a load balancer of a class": (
        {
            "type": "LoadBalancer",
            "selector": OWN,
            "loadBalancerClass": "example.com/x",
            "allocateLoadBalancerNodePorts": False,
        },
        "network.serviceTypes",
    ),
    "addresses of others": ({"selector": OWN, "externalIPs": ["192.0.2.7"]}, "leave spec.externalIPs out"),
    "no selector": ({}, "Service example has no selector, so that whoever writes its endpoints"),
    "an empty selector": ({"selector": {}}, "has no selector"),
    "headless, no selector": ({"clusterIP": "None"}, "has no selector"),
}


@pytest.mark.parametrize("name", _SERVICES)
def test_row_9_a_service_that_leads_out_or_opens_a_way_in_is_refused(place: Place, name: str) -> None:
    spec, words = _SERVICES[name]
    for who in (place.tenant, place.admin, place.api):
        place.refused(who.create(service(place.namespace, **spec), dry_run=True), words)


_UNLAWFUL: dict[str, dict[str, str]] = {
    "by pool": {LABEL_POOL: "chat"},
    "by model": {LABEL_MODEL: "m"},
    "by both": {LABEL_POOL: "chat", LABEL_MODEL: "m"},
    "by product": {"app.kubernetes.io/name": "sovereign-ai"},
    "by instance": {"app.kubernetes.io/instance": "chat"},
    "by who manages it": {"app.kubernetes.io/managed-by": "sovereign-operator"},
    "by what it is for": {"app.kubernetes.io/component": "serving"},
    "by import": {"app.kubernetes.io/component": "import", LABEL_MODEL: "m"},
    "by a copied label": {"sovereignai.io/tenant": "t", "app.kubernetes.io/part-of": "p"},
    "by the ReplicaSet's label": {"pod-template-hash": "abc"},
    "by the Job's label": {"batch.kubernetes.io/job-name": "m-import-1"},
    "by the Job's old label": {"job-name": "m-import-1"},
    "by the node's region": {"topology.kubernetes.io/region": "us-east"},
    "by the node's region and pool": {LABEL_POOL: "chat", "topology.kubernetes.io/zone": "us-east-a"},
}


@pytest.mark.parametrize("name", _UNLAWFUL)
def test_row_9_a_service_that_could_lead_to_an_unlawful_pod_is_refused(place: Place, name: str) -> None:
    selector = _UNLAWFUL[name]
    refused = place.tenant.create(service(place.namespace, selector=selector), dry_run=True)
    place.refused(refused, "Service example could select pods with weights", f'add {LABEL_COMPLIANT}: "true"')
    lawful = selector | {LABEL_COMPLIANT: "true"}
    place.accepted(place.tenant.create(service(place.namespace, selector=lawful), dry_run=True))


_KEYS = (
    *COPIED_LABELS,
    *(LABEL_POOL, LABEL_MODEL, LABEL_COMPLIANT, "app", "pod-template-hash", "topology.kubernetes.io/zone"),
    *(f"app.kubernetes.io/{name}" for name in ("name", "instance", "component", "managed-by")),
)
_VALUES = ("sovereign-ai", "sovereign-operator", "serving", "true", "false", "chat", "m", "x", "")
_selectors = st.dictionaries(st.sampled_from(_KEYS), st.sampled_from(_VALUES), min_size=1, max_size=3)
_copied = st.dictionaries(st.sampled_from(COPIED_LABELS), st.sampled_from(_VALUES), max_size=2)


@examples(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_selectors, _copied)
def test_row_9_what_passes_selects_no_pod_that_is_where_it_may_not_be(
    place: Place, chosen: dict[str, str], copied: dict[str, str]
) -> None:
    """Whatever the tenant writes on its pool: the verifier has taken the label away, and the Service follows."""
    answer = place.tenant.create(service(place.namespace, selector=chosen), dry_run=True)
    assert answer.code in (201, 403), answer.message
    added = {"pod-template-hash": "x", "topology.kubernetes.io/zone": "x"}
    labels = pod_labels(pool(place, **copied)) | added
    del labels[LABEL_COMPLIANT]
    selected = all(labels.get(key) == value for key, value in chosen.items())
    assert not (answer.ok and selected)


def test_row_9_a_service_cannot_be_changed_into_one_that_is_refused(place: Place) -> None:
    harmless = service(place.namespace, "changing", selector=OWN)
    assert place.tenant.create(harmless).ok
    for change, words in (
        ({"type": "NodePort"}, "use type ClusterIP"),
        ({"externalIPs": ["192.0.2.7"]}, "leave spec.externalIPs out"),
        ({"type": "ExternalName", "externalName": "example.com"}, "leave type ExternalName"),
        ({"selector": None}, "has no selector"),
        ({"selector": {"app": None, LABEL_POOL: "chat"}}, "could select pods with weights"),
    ):
        place.refused(place.tenant.request("PATCH", address(harmless), {"spec": change}, dryRun="All"), words)
    place.accepted(place.tenant.request("PATCH", address(harmless), {"spec": {"ports": [{"port": 81}]}}))
    assert place.tenant.request("DELETE", address(harmless)).ok


def test_a_service_of_before_can_be_labelled_put_right_and_deleted_but_not_changed(
    api: Api, kubectl: Kubectl, place: Place
) -> None:
    """The operator's name is as good as a time before the policy: its writes are not judged."""
    before = service(place.namespace, "before", type="NodePort", selector=OWN)
    assert place.operator.create(before).ok
    change = {"metadata": {"labels": {"a": "b"}, "finalizers": []}}
    place.accepted(place.tenant.request("PATCH", address(before), change))
    ports = {"spec": {"ports": [{"port": 81}]}}
    place.refused(place.tenant.request("PATCH", address(before), ports), "use type ClusterIP")
    place.accepted(place.tenant.request("PATCH", address(before), {"spec": {"type": "ClusterIP"}}))
    assert place.tenant.request("DELETE", address(before)).ok


def test_types_that_the_policy_grants_are_accepted(api: Api, kubectl: Kubectl) -> None:
    with governed(api, kubectl, network={"serviceTypes": ["LoadBalancer"]}) as place:
        place.accepted(place.tenant.create(service(place.namespace, type="LoadBalancer", selector=OWN), dry_run=True))
        refused = place.tenant.create(service(place.namespace, type="NodePort", selector=OWN), dry_run=True)
        place.refused(refused, "use type ClusterIP or LoadBalancer, or have the type added to network.serviceTypes")
        unlawful = service(place.namespace, type="LoadBalancer", selector={LABEL_POOL: "chat"})
        place.refused(place.tenant.create(unlawful, dry_run=True), "could select pods with weights")


def test_the_operator_writes_its_own_service_and_the_api_server_its_own(place: Place) -> None:
    own = pool_service(pool(place), Runtime("vllm", RuntimeSpec()))
    place.accepted(place.operator.apply(own, dryRun="All"))
    server = place.api.as_user("system:apiserver", "system:masters")
    place.accepted(server.create(service(place.namespace, "kubernetes"), dry_run=True))
    place.accepted(server.create(endpoints(place.namespace, "kubernetes"), dry_run=True))
    place.accepted(server.create(slice_(place.namespace, "kubernetes"), dry_run=True))


# --- endpoints ----------------------------------------------------------------------------------------


def slice_(namespace: str, service: str = "chat", address: str = "192.0.2.1", **labels: str) -> Manifest:
    """An EndpointSlice by which a Service would lead to one address."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service}-forged",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service} | labels,
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address]}],
        "ports": [{"port": 80, "protocol": "TCP"}],
    }


@pytest.mark.parametrize("managed_by", ["", "endpointslice-controller.k8s.io"])
def test_row_9_forged_endpoints_are_refused(place: Place, managed_by: str) -> None:
    labels = {"endpointslice.kubernetes.io/managed-by": managed_by} if managed_by else {}
    forged = {
        "Endpoints chat": endpoints(place.namespace, "chat"),
        "EndpointSlice chat-": slice_(place.namespace, **labels),
    }
    for who in (place.tenant, place.api, place.operator, place.api.as_user("system:kube-scheduler", "system:masters")):
        for what, manifest in forged.items():
            place.refused(who.create(manifest, dry_run=True), what, "says where a Service leads", "leave it")


def listed(place: Place, service: str) -> Answer:
    """The EndpointSlices of a Service."""
    return place.api.request(
        "GET", collection(slice_(place.namespace)), labelSelector=f"kubernetes.io/service-name={service}"
    )


def led_to(answer: Answer) -> set[str]:
    """The addresses in EndpointSlices."""
    found = [one for item in answer.body["items"] for one in item.get("endpoints") or []]
    return {address for one in found for address in one["addresses"]}


def test_row_9_endpoints_that_the_cluster_wrote_cannot_be_led_elsewhere(place: Place) -> None:
    led = service(place.namespace, "led", selector=OWN)
    assert place.tenant.create(led).ok
    found = eventually(lambda: listed(place, "led"), lambda answer: bool(answer.body.get("items")))
    written = found.body["items"][0]
    path = f"{collection(slice_(place.namespace))}/{written['metadata']['name']}"
    old_path = address(endpoints(place.namespace, "led"))
    old = eventually(lambda: place.api.request("GET", old_path), lambda answer: answer.ok).body
    elsewhere = {"endpoints": [{"addresses": ["192.0.2.1"]}], "ports": [{"port": 80, "protocol": "TCP"}]}
    old_elsewhere = {"subsets": endpoints(place.namespace)["subsets"]}
    for where, change in (
        (path, elsewhere),
        (path, {"metadata": {"labels": {"kubernetes.io/service-name": "other"}}}),
        (path, {"metadata": {"labels": {"endpointslice.kubernetes.io/managed-by": "me"}}}),
        (old_path, old_elsewhere),
    ):
        for who in (place.tenant, place.api, place.operator):
            answer = who.request("PATCH", where, change, dryRun="All")
            place.refused(answer, "says where a Service leads")
    for where in (path, old_path):
        for change in ({"finalizers": ["example.com/x"]}, {"annotations": {"a": "b"}}):
            place.accepted(place.tenant.request("PATCH", where, {"metadata": change}, dryRun="All"))
    for name, where, stored, change in (
        ("endpointslice-controller", path, written, elsewhere),
        ("endpoint-controller", old_path, old, old_elsewhere),
    ):
        answer = controller(place.api, name).request("PUT", where, stored | change, dryRun="All")
        assert answer.ok, answer.message
    assert place.tenant.request("DELETE", address(led)).ok


def test_row_9_a_service_cannot_go_on_leading_to_a_pod_that_has_become_unlawful(place: Place, kubectl: Kubectl) -> None:
    """Without a selector, a Service leads where it led, for ever: so do the EndpointSlices that one leaves as orphans."""
    serving = pod(place.namespace, "kept", nodeName="gpu-fr-1")
    serving["metadata"]["labels"] = {LABEL_POOL: "chat", LABEL_MODEL: "m", LABEL_COMPLIANT: "true"}
    assert place.operator.create(serving).ok
    led = service(place.namespace, "kept", selector={LABEL_POOL: "chat", LABEL_COMPLIANT: "true"})
    assert place.tenant.create(led).ok
    kept = led_to(eventually(lambda: listed(place, "kept"), lambda answer: bool(led_to(answer))))
    place.refused(place.tenant.request("PATCH", address(led), {"spec": {"selector": None}}), "has no selector")
    assert place.tenant.request("DELETE", address(led), propagationPolicy="Orphan").ok
    # The controllers that follow a Service share their view of it: where the Endpoints are gone, none follows it any more.
    eventually(
        lambda: place.api.request("GET", address(endpoints(place.namespace, "kept"))), lambda answer: answer.code == 404
    )
    assert not any(item["metadata"].get("ownerReferences") for item in listed(place, "kept").body["items"])
    unlawful = {"metadata": {"labels": {LABEL_COMPLIANT: None}}}
    assert place.operator.request("PATCH", address(serving), unlawful).ok
    assert led_to(listed(place, "kept")) == kept
    place.refused(place.tenant.create(service(place.namespace, "kept")), "has no selector")
    assert place.tenant.create(service(place.namespace, "kept", selector=OWN)).ok
    eventually(lambda: listed(place, "kept"), lambda answer: not led_to(answer))
    assert place.tenant.request("DELETE", address(led)).ok
    kubectl("delete", "pod", "kept", "-n", place.namespace, "--grace-period=0", "--force")


def test_deletion_of_endpoints_finishes_whoever_put_a_finalizer_there(place: Place) -> None:
    led = service(place.namespace, "held", selector=OWN)
    assert place.tenant.create(led).ok
    found = eventually(lambda: listed(place, "held"), lambda answer: bool(answer.body.get("items")))
    path = f"{collection(slice_(place.namespace))}/{found.body['items'][0]['metadata']['name']}"
    assert place.tenant.request("PATCH", path, {"metadata": {"finalizers": ["example.com/x"]}}).ok
    assert place.tenant.request("DELETE", address(led)).ok
    gone = eventually(
        lambda: place.api.request("GET", path), lambda answer: "deletionTimestamp" in answer.body["metadata"]
    )
    assert gone.ok
    assert place.tenant.request("PATCH", path, {"metadata": {"finalizers": None}}).ok
    eventually(lambda: place.api.request("GET", path), lambda answer: answer.code == 404)


# --- the labels of pods -------------------------------------------------------------------------------


def test_row_9_a_pod_with_weights_cannot_be_given_a_label_that_another_service_selects(
    place: Place, kubectl: Kubectl
) -> None:
    serving = pod(place.namespace, "labelled", nodeSelector={"no": "node"})
    serving["metadata"]["labels"] = {LABEL_MODEL: "m", "a": "b"}
    assert place.operator.create(serving).ok
    for labels in ({"app": "front"}, {"a": "c"}):
        for who in (place.tenant, place.admin, place.api):
            answer = who.request("PATCH", address(serving), {"metadata": {"labels": labels}}, dryRun="All")
            place.refused(answer, "pod labelled: its labels cannot become more, because the pod has weights")
    for change in ({"labels": {"a": None}}, {"annotations": {"a": "b"}}):
        place.accepted(place.tenant.request("PATCH", address(serving), {"metadata": change}, dryRun="All"))
    kubectl("delete", "pod", "labelled", "-n", place.namespace, "--grace-period=0", "--force")


def test_the_cluster_adds_no_labels_but_those_that_are_known(place: Place, kubectl: Kubectl) -> None:
    """What a ReplicaSet, a Job and the binding to a node add to pods, on this API server."""
    own = {"own": "1"}
    template = {"metadata": {"labels": own}, "spec": pod(place.namespace, nodeSelector=FRENCH)["spec"]}
    meta = {"name": "adding", "namespace": place.namespace}
    replicas = {"replicas": 1, "selector": {"matchLabels": own}, "template": template}
    job_template = {**template, "spec": template["spec"] | {"restartPolicy": "Never"}}
    made = [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": replicas},
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {"template": job_template}},
    ]
    for manifest in made:
        assert place.operator.create(manifest).ok

    def scheduled() -> Answer:
        return place.api.request("GET", f"/api/v1/namespaces/{place.namespace}/pods", labelSelector="own=1")

    pods = eventually(
        scheduled, lambda answer: sum(1 for item in answer.body["items"] if item["spec"].get("nodeName")) == 2
    ).body["items"]
    added = {key for item in pods for key in item["metadata"]["labels"]} - own.keys()
    assert {key for key in added if not key.startswith(TOPOLOGY)} == set(OF_ANY_VALUE[-len(ADDED) :]) == ADDED
    for manifest in made:
        assert place.operator.request("DELETE", address(manifest), propagationPolicy="Background").ok


FRENCH = {"kubernetes.io/hostname": "gpu-fr-1"}
ADDED = {
    "pod-template-hash",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "controller-uid",
    "job-name",
}


# --- Ingresses and routes -----------------------------------------------------------------------------

GATEWAY = "gateway.networking.k8s.io"
ROUTES = {
    "gateways": "Gateway",
    "httproutes": "HTTPRoute",
    "grpcroutes": "GRPCRoute",
    "tcproutes": "TCPRoute",
    "tlsroutes": "TLSRoute",
    "udproutes": "UDPRoute",
    "referencegrants": "ReferenceGrant",
}


@pytest.fixture(scope="module")
def gateways(api: Api, kubectl: Kubectl, place: Place) -> None:
    """The Gateway API, installed after the policy, with its experimental kinds in an old version."""
    old = {plural: ROUTES[plural] for plural in ("tcproutes", "udproutes")}
    new = {plural: kind for plural, kind in ROUTES.items() if plural not in old}
    stand_in(api, kubectl, GATEWAY, "v1", **new)
    stand_in(api, kubectl, GATEWAY, "v1alpha2", **old)


def route(namespace: str, plural: str = "httproutes", name: str = "example", **spec: Any) -> Manifest:
    """A route, or what goes with one."""
    version = "v1alpha2" if plural in ("tcproutes", "udproutes") else "v1"
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": f"{GATEWAY}/{version}", "kind": ROUTES[plural], "metadata": meta, "spec": spec}


def to(name: str = "chat", **fields: Any) -> dict[str, Any]:
    """A rule that sends everything to one backend."""
    return {"backendRefs": [{"name": name, "port": 80, **fields}]}


def test_an_ingress_is_refused_unless_the_policy_allows_routes(place: Place) -> None:
    for who in (place.tenant, place.admin):
        place.refused(
            who.create(ingress(place.namespace), dry_run=True),
            "Ingress example opens a way in from outside of the cluster, which the policy does not; leave it out, or have "
            "network.routes allow it",
        )


@pytest.mark.parametrize("plural", ROUTES)
def test_a_route_is_refused_unless_the_policy_allows_routes(place: Place, gateways: None, plural: str) -> None:
    manifest = route(place.namespace, plural, rules=[to()])
    refused = place.api.create(manifest, dry_run=True)
    place.refused(refused, f"{ROUTES[plural]} example opens a way in from outside of the cluster", "network.routes")
    del manifest["spec"]
    place.refused(place.api.create(manifest, dry_run=True), f"{ROUTES[plural]} example opens a way in")


def test_a_route_of_before_can_be_labelled_and_deleted_but_not_changed(
    api: Api, kubectl: Kubectl, gateways: None, namespace: str
) -> None:
    with_spec, without = route(namespace, name="with", rules=[to()]), route(namespace, "referencegrants", "without")
    del without["spec"]
    before = [with_spec, without, ingress(namespace)]
    for manifest in before:
        assert api.create(manifest).ok
    enforcement = enforce(api, make_policy(api, namespace), namespace, settings(api))
    for manifest in before:
        meta = {"metadata": {"labels": {"a": "b"}, "finalizers": []}}
        assert api.request("PATCH", address(manifest), meta).ok
        answer = api.request("PATCH", address(manifest), {"spec": {"ingressClassName": "x"}})
        assert names(enforcement, "-routes")(answer)
        assert api.request("DELETE", address(manifest)).ok
    enforcement.remove()


ELSEWHERE = {"name": "mirror", "namespace": "elsewhere", "port": 80}
_LEAVING: dict[str, dict[str, Any]] = {
    "requests": to(namespace="elsewhere"),
    "some of the requests": {"backendRefs": [{"name": "chat", "port": 80}, ELSEWHERE]},
    "copies": to() | {"filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": ELSEWHERE}}]},
    "copies of what one backend gets": to(
        filters=[{"type": "RequestMirror", "requestMirror": {"backendRef": ELSEWHERE}}]
    ),
    "requests to be judged": to() | {"filters": [{"type": "ExternalAuth", "externalAuth": {"backendRef": ELSEWHERE}}]},
}


def test_routes_that_the_policy_allows_stay_in_their_namespace(api: Api, kubectl: Kubectl, gateways: None) -> None:
    with governed(api, kubectl, network={"routes": "Allow"}) as place:
        place.accepted(place.tenant.create(ingress(place.namespace), dry_run=True))

        def leaving() -> Answer:
            return place.api.create(route(place.namespace, rules=[to(), to(namespace="elsewhere")]), dry_run=True)

        eventually(leaving, lambda answer: answer.code == 403)
        for what, rule in _LEAVING.items():
            answer = place.api.create(route(place.namespace, rules=[to(), rule]), dry_run=True)
            assert answer.code == 403, what
            place.refused(answer, "HTTPRoute example sends requests to another namespace; let each backendRef")
        for plural in ROUTES:
            refused = place.api.create(route(place.namespace, plural, rules=[to(namespace="elsewhere")]), dry_run=True)
            place.refused(refused, ROUTES[plural])
        for rules in ([to()], [to(namespace=place.namespace)], [{"filters": [{"type": "URLRewrite"}]}], []):
            place.accepted(place.api.create(route(place.namespace, rules=rules), dry_run=True))
        listener = {"name": "http", "port": 80, "protocol": "HTTP"}
        place.accepted(place.api.create(route(place.namespace, "gateways", listeners=[listener]), dry_run=True))


def test_routes_of_other_namespaces_are_untouched(api: Api, gateways: None, free_namespace: str) -> None:
    for manifest in (
        ingress(free_namespace),
        route(free_namespace, rules=[to(namespace="elsewhere")]),
        service(free_namespace, type="NodePort"),
        endpoints(free_namespace),
        slice_(free_namespace),
    ):
        answer = api.create(manifest, dry_run=True)
        assert answer.ok, answer.message


# --- all of it ----------------------------------------------------------------------------------------


def test_audit_warns_and_refuses_nothing(api: Api, kubectl: Kubectl, gateways: None) -> None:
    with governed(api, kubectl, enforcement="Audit") as place:
        for manifest, words in (
            (service(place.namespace, type="NodePort"), "has no selector"),
            (endpoints(place.namespace), "says where a Service leads"),
            (slice_(place.namespace), "says where a Service leads"),
            (ingress(place.namespace), "opens a way in"),
            (route(place.namespace), "opens a way in"),
        ):
            answer = place.api.create(manifest, dry_run=True)
            assert answer.ok, answer.message
            assert words in "\n".join(answer.warnings)


@pytest.mark.parametrize("routes", ["Deny", "Allow"])
def test_no_rule_of_any_policy_is_doubtful_to_the_api_server(
    api: Api, kubectl: Kubectl, gateways: None, routes: str
) -> None:
    with governed(api, kubectl, network={"routes": routes}) as place:
        policies = [one for one in place.enforcement.plan.admission if one["kind"] == "ValidatingAdmissionPolicy"]
        for path in map(address, policies):
            checked = eventually(
                lambda path=path: api.request("GET", path),
                lambda answer: answer.body.get("status", {}).get("observedGeneration") == 1,
            )
            assert "expressionWarnings" not in checked.body["status"].get("typeChecking", {}), path
