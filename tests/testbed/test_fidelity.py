"""What the tests of the operator rely on: it is a real cluster where it matters."""

import contextlib
import http.client
import json
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from testbed import Cluster, audit
from testbed.objects import FACT_PREFIX

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("testbed")]


POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}}


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    name = request.node.name.replace("_", "-")[:50].rstrip("-")
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def _get(cluster: Cluster, *args: str) -> dict:
    return json.loads(cluster.kubectl("get", *args, "-o", "json"))


def _claim(region: str) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "weights"},
        "spec": {
            "storageClassName": f"local-{region}",
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "10Gi"}},
        },
    }


def _pod_spec(**more: object) -> dict:
    mount = {"name": "weights", "mountPath": "/weights"}
    return {
        "containers": [{"name": "main", "image": "test/none", "volumeMounts": [mount]}],
        "volumes": [{"name": "weights", "persistentVolumeClaim": {"claimName": "weights"}}],
        **more,
    }


def _create(cluster: Cluster, namespace: str, *objects: dict) -> None:
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    cluster.kubectl("create", "-n", namespace, "-f", "-", input=document)


def test_default_inventory_is_there_as_kubelets_and_an_administrator_would_have_it(cluster: Cluster) -> None:
    nodes = {node["metadata"]["name"]: node for node in _get(cluster, "nodes")["items"]}
    labels = nodes["gpu-fr-2"]["metadata"]["labels"]
    assert labels["topology.kubernetes.io/zone"] == "fr-par-2"
    assert labels["nvidia.com/gpu.memory"] == "81920"
    assert {name: labels[f"{FACT_PREFIX}/{name}"] for name in ("jurisdiction", "region", "provider")} == {
        "jurisdiction": "FR",
        "region": "fr-par",
        "provider": "seine-cloud",
    }
    assert nodes["gpu-fr-2"]["status"]["allocatable"]["nvidia.com/gpu"] == "8"
    assert not [label for label in nodes["control-1"]["metadata"]["labels"] if label.startswith(FACT_PREFIX)]
    found = [node["metadata"]["labels"].get(f"{FACT_PREFIX}/jurisdiction", "-") for node in nodes.values()]
    assert sorted(found) == ["-", "DE", "DE", "DE", "FR", "FR", "FR", "FR", "US", "US"]
    addresses = {
        address["address"]
        for node in nodes.values()
        for address in node["status"]["addresses"]
        if address["type"] == "InternalIP"
    }
    assert addresses == {"192.0.2.1"}  # documentation range: nothing can answer there


def test_a_kubelet_can_change_its_topology_label_but_no_fact(cluster: Cluster) -> None:
    kubelet = cluster.kubectl_as(cluster.client_certificate("system:node:gpu-us-1", ["system:nodes"]))

    kubelet("label", "node", "gpu-us-1", "--overwrite", "topology.kubernetes.io/region=fr-par")
    fact = kubelet.run("label", "node", "gpu-us-1", "--overwrite", f"{FACT_PREFIX}/jurisdiction=FR")
    other = kubelet.run("label", "node", "gpu-us-2", "--overwrite", "topology.kubernetes.io/region=fr-par")

    assert "is not allowed to modify labels" in fact.stderr
    assert "only its own Node object" in other.stderr
    node = _get(cluster, "node", "gpu-us-1")
    assert node["metadata"]["labels"]["topology.kubernetes.io/region"] == "fr-par"
    assert node["metadata"]["labels"][f"{FACT_PREFIX}/jurisdiction"] == "US"
    cluster.kubectl("label", "node", "gpu-us-1", "--overwrite", "topology.kubernetes.io/region=us-east")


def test_a_claim_binds_in_its_region_when_its_consumer_is_placed(cluster: Cluster, namespace: str) -> None:
    _create(cluster, namespace, _claim("de-fra"))
    assert _get(cluster, "pvc", "weights", "-n", namespace)["status"]["phase"] == "Pending"

    elsewhere = _pod_spec(nodeSelector={f"{FACT_PREFIX}/region": "fr-par"})
    abroad = {**POD, "metadata": {"name": "abroad"}, "spec": elsewhere}
    _create(cluster, namespace, abroad, {**POD, "metadata": {"name": "home"}, "spec": _pod_spec()})
    cluster.kubectl("wait", "-n", namespace, "pod/home", "--for=condition=Ready", "--timeout=30s")
    refused = "--for=jsonpath={.status.conditions[?(@.type=='PodScheduled')].reason}=Unschedulable"
    cluster.kubectl("wait", "-n", namespace, "pod/abroad", refused, "--timeout=30s")

    claim = _get(cluster, "pvc", "weights", "-n", namespace)
    assert claim["status"]["phase"] == "Bound"
    assert claim["spec"]["volumeName"].startswith("de-fra-")
    node = _get(cluster, "pod", "home", "-n", namespace)["spec"]["nodeName"]
    assert _get(cluster, "node", node)["metadata"]["labels"][f"{FACT_PREFIX}/region"] == "de-fra"


def test_refill_undoes_what_was_done_to_nodes_and_volumes(cluster: Cluster, namespace: str) -> None:
    _create(cluster, namespace, _claim("fr-par"), {**POD, "spec": _pod_spec()})
    cluster.kubectl("wait", "-n", namespace, "pod/one", "--for=condition=Ready", "--timeout=30s")
    volume = _get(cluster, "pvc", "weights", "-n", namespace)["spec"]["volumeName"]
    cluster.kubectl("delete", "-n", namespace, "pod/one", "pvc/weights")
    cluster.kubectl("wait", f"pv/{volume}", "--for=jsonpath={.status.phase}=Released", "--timeout=30s")
    cluster.kubectl("label", "node", "gpu-de-1", "--overwrite", f"{FACT_PREFIX}/jurisdiction=US")
    cluster.kubectl("delete", "node", "gpu-us-2")

    cluster.refill()

    labels = _get(cluster, "node", "gpu-de-1")["metadata"]["labels"]
    assert labels[f"{FACT_PREFIX}/jurisdiction"] == "DE"
    assert _get(cluster, "node", "gpu-us-2")["status"]["allocatable"]["nvidia.com/gpu"] == "8"
    volumes = _get(cluster, "persistentvolumes", "-l", "topology.kubernetes.io/region=fr-par")["items"]
    assert volume not in [each["metadata"]["name"] for each in volumes]
    assert len(volumes) >= 20


def test_more_volumes_can_be_added(cluster: Cluster) -> None:
    names = cluster.add_volumes("fr-par", 3, "1Gi")
    volumes = json.loads(cluster.kubectl("get", "persistentvolume", *names, "-o", "json"))["items"]
    assert [volume["spec"]["storageClassName"] for volume in volumes] == ["local-fr-par"] * 3


def test_a_job_on_a_volume_runs_until_it_is_finished_by_hand(cluster: Cluster, namespace: str) -> None:
    template = {"metadata": {"labels": {"of": "job"}}, "spec": _pod_spec(restartPolicy="Never")}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "import"},
        "spec": {"template": template},
    }
    plain = {"containers": [{"name": "main", "image": "test/none"}], "restartPolicy": "Never"}
    pretended = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "hook"},
        "spec": {"template": {"spec": plain}},
    }
    _create(cluster, namespace, _claim("fr-par"), job, pretended)
    cluster.kubectl("wait", "-n", namespace, "job/hook", "--for=condition=Complete", "--timeout=30s")
    cluster.kubectl("wait", "-n", namespace, "pod", "-l", "of=job", "--for=condition=Ready", "--timeout=30s")
    pod = _get(cluster, "pods", "-n", namespace, "-l", "of=job")["items"][0]["metadata"]["name"]

    cluster.finish_pod(namespace, pod, message="as the importer wrote it")

    cluster.kubectl("wait", "-n", namespace, "job/import", "--for=condition=Complete", "--timeout=30s")
    status = _get(cluster, "pod", pod, "-n", namespace)["status"]["containerStatuses"][0]
    assert status["state"]["terminated"]["message"] == "as the importer wrote it"


def test_a_service_account_has_its_own_rights_and_no_others(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("create", "serviceaccount", "reader", "-n", namespace)
    cluster.kubectl("create", "role", "reader", "-n", namespace, "--verb=get", "--resource=pods")
    subject = f"--serviceaccount={namespace}:reader"
    cluster.kubectl("create", "rolebinding", "reader", "-n", namespace, "--role=reader", subject)
    reader = cluster.kubectl_as(cluster.service_account_kubeconfig(namespace, "reader"))

    assert f"system:serviceaccount:{namespace}:reader" in reader("auth", "whoami")
    assert reader("auth", "can-i", "get", "pods", "-n", namespace).strip() == "yes"
    assert reader.run("auth", "can-i", "list", "nodes").stdout.strip() == "no"


def test_the_audit_log_counts_requests_by_user_agent(cluster: Cluster, namespace: str) -> None:
    assert cluster.audit_log is not None
    since = audit.position(cluster.audit_log)
    context = ssl.create_default_context(cafile=cluster.ca)
    context.load_cert_chain(cluster.dir / "pki" / "admin.crt", cluster.dir / "pki" / "admin.key")
    pods = f"/api/v1/namespaces/{namespace}/pods"
    server = urlsplit(cluster.server).netloc
    with contextlib.closing(http.client.HTTPSConnection(server, context=context)) as connection:
        for _ in range(3):
            connection.request("GET", pods, headers={"User-Agent": "counter/1 (test)"})
            connection.getresponse().read()
        body = json.dumps({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "one"}})
        connection.request("POST", pods.replace("pods", "configmaps"), body, {"User-Agent": "counter/1 (test)"})
        connection.getresponse().read()
        connection.request("GET", f"{pods}?watch=1", headers={"User-Agent": "counter/1 (test)"})
        connection.getresponse()  # the watch stays open while the log is read

        ours = [one for one in cluster.requests(since) if one.agent.startswith("counter/")]

    assert audit.by_agent(ours) == {"counter": 5}
    assert [one.verb for one in ours] == ["list", "list", "list", "create", "watch"]
    assert [(one.resource, one.code) for one in ours if one.writes] == [("configmaps", 201)]
