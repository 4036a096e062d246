"""Ways into running pods and tokens of service accounts, tried by everybody on a real API server."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration import actors
from tests.integration.api import Answer, Api, address
from tests.integration.conftest import TEST_LABEL, Kubectl, make_namespace, make_tenant
from tests.integration.enforcement import (
    IMAGE,
    InForce,
    container,
    enforce,
    eventually,
    make_policy,
    names,
    pod,
    settings,
    token_secret,
)

pytestmark = pytest.mark.integration

NODE = "gpu-fr-1"
_DEBUG = [{"apiGroups": [""], "resources": ["pods/resize", "pods/ephemeralcontainers"], "verbs": ["update", "patch"]}]
_EVERYTHING = {
    "exec": "Allow",
    "portForward": "Allow",
    "ephemeralContainers": "Allow",
    "resize": "Allow",
    "serviceAccountTokens": "Allow",
}


@dataclass(frozen=True)
class Shut(InForce):
    """A governed namespace with a pod, and everybody who would like to get into it."""

    namespace: str
    everybody: tuple[Api, ...]
    """A tenant, an administrator of the namespace, one of the cluster, and the operator."""
    pod: str
    """The path of a pod that waits for a node."""

    @property
    def tenant(self) -> Api:
        return self.everybody[0]


def _shut(api: Api, kubectl: Kubectl, name: str, **access: str) -> Shut:
    namespace = make_namespace(api, kubectl, name, {TEST_LABEL: name})
    enforcement = enforce(api, make_policy(api, namespace, access=access), namespace, settings(api))
    tenant, admin = make_tenant(api, namespace), actors.admin(api, namespace)
    for who in (tenant, admin):
        actors.also(api, who, namespace, _DEBUG)
    resources = {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}
    waiting = pod(namespace, "waiting", nodeSelector={"no": "node"}, containers=[container(resources=resources)])
    assert api.create(waiting).ok
    everybody = (tenant, admin, api, actors.operator(api))
    return Shut(enforcement, namespace, everybody, address(waiting))


@pytest.fixture(scope="module")
def shut(api: Api, kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[Shut]:
    """A namespace with every way denied, which is the default."""
    worker = getattr(request.config, "workerinput", {}).get("workerid", "one")
    made = _shut(api, kubectl, f"access-{worker}")
    yield made
    made.enforcement.remove()
    kubectl("delete", "namespace", made.namespace, "--wait")


@pytest.fixture(scope="module")
def open_(api: Api, kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[Shut]:
    """A namespace whose policy allows every way."""
    worker = getattr(request.config, "workerinput", {}).get("workerid", "one")
    made = _shut(api, kubectl, f"open-{worker}", **_EVERYTHING)
    yield made
    made.enforcement.remove()
    kubectl("delete", "namespace", made.namespace, "--wait")


# --- streams ------------------------------------------------------------------------------------------

_STREAMS = {
    "exec": ("exec", {"command": "id", "stdout": "true"}, "exec, attach and cp are denied; read the pod's logs"),
    "attach": ("attach", {"stdout": "true"}, "access.exec set to Allow"),
    "port-forward": ("portforward", {"ports": "8000"}, "port-forward and the API server's proxy are denied; call the Service"),
    "proxy": ("proxy", {}, "access.portForward set to Allow"),
    "proxy of a path": ("proxy/metrics", {}, "access.portForward"),
}  # fmt: skip


@pytest.mark.parametrize("protocol", ["websocket", "SPDY/3.1"])
@pytest.mark.parametrize("name", _STREAMS)
def test_no_stream_into_a_pod_is_opened_for_anybody(shut: Shut, name: str, protocol: str) -> None:
    """Row 13: CONNECT, however it is asked for."""
    way, query, words = _STREAMS[name]
    for who in shut.everybody:
        shut.refused(who.connect(f"{shut.pod}/{way}", protocol, **query), words)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
def test_no_request_is_proxied_to_a_pod_or_a_service(shut: Shut, method: str) -> None:
    """Row 13: the API server's proxy, by every method and to every port."""
    services = f"/api/v1/namespaces/{shut.namespace}/services"
    body = {} if method in ("POST", "PUT", "PATCH") else None
    for path in (
        f"{shut.pod}/proxy",
        f"{shut.pod}:8000/proxy/x",
        f"{services}/chat/proxy/",
        f"{services}/https:chat:http/proxy/v1",
    ):
        for who in shut.everybody:
            shut.refused(who.request(method, path, body), "the API server's proxy are denied")


@pytest.mark.parametrize(
    "command",
    [
        ("exec", "running", "--", "id"),
        ("cp", "/etc/hostname", "running:/tmp/x"),
        ("attach", "running"),
        ("port-forward", "running", "0:8000"),
        ("debug", "running", "--profile=restricted", f"--image={IMAGE}"),
    ],
    ids=lambda command: str(command[0]),
)
def test_kubectl_says_what_the_policy_says(shut: Shut, api: Api, kubectl: Kubectl, command: tuple[str, ...]) -> None:
    """Row 13, with the client that people have, on a pod that runs."""
    assert api.create(pod(shut.namespace, "running", nodeName=NODE)).ok
    kubectl("wait", "--for=jsonpath={.status.phase}=Running", "pod/running", "-n", shut.namespace, "--timeout=60s")
    for user in (None, shut.tenant.user):
        done = kubectl.run("-n", shut.namespace, *command, as_user=user)
        assert done.returncode
        assert f"policy {shut.enforcement.policy.name}: kubectl" in done.stderr
    kubectl("delete", "pod", "running", "-n", shut.namespace, "--grace-period=0", "--force")


def test_logs_are_read_all_the_same(shut: Shut) -> None:
    """Reading is the role's affair: no admission rule is asked about it."""
    answer = shut.tenant.request("GET", f"{shut.pod}/log")
    assert answer.code == 204, answer.body  # without a node it has written nothing


def test_other_namespaces_are_untouched(shut: Shut, api: Api, free_namespace: str) -> None:
    free = make_tenant(api, free_namespace)
    for way, query, _ in _STREAMS.values():
        path = f"/api/v1/namespaces/{free_namespace}/pods/none/{way}"
        assert free.connect(path, "websocket", **query).code == 404


# --- changes of running pods --------------------------------------------------------------------------


def test_no_container_is_added_to_a_running_pod(shut: Shut) -> None:
    """Row 13: by PATCH and by PUT."""
    debugger = {"spec": {"ephemeralContainers": [container(name="shell")]}}
    whole = shut.tenant.get(shut.pod)
    whole["spec"] |= debugger["spec"]
    for who in shut.everybody:
        for method, body in (("PATCH", debugger), ("PUT", whole)):
            answer = who.request(method, f"{shut.pod}/ephemeralcontainers", body, dryRun="All")
            shut.refused(answer, "kubectl debug", "access.ephemeralContainers set to Allow")


def test_no_running_pod_is_resized(shut: Shut) -> None:
    """Row 13: by PATCH and by PUT."""
    whole = shut.tenant.get(shut.pod)
    whole["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "2"
    change = {"spec": {"containers": whole["spec"]["containers"]}}
    for who in shut.everybody:
        for method, body in (("PATCH", change), ("PUT", whole)):
            answer = who.request(method, f"{shut.pod}/resize", body, dryRun="All")
            shut.refused(answer, "CPU and memory of a running pod cannot be changed", "access.resize set to Allow")


# --- tokens -------------------------------------------------------------------------------------------


def _token(who: Api, namespace: str, **spec: Any) -> Answer:
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    return who.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token", request)


def test_no_token_is_given_to_act_as_a_workload(shut: Shut) -> None:
    """Row 13: neither for an hour nor, as a Secret, for ever; and a pod named in the request makes nobody a kubelet."""
    uid = shut.tenant.get(shut.pod)["metadata"]["uid"]
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "waiting", "uid": uid}
    for who in shut.everybody:
        for spec in ({}, {"boundObjectRef": bound}, {"audiences": ["elsewhere"]}):
            shut.refused(_token(who, shut.namespace, **spec), "tokens of service accounts are given to kubelets alone")
        shut.refused(who.create(token_secret(shut.namespace), dry_run=True), "hold a token that does not expire")
        other = token_secret(shut.namespace) | {"type": "Opaque"}
        assert who.create(other, dry_run=True).ok


def test_a_kubelet_gets_tokens_for_its_pods_alone(shut: Shut, api: Api, kubectl: Kubectl) -> None:
    running = pod(shut.namespace, "running", nodeName=NODE)
    made = api.create(running)
    assert made.ok, made.message
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "running", "uid": made.body["metadata"]["uid"]}
    node = actors.kubelet(api, NODE)
    answer = eventually(lambda: _token(node, shut.namespace, boundObjectRef=bound), lambda one: one.code != 403)
    assert answer.ok, answer.message
    assert _token(node, shut.namespace).code == 403
    assert _token(actors.kubelet(api, "gpu-us-1"), shut.namespace, boundObjectRef=bound).code == 403
    kubectl("delete", "pod", "running", "-n", shut.namespace, "--grace-period=0", "--force")


# --- nodes --------------------------------------------------------------------------------------------

_INTO = [
    "run/ns/pod/main?cmd=id",
    "exec/ns/pod/main?command=id",
    "attach/ns/pod/main",
    "portForward/ns/pod",
    "cri/exec/token",
    "debug/pprof/heap",
    "checkpoint/ns/pod/main",
    "metrics/../exec/ns/pod/main",
    "metrics/%2e%2e/exec/ns/pod/main",
    "metrics//exec",
    "%65xec/ns/pod/main",
    "Exec/ns/pod/main",
    "pods/x%2f..%2f..%2fexec/ns/pod/main",
    "",
]
_READING = [
    "metrics",
    "metrics/cadvisor",
    "stats/summary",
    "healthz",
    "pods",
    "logs/",
    "logs/containers/chat_ns_main-0a.log",
    "containerLogs/ns/pod/main?tailLines=3",
    "configz",
]


@pytest.mark.parametrize("path", _INTO)
def test_a_nodes_proxy_is_no_way_into_containers(shut: Shut, api: Api, path: str) -> None:
    """Row 13: of any node, by its name or with a port, and for whoever may use it."""
    for node in ("no-such-node", "https:no-such-node:10250"):
        for who in (api, actors.operator(api)):
            for method in ("GET", "POST"):
                answer = eventually(
                    lambda who=who, method=method, node=node: who.request(method, f"/api/v1/nodes/{node}/proxy/{path}"),
                    lambda answer: answer.code != 404 or "nodes " not in answer.message,
                )
                assert answer.code in (301, 403), answer.body
                if answer.code == 403:
                    assert "of the node's proxy could run something in a container" in answer.message


@pytest.mark.parametrize("path", _READING)
def test_a_nodes_proxy_goes_on_being_read(shut: Shut, api: Api, path: str) -> None:
    answer = api.request("GET", f"/api/v1/nodes/no-such-node/proxy/{path}")
    assert answer.code == 404, answer.body
    assert 'nodes "no-such-node" not found' in answer.message


# --- what a policy allows -----------------------------------------------------------------------------


def test_what_is_allowed_is_let_through(open_: Shut) -> None:
    there = {
        one["metadata"]["name"].removeprefix(f"sovereign-{open_.enforcement.policy.name}")
        for one in open_.enforcement.plan.admission
    }
    assert not there & {"-access", "-tokens", "-node-proxy"}
    containers = open_.tenant.get(open_.pod)["spec"]["containers"]
    containers[0]["resources"]["requests"]["cpu"] = "2"
    for who in open_.everybody:
        for way, query, _ in _STREAMS.values():
            answer = who.connect(f"{open_.pod}/{way}", "websocket", **query)
            assert answer.code != 403, answer.message
        debugger = {"spec": {"ephemeralContainers": [container(name="shell")]}}
        assert who.request("PATCH", f"{open_.pod}/ephemeralcontainers", debugger, dryRun="All").ok
        resized = who.request("PATCH", f"{open_.pod}/resize", {"spec": {"containers": containers}}, dryRun="All")
        assert resized.ok, resized.message
        assert _token(who, open_.namespace).ok
        assert who.create(token_secret(open_.namespace), dry_run=True).ok


def test_audit_warns_and_opens_nothing_else(api: Api, namespace: str, tenant: Api) -> None:
    enforcement = enforce(api, make_policy(api, namespace, enforcement="Audit"), namespace, settings(api))
    answer = tenant.connect(f"/api/v1/namespaces/{namespace}/pods/none/exec", "SPDY/3.1", command="id")
    assert answer.code == 404
    assert names(enforcement, "-access")(answer)
    enforcement.remove()
