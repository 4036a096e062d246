"""What a pod may not ask for whatever its namespace's Pod Security level says, in each kind of container, on a real API server."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sovereign.plan import pod_baseline, pod_rules
from sovereign.plan.inventory import Manifest
from tests.integration import actors
from tests.integration.api import Api, address
from tests.integration.conftest import TEST_LABEL, Kubectl, make_namespace, make_tenant
from tests.integration.enforcement import InForce, container, enforce, make_policy, pod, settings

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Governed(InForce):
    """A governed namespace without a Pod Security level, a tenant in it, and a pod that waits."""

    api: Api
    tenant: Api
    namespace: str
    waiting: str


@pytest.fixture(scope="module")
def governed(api: Api, kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[Governed]:
    """One namespace for all tests of this module."""
    worker = getattr(request.config, "workerinput", {}).get("workerid", "one")
    labels = {TEST_LABEL: f"pods-{worker}", "pod-security.kubernetes.io/enforce": "privileged"}
    name = make_namespace(api, kubectl, f"pods-{worker}", labels)
    policy = make_policy(api, name, access={"ephemeralContainers": "Allow"})
    enforcement = enforce(api, policy, name, settings(api))
    tenant = make_tenant(api, name)
    patching = {"apiGroups": [""], "resources": ["pods/ephemeralcontainers"], "verbs": ["patch"]}
    actors.also(api, tenant, name, [patching])
    waiting = pod(name, "waiting", nodeSelector={"no": "node"})
    assert tenant.create(waiting).ok
    yield Governed(enforcement, api, tenant, name, address(waiting))
    enforcement.remove()
    kubectl("delete", "namespace", name, "--wait")


def _context(**fields: Any) -> dict[str, Any]:
    return {"securityContext": fields}


_HTTP = {"host": "192.0.2.1", "port": 80}
_CONTAINERS: dict[str, tuple[dict[str, Any], str]] = {
    "privileged": (_context(privileged=True), "securityContext.privileged"),
    "SYS_ADMIN": (_context(capabilities={"add": ["SYS_ADMIN"]}), "adds capabilities that reach the host"),
    "NET_RAW": (_context(capabilities={"drop": ["ALL"], "add": ["CHOWN", "NET_RAW"]}), "capabilities.add"),
    "all capabilities": (_context(capabilities={"add": ["ALL"]}), "capabilities.add"),
    "a capability by its other name": (_context(capabilities={"add": ["CAP_SYS_PTRACE"]}), "capabilities.add"),
    "SELinux type": (_context(seLinuxOptions={"type": "spc_t"}), "SELinux holds containers apart"),
    "SELinux user": (_context(seLinuxOptions={"user": "system_u"}), "user and role out of seLinuxOptions"),
    "SELinux role": (_context(seLinuxOptions={"role": "system_r"}), "user and role out of seLinuxOptions"),
    "AppArmor": (_context(appArmorProfile={"type": "Unconfined"}), "AppArmor must not be switched off"),
    "seccomp": (_context(seccompProfile={"type": "Unconfined"}), "seccomp must not be switched off"),
    "http_proxy": ({"env": [{"name": "http_proxy", "value": "http://192.0.2.1"}]}, "has the variable http_proxy"),
    "HTTPS_PROXY": ({"env": [{"name": "HTTPS_PROXY", "value": "http://192.0.2.1"}]}, "variable HTTPS_PROXY"),
    "All_Proxy": ({"env": [{"name": "A"}, {"name": "All_Proxy", "value": "x"}]}, "variable All_Proxy"),
    "ftp_proxy": (
        {"env": [{"name": "FTP_proxy", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]},
        "FTP_proxy that would send requests through another machine",
    ),
}


@pytest.mark.parametrize("name", _CONTAINERS)
def test_no_container_reaches_out_of_its_pod(governed: Governed, name: str) -> None:
    """Row 14: one of the first, an init container, one that was added later."""
    fields, words = _CONTAINERS[name]
    for spec in (
        {"containers": [container(), container(name="second", **fields)]},
        {"initContainers": [container(name="first", **fields)]},
    ):
        governed.refused(governed.tenant.create(pod(governed.namespace, **spec), dry_run=True), words)
    added = {"spec": {"ephemeralContainers": [container(name="later", **fields)]}}
    path = f"{governed.waiting}/ephemeralcontainers"
    answer = governed.tenant.request("PATCH", path, added, dryRun="All")
    governed.refused(answer, words)


def test_proc_stays_masked(governed: Governed) -> None:
    """Row 14: with a user namespace too, where the API server and Pod Security let it be."""
    unmasked = container(**_context(procMount="Unmasked"))
    spec = {"containers": [unmasked], "hostUsers": False}
    governed.refused(governed.tenant.create(pod(governed.namespace, **spec), dry_run=True), "wants /proc unmasked")


@pytest.mark.parametrize("probe", ["livenessProbe", "readinessProbe", "startupProbe"])
@pytest.mark.parametrize("handler", ["httpGet", "tcpSocket"])
def test_no_kubelet_is_sent_to_another_host_by_a_probe(governed: Governed, probe: str, handler: str) -> None:
    """Row 14: it would go from the node's network, which no NetworkPolicy holds."""
    spec = {"containers": [container(**{probe: {handler: _HTTP}})]}
    governed.refused(
        governed.tenant.create(pod(governed.namespace, **spec), dry_run=True), "container main has a probe"
    )
    lawful = {"containers": [container(**{probe: {handler: {"port": 80}}})]}
    assert governed.tenant.create(pod(governed.namespace, **lawful), dry_run=True).ok


@pytest.mark.parametrize("hook", ["postStart", "preStop"])
def test_no_kubelet_is_sent_to_another_host_by_a_hook(governed: Governed, hook: str) -> None:
    """Row 14."""
    for handler in ("httpGet", "tcpSocket"):
        spec = {"containers": [container(lifecycle={hook: {handler: _HTTP}})]}
        answer = governed.tenant.create(pod(governed.namespace, **spec), dry_run=True)
        governed.refused(answer, "a probe or a hook that calls another host")


_PODS: dict[str, tuple[dict[str, Any], str]] = {
    "SELinux": (_context(seLinuxOptions={"type": "spc_t"}), "SELinux"),
    "AppArmor": (_context(appArmorProfile={"type": "Unconfined"}), "AppArmor"),
    "seccomp": (_context(seccompProfile={"type": "Unconfined"}), "seccomp"),
    "an unsafe sysctl": (
        _context(sysctls=[{"name": "net.ipv4.tcp_syncookies", "value": "1"}, {"name": "kernel.msgmax", "value": "1"}]),
        "sysctl kernel.msgmax reaches other pods on the host",
    ),
    "a process of the host": (
        _context(windowsOptions={"hostProcess": True}) | {"hostNetwork": True},
        "hostNetwork",
    ),
}


@pytest.mark.parametrize("name", _PODS)
def test_nor_does_the_pod_as_a_whole(governed: Governed, name: str) -> None:
    """Row 14."""
    spec, words = _PODS[name]
    governed.refused(governed.tenant.create(pod(governed.namespace, **spec), dry_run=True), words)


def test_app_armor_is_not_switched_off_by_the_old_annotation(governed: Governed) -> None:
    """Row 14: older API servers and kubelets read it."""
    for profile, lawful in (("unconfined", False), ("runtime/default", True), ("localhost/own", True)):
        made = pod(governed.namespace)
        made["metadata"]["annotations"] = {"container.apparmor.security.beta.kubernetes.io/main": profile}
        answer = governed.tenant.create(made, dry_run=True)
        if lawful:
            assert answer.ok, answer.message
        else:
            assert answer.code in (403, 422)
            assert "AppArmor" in answer.message or "appArmorProfile" in answer.message


@pytest.mark.parametrize(
    "spec",
    [
        _context(seccompProfile={"type": "RuntimeDefault"}, sysctls=[{"name": "net.ipv4.tcp_rmem", "value": "1 2 3"}]),
        {"containers": [container(**_context(capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}))]},
        {"containers": [container(**_context(procMount="Default", seLinuxOptions={"type": "container_t"}))]},
        {"containers": [container(**_context(appArmorProfile={"type": "RuntimeDefault"}))]},
        {"containers": [container(env=[{"name": "no_proxy", "value": "x"}, {"name": "HTTP_PROXY_OFF", "value": "1"}])]},
        {"containers": [container(lifecycle={"preStop": {"sleep": {"seconds": 1}}})]},
        {"shareProcessNamespace": True},
        {"hostUsers": False},
        {"schedulerName": "another"},
    ],
    ids=str,
)
def test_what_stays_in_the_pod_is_accepted(governed: Governed, spec: dict[str, Any]) -> None:
    answer = governed.tenant.create(pod(governed.namespace, **spec), dry_run=True)
    assert answer.ok, answer.message


@pytest.mark.parametrize(
    "mount", [{"subPath": "../other"}, {"subPath": "a/../../b"}, {"subPathExpr": "../$(A)"}], ids=str
)
def test_the_api_server_itself_keeps_mounts_inside_their_volume(governed: Governed, mount: dict[str, str]) -> None:
    """Row 24."""
    mounts = [{"name": "v", "mountPath": "/v", **mount}]
    spec = {"containers": [container(volumeMounts=mounts)], "volumes": [{"name": "v", "emptyDir": {}}]}
    answer = governed.tenant.create(pod(governed.namespace, **spec), dry_run=True)
    assert answer.code == 422
    assert "must not contain '..'" in answer.message


def test_the_baseline_is_that_of_pod_security(api: Api, kubectl: Kubectl, free_namespace: str) -> None:
    """What the API server's own plugin refuses at the level `baseline`, the rules refuse, and what it lets pass, they do."""
    level = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}}
    assert api.request("PATCH", f"/api/v1/namespaces/{free_namespace}", level).ok

    def accepted(spec: Manifest) -> bool:
        answer = api.create(pod(free_namespace, **spec), dry_run=True)
        assert answer.ok or "PodSecurity" in answer.message, answer.message
        return answer.ok

    assert accepted({"containers": [container(**_context(capabilities={"add": list(pod_baseline.CAPABILITIES)}))]})
    sysctls = [{"name": name, "value": "1"} for name in pod_baseline.SYSCTLS]
    assert accepted(_context(sysctls=sysctls))
    for type_ in pod_baseline.SELINUX_TYPES:
        assert accepted(_context(seLinuxOptions={"type": type_}))
    for name, (fields, _) in _CONTAINERS.items():
        if fields.get("env") is None:
            assert not accepted({"containers": [container(**fields)]}), name
    for name, (spec, _) in _PODS.items():
        assert not accepted(spec), name


def test_every_rule_that_no_policy_changes_is_the_first_to_be_asked(governed: Governed) -> None:
    (rules,) = [
        manifest["spec"]["validations"]
        for manifest in governed.enforcement.plan.admission
        if manifest["kind"] == "ValidatingAdmissionPolicy"
        and manifest["metadata"]["name"].endswith("-pods")
        and "reserved" not in manifest["metadata"]["name"]
    ]
    fixed = list(pod_rules.any_policy(f"policy {governed.enforcement.policy.name}: "))
    assert [rule["expression"] for rule in rules[: len(fixed)]] == [rule.expression.text for rule in fixed]
