"""What is wrong with a pod: where it is, what it is, and what the policies want done about it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.api.conditions import Reason
from sovereign.api.meta import FACT_JURISDICTION
from sovereign.cluster import rows
from sovereign.cluster.rows import Pod
from sovereign.plan.governance import Governance
from sovereign.plan.inventory import Node, Policy, Settings
from sovereign.residency.verdicts import Violation, judge, remedy
from tests.plan.policy.build import policy
from tests.residency.pods import DIGEST, IMAGE, REGISTRY, container, manifest, row

APPROVED = {"eu": {"fr-1"}, "second": {"fr-1", "fr-2"}}
FRENCH = Node("fr-1", labels={FACT_JURISDICTION: "FR"})
AMERICAN = Node("us-1", labels={FACT_JURISDICTION: "US"})


def judged(pod: Pod, *policies: Policy, node: Node | None = FRENCH, **more: Any) -> tuple[Violation, ...]:
    return judge(pod, node, Governance(policies or (policy(),), "gov"), APPROVED, **more)


# --- the place ------------------------------------------------------------------------------------------


def test_a_pod_on_an_approved_node_breaks_nothing() -> None:
    assert judged(row(nodeName="fr-1")) == ()
    assert judged(row()) == (), "one that has no node yet stands nowhere"


@pytest.mark.parametrize("node", [AMERICAN, None])
def test_each_policy_says_why_a_node_is_not_approved(node: Node | None) -> None:
    found = judged(row(nodeName="us-1"), policy(), policy("second", enforcement="Audit"), node=node)
    assert [(one.policy, one.reason, one.enforced) for one in found] == [
        ("eu", Reason.UNLAWFUL_PLACEMENT, True),
        ("second", Reason.UNLAWFUL_PLACEMENT, False),
    ]
    wanted = "does not exist" if node is None else "jurisdiction US, not in FR"
    assert all(wanted in one.message for one in found)


def test_what_has_ended_breaks_nothing() -> None:
    for phase in ("Succeeded", "Failed"):
        ended = manifest(nodeName="us-1", hostNetwork=True) | {"status": {"phase": phase}}
        assert judged(rows.pod(ended), node=AMERICAN) == ()


_KEYS = st.sampled_from([FACT_JURISDICTION, "kubernetes.io/hostname", "topology.kubernetes.io/region"])
_VALUES = st.lists(st.sampled_from(["FR", "US", "fr-1", "us-1"]), min_size=1, max_size=3)
_REQUIREMENTS = st.one_of(
    st.fixed_dictionaries({"key": _KEYS, "operator": st.sampled_from(["In", "NotIn"]), "values": _VALUES}),
    st.fixed_dictionaries({"key": _KEYS, "operator": st.sampled_from(["Exists", "DoesNotExist"])}),
)
_FIELDS = st.fixed_dictionaries(
    {"key": st.just("metadata.name"), "operator": st.sampled_from(["In", "NotIn"]), "values": _VALUES}
)
_TERMS = st.fixed_dictionaries(
    {}, optional={"matchExpressions": st.lists(_REQUIREMENTS, max_size=2), "matchFields": st.lists(_FIELDS, max_size=1)}
)
_AFFINITIES = st.fixed_dictionaries(
    {
        "requiredDuringSchedulingIgnoredDuringExecution": st.fixed_dictionaries(
            {"nodeSelectorTerms": st.lists(_TERMS, min_size=1, max_size=3)}
        )
    }
)


@given(
    _AFFINITIES,
    st.dictionaries(_KEYS, st.sampled_from(["FR", "US"]), max_size=2),
    st.sampled_from(["", "fr-1", "us-1"]),
)
def test_what_a_pod_asks_for_changes_no_verdict(affinity: Any, selector: dict[str, str], on: str) -> None:
    """Row 2: the node it is on is judged, and not its affinity."""
    node = {"fr-1": FRENCH, "us-1": AMERICAN}.get(on)
    place = {"nodeName": on} if on else {}
    plain = judged(row(**place), node=node)
    assert judged(row(**place, affinity={"nodeAffinity": affinity}, nodeSelector=selector), node=node) == plain
    assert bool(plain) == (on == "us-1")


# --- the pod itself -------------------------------------------------------------------------------------

WRONG: dict[str, dict[str, Any]] = {
    "pods.hostNamespaces": {"hostPID": True},
    "pods.volumes": {"volumes": [{"name": "host", "hostPath": {"path": "/"}}]},
    "pods.hostPorts": {"containers": [container(ports=[{"containerPort": 80, "hostPort": 80}])]},
    "pods.privileged": {"initContainers": [container("init", securityContext={"privileged": True})]},
    "pods.capabilities": {"containers": [container(securityContext={"capabilities": {"add": ["NET_RAW"]}})]},
    "pods.procMount": {"containers": [container(securityContext={"procMount": "Unmasked"})]},
    "pods.seccomp": {"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
    "pods.appArmor": {"containers": [container(securityContext={"appArmorProfile": {"type": "Unconfined"}})]},
    "pods.seLinux": {"securityContext": {"seLinuxOptions": {"type": "spc_t"}}},
    "pods.sysctls": {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
    "pods.probeHosts": {"containers": [container(livenessProbe={"tcpSocket": {"port": 1, "host": "192.0.2.1"}})]},
    "pods.dns": {"dnsPolicy": "Default"},
    "pods.hostAliases": {"hostAliases": [{"ip": "192.0.2.1", "hostnames": ["a"]}]},
    "pods.proxies": {"containers": [container(env=[{"name": "Https_Proxy", "value": "x"}])]},
    "pods.weights": {"volumes": [{"name": "w", "persistentVolumeClaim": {"claimName": "chat-weights"}}]}
    | {"containers": [container(volumeMounts=[{"name": "w", "mountPath": "/w"}])]},
    "images.registries": {"ephemeralContainers": [container("debug", f"docker.io/library/busybox{DIGEST}")]},
    "images.requireDigest": {"containers": [container(image=f"{REGISTRY}/vllm:v1")]},
}
STRICT = policy(images={"registries": [REGISTRY]})


@pytest.mark.parametrize("rule", WRONG)
def test_a_pod_that_its_policy_would_refuse(rule: str) -> None:
    """Rows 14 and 15: made before the policy, or while its rules were gone."""
    (found,) = judged(row(nodeName="fr-1", **WRONG[rule]), STRICT)
    assert (found.reason, found.rule, found.policy) == (Reason.UNLAWFUL_POD, rule, "eu")
    assert "policy eu: " in found.message
    assert found.removes


def test_a_mirror_pod_is_one() -> None:
    pod = manifest()
    pod["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    assert [one.rule for one in judged(rows.pod(pod))] == ["pods.mirror"]


def test_all_that_is_wrong_is_told_the_place_first() -> None:
    pod = row(nodeName="us-1", hostNetwork=True, hostPID=True, containers=[container(image="nginx")])
    found = judged(pod, STRICT, node=AMERICAN)
    assert [one.rule for one in found] == ["placement.jurisdictions", "pods.hostNamespaces", "images.registries"]
    assert "hostNetwork, hostPID" in found[1].message
    assert remedy(found).message.endswith("(and 2 more)")


def test_rows_of_like_pods_share_what_they_hold() -> None:
    one, other = row("a", hostNetwork=True), row("b", hostNetwork=True)
    assert one.problems[0] is other.problems[0]
    assert one.images[0] is other.images[0]


OTHER = "@sha256:" + "b" * 64


@pytest.mark.parametrize(
    ("named", "runs", "told"),
    [
        (IMAGE, f"{REGISTRY}/vllm{OTHER}", True),
        (f"{REGISTRY}/vllm:v1{DIGEST}", f"docker-pullable://{REGISTRY}/vllm{OTHER}", True),
        (IMAGE, IMAGE, False),
        (IMAGE, "sha256:" + "b" * 64, False),
        (IMAGE, f"mirror.example.eu/ai/vllm{OTHER}", False),
        (f"{REGISTRY}/vllm:v1", f"{REGISTRY}/vllm{OTHER}", False),
        ("localhost:5000/vllm" + DIGEST, "localhost:5000/vllm" + OTHER, True),
    ],
)
def test_a_container_that_runs_another_image(named: str, runs: str, told: bool) -> None:
    """Row 15: told, and nothing is done, because runtimes differ in which digest they tell."""
    status = {"containerStatuses": [{"name": "main", "imageID": runs, "state": {"running": {}}}]}
    pod = rows.pod(manifest(containers=[container(image=named)]) | {"status": status})
    found = judged(pod, policy(images={"requireDigest": False}))
    assert [one.reason for one in found] == ([Reason.IMAGE_MISMATCH] if told else [])
    assert not any(one.enforced or one.removes for one in found)


# --- dedicated nodes ------------------------------------------------------------------------------------

DEDICATED = policy(placement={"jurisdictions": ["FR"], "dedicated": True})


def stranger(namespace: str = "other", owner: str = "", on: str = "fr-1") -> Pod:
    pod = manifest(namespace=namespace, nodeName=on)
    kind, _, name = owner.partition("/")
    if owner:
        pod["metadata"]["ownerReferences"] = [{"kind": kind, "name": name, "uid": "u", "controller": True}]
    return rows.pod(pod)


@pytest.mark.parametrize(
    ("pod", "lawful"),
    [
        (stranger(), False),
        (stranger(on="us-1"), True),
        (stranger("kube-system"), True),
        (stranger("sovereign-system"), True),
        (stranger("monitoring", "DaemonSet/node-exporter"), True),
        (stranger("other", "DaemonSet/node-exporter"), False),
        (stranger("monitoring", "ReplicaSet/node-exporter"), False),
    ],
)
def test_strangers_on_dedicated_nodes(pod: Pod, lawful: bool) -> None:
    using = Settings(node_agents=("monitoring/node-exporter",))
    for governance in (Governance((), pod.namespace), Governance((policy("third"),), pod.namespace)):
        approved = {"eu": {"fr-1"}, "third": {"fr-1", "us-1"}}
        found = judge(pod, FRENCH, governance, approved, (DEDICATED,), using)
        wanted = [] if lawful else [("eu", Reason.DEDICATED_NODE, "placement.dedicated")]
        assert [(one.policy, one.reason, one.rule) for one in found] == wanted


def test_a_governed_pod_is_no_stranger() -> None:
    assert judged(row(nodeName="fr-1"), DEDICATED, dedicating=(DEDICATED,)) == ()


# --- what is to be done ---------------------------------------------------------------------------------


def reacting(name: str, action: str = "Evict", grace: str = "60s", limit: int = 10, **spec: Any) -> Policy:
    asked = {"action": action, "gracePeriod": grace, "maxConcurrent": limit}
    return policy(name, onViolation=asked, **spec)


def test_the_policies_ask_together() -> None:
    pod = row(nodeName="us-1")
    asked = remedy(
        judged(
            pod,
            reacting("a", grace="60s"),
            reacting("b", grace="5s", limit=2, enforcement="Audit"),
            reacting("c", "Report"),
            reacting("d", "ScaleToZero", grace="30s", limit=3),
            node=AMERICAN,
        )
    )
    assert (asked.enforced, asked.repair, asked.grace_seconds) == (True, True, 30)
    assert asked.limits == (("a", 10), ("d", 3))
    assert asked.stop is not None
    assert asked.stop.policy == "d"


@pytest.mark.parametrize(("action", "mode", "enforced"), [("Report", "Enforce", True), ("Evict", "Audit", False)])
def test_what_is_only_reported(action: str, mode: str, enforced: bool) -> None:
    asked = remedy(judged(row(nodeName="us-1"), reacting("eu", action, enforcement=mode), node=AMERICAN))
    assert (asked.enforced, asked.repair, asked.stop) == (enforced, False, None)
