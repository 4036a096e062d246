"""The chart as text: what values do, and what is said when they are wrong."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from charts import sync
from sovereign.main import app
from testbed.helm import Helm
from tests.install.conftest import VALUES

DIGEST = "sha256:" + "1" * 64
FIXED = ["--values", str(VALUES)]
OBJECTS = {
    "Deployment",
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "PodDisruptionBudget",
    "NetworkPolicy",
    "Service",
    "CustomResourceDefinition",
    "InferenceRuntime",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}
GUARD = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}


def render(helm: Helm, *flags: str) -> list[dict[str, Any]]:
    text = helm("template", "sovereign-operator", sync.CHART, "--namespace=sovereign-system", *FIXED, *flags)
    return [document for document in yaml.safe_load_all(text) if document]


def one(objects: list[dict[str, Any]], kind: str, name: str = "sovereign-operator") -> dict[str, Any]:
    (found,) = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def kinds(objects: list[dict[str, Any]]) -> set[str]:
    return {each["kind"] for each in objects}


def pod(objects: list[dict[str, Any]]) -> dict[str, Any]:
    return one(objects, "Deployment")["spec"]["template"]["spec"]


def environment(objects: list[dict[str, Any]]) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in pod(objects)["containers"][0]["env"]}


@pytest.mark.parametrize("values", [[], FIXED], ids=["defaults", "digest"])
def test_lint_is_clean(helm: Helm, values: list[str]) -> None:
    said = helm("lint", "--strict", sync.CHART, *values)
    assert "0 chart(s) failed" in said
    assert "[WARNING]" not in said
    assert "[ERROR]" not in said


def test_defaults_render_everything_but_the_service_monitor(helm: Helm) -> None:
    assert kinds(render(helm)) == OBJECTS


@pytest.mark.parametrize(
    ("flag", "gone"),
    [
        ("crds.install=false", {"CustomResourceDefinition"}),
        ("runtimes.install=false", {"InferenceRuntime"}),
        ("podDisruptionBudget.enabled=false", {"PodDisruptionBudget"}),
        ("networkPolicy.enabled=false", {"NetworkPolicy"}),
        ("metrics.service.enabled=false", {"Service"}),
        ("rbac.create=false", {"ClusterRoleBinding", "Role", "RoleBinding"}),
        ("serviceAccount.create=false,serviceAccount.name=mine,canaries.enabled=false", {"ServiceAccount", *GUARD}),
        ("canaries.enabled=false", GUARD),
    ],
)
def test_each_part_can_be_left_out(helm: Helm, flag: str, gone: set[str]) -> None:
    assert kinds(render(helm, f"--set={flag}")) == OBJECTS - gone


def test_aggregated_roles_can_be_left_out(helm: Helm) -> None:
    roles = {
        each["metadata"]["name"] for each in render(helm, "--set=rbac.aggregate=false") if each["kind"] == "ClusterRole"
    }
    assert roles == {"sovereign-operator", "sovereign-operator-canary"}


def test_service_monitor_only_when_asked_for(helm: Helm) -> None:
    flags = ["--set=metrics.serviceMonitor.enabled=true", "--set=metrics.serviceMonitor.labels.release=prometheus"]
    monitor = one(render(helm, *flags), "ServiceMonitor")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    service = one(render(helm, *flags), "Service", "sovereign-operator-metrics")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()


def test_the_pod_keeps_pod_security_restricted(helm: Helm) -> None:
    spec = pod(render(helm))
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 65532
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [next(iter(volume.keys() - {"name"})) for volume in spec["volumes"]] == ["emptyDir"]


def test_user_id_can_be_left_to_the_platform(helm: Helm) -> None:
    context = pod(render(helm, "--set=runAsUser=null"))["securityContext"]
    assert context == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_replicas_spread_over_hosts_and_zones_and_may_be_none(helm: Helm) -> None:
    """Nodes need not have zones: the scheduler scores none by a constraint whose label they lack."""
    spec = pod(render(helm))
    assert [one["topologyKey"] for one in spec["topologySpreadConstraints"]] == ["kubernetes.io/hostname"]
    (preferred,) = spec["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert preferred["podAffinityTerm"]["topologyKey"] == "topology.kubernetes.io/zone"
    assert one(render(helm, "--set=replicas=0"), "Deployment")["spec"]["replicas"] == 0


@pytest.mark.parametrize(
    ("flags", "image"),
    [
        (["image.tag=1.2.3"], "registry.example.eu/ai/sovereign-operator:1.2.3@sha256:" + "0" * 64),
        (["image.digest=", "image.allowTag=true", "image.tag=main"], "registry.example.eu/ai/sovereign-operator:main"),
        (["image.digest=", "image.allowTag=true"], "registry.example.eu/ai/sovereign-operator:0.1.0"),
    ],
    ids=["tag beside digest", "tag", "version"],
)
def test_image_by_digest_or_by_tag(helm: Helm, flags: list[str], image: str) -> None:
    objects = render(helm, *(f"--set={flag}" for flag in flags))
    assert pod(objects)["containers"][0]["image"] == image
    assert environment(objects)["SOVEREIGN_IMPORTER_IMAGE"] == image


def test_settings_reach_the_operator(helm: Helm) -> None:
    importer = f"registry.example.eu/ai/importer@{DIGEST}"
    flags = [
        f"workloads.importerImage={importer}",
        "workloads.imagePullSecrets={one,two}",
        "systemNamespaces={kube-system,ingress}",
        "nodeFacts.writers.users={fleet}",
        "nodeFacts.writers.groups={admins,operators}",
        "nodeAgents={monitoring/node-exporter}",
        "clusterDomain=example.local",
        "workers=16",
        "leaseDuration=30",
        "listenAddress=0.0.0.0",
        "imagePullSecrets[0].name=own",
        "networkProbe.interval=90s",
        "networkProbe.concurrency=4",
        "networkProbe.port=9000",
        "networkProbe.timeout=5s",
        "canaries.interval=30s",
        "evidence.interval=90s",
        "evidence.signingKeySecret=evidence",
        "log.format=text",
        "log.level=debug",
    ]
    found = environment(render(helm, *(f"--set={flag}" for flag in flags)))
    assert found == {
        "SOVEREIGN_NAMESPACE": "",
        "SOVEREIGN_POD_NAME": "",
        "SOVEREIGN_SERVICE_ACCOUNT": "",
        "SOVEREIGN_LEASE_NAME": "sovereign-operator",
        "SOVEREIGN_LEASE_DURATION": "30",
        "SOVEREIGN_IMPORTER_IMAGE": importer,
        "SOVEREIGN_IMAGE_PULL_SECRETS": "one,two",
        "SOVEREIGN_SYSTEM_NAMESPACES": "kube-system,ingress",
        "SOVEREIGN_NODE_FACTS_USERS": "fleet",
        "SOVEREIGN_NODE_FACTS_GROUPS": "admins,operators",
        "SOVEREIGN_NODE_AGENTS": "monitoring/node-exporter",
        "SOVEREIGN_CLUSTER_DOMAIN": "example.local",
        "SOVEREIGN_WORKERS": "16",
        "SOVEREIGN_LISTEN": "0.0.0.0:8080",
        "SOVEREIGN_POD_IPS": "",
        "SOVEREIGN_PROBE_LISTEN": "0.0.0.0:9000",
        "SOVEREIGN_PROBE_INTERVAL": "90s",
        "SOVEREIGN_PROBE_CONCURRENCY": "4",
        "SOVEREIGN_PROBE_TIMEOUT": "5s",
        "SOVEREIGN_OWN_PULL_SECRETS": "own",
        "SOVEREIGN_CANARY_SERVICE_ACCOUNT": "sovereign-operator-canary",
        "SOVEREIGN_CANARY_INTERVAL": "30s",
        "SOVEREIGN_EVIDENCE_INTERVAL": "90s",
        "SOVEREIGN_EVIDENCE_KEY": "/etc/sovereign/evidence/key.pem",
        "SOVEREIGN_LOG_FORMAT": "text",
        "SOVEREIGN_LOG_LEVEL": "debug",
    }


def test_the_operator_knows_every_setting_of_the_chart(helm: Helm) -> None:
    (run,) = [command for name, command in get_command(app).commands.items() if name == "run"]
    known = {parameter.envvar for parameter in run.params if parameter.envvar}
    assert known - environment(render(helm)).keys() == {"KUBECONFIG"}
    assert environment(render(helm)).keys() <= known


def test_scheduling_and_labels_reach_the_pod(helm: Helm, tmp_path: Path) -> None:
    wanted = {
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "control", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "topologySpreadConstraints": [],
        "priorityClassName": "mine",
        "imagePullSecrets": [{"name": "registry"}],
    }
    metadata = {"podLabels": {"team": "ai"}, "podAnnotations": {"note": "yes"}}
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(wanted | metadata))
    objects = render(helm, f"--values={file}")
    assert {key: pod(objects).get(key) or [] for key in wanted} == wanted
    template = one(objects, "Deployment")["spec"]["template"]["metadata"]
    assert template["labels"]["team"] == "ai"
    assert template["annotations"] == {"note": "yes"}


def test_a_pod_label_cannot_take_the_pod_out_of_its_selector(helm: Helm) -> None:
    deployment = one(render(helm, r"--set=podLabels.app\.kubernetes\.io/name=other"), "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_network_policy_lets_nobody_in_unless_told(helm: Helm) -> None:
    off = "--set=networkProbe.enabled=false"
    spec = one(render(helm, off), "NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in spec
    flag = r"--set=networkPolicy.metricsFrom[0].podSelector.matchLabels.app=prometheus"
    (rule,) = one(render(helm, flag, off), "NetworkPolicy")["spec"]["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": {"app": "prometheus"}}}]
    assert [port["port"] for port in rule["ports"]] == ["http"]


def test_network_probes_reach_the_operator_from_everywhere(helm: Helm) -> None:
    objects = render(helm)
    (rule,) = one(objects, "NetworkPolicy")["spec"]["ingress"]
    assert rule == {"ports": [{"port": "probe", "protocol": "TCP"}]}, "without `from`: every pod of every namespace"
    assert {"name": "probe", "containerPort": 8081} in pod(objects)["containers"][0]["ports"]
    assert environment(objects)["SOVEREIGN_PROBE_LISTEN"] == "[::]:8081"
    off = render(helm, "--set=networkProbe.enabled=false")
    assert environment(off)["SOVEREIGN_PROBE_LISTEN"] == ""
    assert [port["name"] for port in pod(off)["containers"][0]["ports"]] == ["http"]


def test_without_canaries_the_operator_asks_for_no_token(helm: Helm) -> None:
    off = render(helm, "--set=canaries.enabled=false")
    assert environment(off)["SOVEREIGN_CANARY_SERVICE_ACCOUNT"] == ""
    assert [each["metadata"]["name"] for each in off if "canary" in each["metadata"]["name"]] == []
    asked = [rule["resources"] for rule in one(off, "Role")["rules"]]
    assert ["serviceaccounts/token"] not in asked
    assert ["serviceaccounts/token"] in [rule["resources"] for rule in one(render(helm), "Role")["rules"]]


def test_the_guard_is_about_the_canaries_account_alone(helm: Helm) -> None:
    """It fails closed, so whatever else it were about would be shut out."""
    objects = render(helm)
    name = "sovereign-operator-canary"
    guard, binding = (one(objects, kind, name)["spec"] for kind in sorted(GUARD))
    user = f"request.userInfo.username == 'system:serviceaccount:sovereign-system:{name}'"
    assert [each["expression"] for each in guard["matchConditions"]] == [user]
    assert guard["failurePolicy"] == "Fail"
    assert binding == {"policyName": name, "validationActions": ["Deny"]}
    assert one(objects, "ServiceAccount", name)["automountServiceAccountToken"] is False


def test_crds_are_those_of_the_tree_and_are_kept(helm: Helm) -> None:
    found = {each["metadata"]["name"]: each for each in render(helm) if each["kind"] == "CustomResourceDefinition"}
    sources = [yaml.safe_load(path.read_text()) for path in sorted((sync.ROOT / "crds").glob("*.yaml"))]
    assert {name: each["spec"] for name, each in found.items()} == {
        each["metadata"]["name"]: each["spec"] for each in sources
    }
    for each in found.values():
        assert each["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_runtimes_are_those_of_the_tree(helm: Helm) -> None:
    served = "--api-versions=sovereignai.io/v1alpha1/InferenceRuntime"
    found = {each["metadata"]["name"]: each for each in render(helm, served) if each["kind"] == "InferenceRuntime"}
    folder = sync.ROOT / "operator" / "sovereign" / "runtimes"
    sources = [yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))]
    assert {name: each["spec"] for name, each in found.items()} == {
        each["metadata"]["name"]: each["spec"] for each in sources
    }
    assert found.keys() >= {"vllm", "sglang", "llama-cpp", "tgi", "ollama"}


def test_runtime_images_are_set_by_name(helm: Helm) -> None:
    image = f"registry.example.eu/ai/vllm@{DIGEST}"
    objects = render(helm, f"--set=runtimes.images.vllm={image}")
    assert one(objects, "InferenceRuntime", "vllm")["spec"]["image"] == image
    assert "image" not in one(objects, "InferenceRuntime", "sglang")["spec"]


def test_editors_write_no_status_and_no_policy(helm: Helm) -> None:
    rules = one(render(helm), "ClusterRole", "sovereign-operator-edit")["rules"]
    assert {resource for rule in rules for resource in rule["resources"]} == {
        "sovereignmodels",
        "inferencepools",
        "inferencepools/scale",
    }


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["image.repository="], r"image\.repository: say where the operator's image is"),
        (["image.digest="], r"image\.digest: give the image's digest .* set image\.allowTag=true"),
        (["image.digest=sha256:short"], r"image/digest.*does not match pattern"),
        (["image.repository=Upper/case"], r"image/repository.*does not match pattern"),
        (["replica=3"], r"additional properties 'replica' not allowed"),
        (["image.tags=x"], r"additional properties 'tags' not allowed"),
        (["replicas=two"], r"replicas.*got string, want integer"),
        (["replicas=-1"], r"replicas.*minimum: got -1, want 0"),
        (["workers=0"], r"workers.*minimum: got 0, want 1"),
        (["log.level=loud"], r"log/level.*value must be one of 'debug', 'info', 'warning', 'error'"),
        (["runAsUser=0"], r"runAsUser.*minimum: got 0, want 1"),
        (["runtimes.images.vllm=vllm:latest"], r"runtimes/images/vllm.*does not match pattern"),
        (
            [f"runtimes.images.vlm=registry.example.eu/vllm@{DIGEST}"],
            r"runtimes\.images\.vlm: there is no built-in runtime of that name; there are llama-cpp, ",
        ),
        (["serviceAccount.create=false"], r"serviceAccount\.name: name the existing ServiceAccount"),
        (
            ["metrics.service.enabled=false", "metrics.serviceMonitor.enabled=true"],
            r"metrics\.serviceMonitor needs the Service",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_wrong_values_are_refused_with_what_to_do(helm: Helm, flags: list[str], message: str) -> None:
    sets = [f"--set={flag}" for flag in flags]
    done = helm.run("template", "sovereign-operator", sync.CHART, *FIXED, *sets)
    assert done.returncode != 0
    assert re.search(message, done.stderr), done.stderr


def test_every_value_is_in_the_schema_and_described() -> None:
    schema = json.loads((sync.CHART / "values.schema.json").read_text())
    text = (sync.CHART / "values.yaml").read_text()
    assert yaml.safe_load(text).keys() == schema["properties"].keys() - {"global"}
    assert undescribed(text.splitlines()) == []


def undescribed(lines: list[str]) -> list[str]:
    """Lines that give a value with no comment above them, nor above a mapping that they are part of."""
    described: dict[int, bool] = {}
    missing = []
    for above, line in pairwise(["", *lines]):
        entry = re.match(r"( *)[A-Za-z]+:(.*)", line)
        if not entry:
            continue
        indent = len(entry[1])
        described = {depth: known for depth, known in described.items() if depth < indent}
        described[indent] = above.strip().startswith("#")
        if entry[2].strip() and not any(described.values()):
            missing.append(line)
    return missing
