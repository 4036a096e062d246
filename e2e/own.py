"""A cluster that is there already: what the tests need from its owner, what they put into it, and how it goes again."""

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.world import NAMESPACE, Images, Source
from testbed import Cluster, TestbedError, images, pki
from testbed.objects import FACT_PREFIX
from tests.operator.lab import Manifest, wait_for

PORT = 7070
SOURCES = "sources"
_HOST = f"s3.{SOURCES}.svc.cluster.local"
_ACCESS_KEY, _SECRET_KEY = "AKIATESTBEDTESTBED", "not-a-secret-but-the-test-beds"


@dataclass(frozen=True)
class Own:
    """The cluster, and how images come to its nodes."""

    cluster: Cluster
    registry: str
    """What the nodes call it: host and path, as in registry.example.eu/e2e."""
    push_to: str
    """Where this machine pushes to: a URL without path."""

    def push(self, image: str, name: str, **arguments: str) -> str:
        """Bring an image to the registry; its reference by digest as the nodes know it."""
        path = self.registry.partition("/")[2]
        pushed = images.push(images.build(image, **arguments), self.push_to, f"{path}/{name}")
        return f"{self.registry.partition('/')[0]}/{pushed}"


def attach(kubeconfig: Path) -> Own:
    """The cluster of E2E_KUBECONFIG; nothing is changed in it yet."""
    registry = os.environ.get("E2E_REGISTRY", "")
    if "/" not in registry:
        pytest.fail(
            "set E2E_REGISTRY to where your nodes pull images from, host and path: registry:5000/e2e", pytrace=False
        )
    push_to = os.environ.get("E2E_REGISTRY_PUSH", f"https://{registry.partition('/')[0]}")
    try:
        cluster = Cluster.up("e2e-own", provider="kubeconfig", kubeconfig=kubeconfig, fake_nodes=False)
        there = cluster.kubectl("get", "crd", "-o", "name")
    except TestbedError as error:
        pytest.fail(f"the cluster of E2E_KUBECONFIG: {error}", pytrace=False)
    if "sovereignai.io" in there:
        pytest.fail(
            "the operator's CRDs are in the cluster of E2E_KUBECONFIG already: take one that does not have them",
            pytrace=False,
        )
    return Own(cluster, registry, push_to)


@contextmanager
def vouched(cluster: Cluster) -> Iterator[None]:
    """Say of every node that nobody has said anything about that it is in France; taken back at the end."""
    kubectl = cluster.kubectl_as(cluster.kubeconfig)
    names = [node["metadata"]["name"] for node in kubectl.items("nodes") if _unknown(node)]
    facts = [f"{FACT_PREFIX}/{fact}" for fact in ("jurisdiction", "region", "provider")]
    values = ("FR", "fr-par", "on-prem")
    kubectl("label", "node", *names, *(f"{fact}={value}" for fact, value in zip(facts, values, strict=True)))
    try:
        yield
    finally:
        kubectl("label", "node", *names, *(f"{fact}-" for fact in facts))


@contextmanager
def removed(cluster: Cluster, *namespaces: str) -> Iterator[None]:
    """At the end, whatever happened, nothing of the tests is left in the cluster."""
    try:
        yield
    finally:
        kubectl = cluster.kubectl_as(cluster.kubeconfig).run
        kubectl("delete", "sovpool,smodel", "--all", "-n", NAMESPACE, "--ignore-not-found")
        kubectl("delete", "sovpol,infrt", "--all", "--ignore-not-found")
        kubectl("delete", "namespace", *namespaces, SOURCES, "--ignore-not-found")
        crds = [line for line in cluster.kubectl("get", "crd", "-o", "name").split() if line.endswith("sovereignai.io")]
        if crds:
            kubectl("delete", *crds)
        cluster.down()


def source(own: Own, home: Path) -> Source:
    """An S3 server in the cluster, in a namespace that no policy governs."""
    pki.create(home / "pki")
    pki.issue_server(home / "pki", "s3", _HOST, [_HOST], [])
    files = {name: (home / "pki" / name).read_bytes() for name in ("s3.crt", "s3.key")}
    own.cluster.kubectl("apply", "-f", "-", input=json.dumps(_server(own.push("source", "source"), files)))

    def address() -> str:
        pod = json.loads(own.cluster.kubectl("get", "pod", "s3", "-n", SOURCES, "-o", "json"))
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))
        return str(pod["status"]["podIP"]) if ready else ""

    found = wait_for("the S3 server to be ready", address)
    authority = (home / "pki" / "ca.crt").read_bytes()
    return Source(f"https://{_HOST}:{PORT}", authority, _ACCESS_KEY, _SECRET_KEY, f"{found}/32", PORT)


def storage_class(cluster: Cluster) -> str:
    """E2E_STORAGE_CLASS, or the cluster's default."""
    if given := os.environ.get("E2E_STORAGE_CLASS"):
        return given
    mark = "storageclass.kubernetes.io/is-default-class"
    for item in cluster.kubectl_as(cluster.kubeconfig).items("storageclasses"):
        if item["metadata"].get("annotations", {}).get(mark) == "true":
            return str(item["metadata"]["name"])
    pytest.fail("the cluster has no default storage class: name one in E2E_STORAGE_CLASS", pytrace=False)


def build(own: Own, newer: str) -> Images:
    """The images: those that are named, and the others packed here and pushed."""
    operator = os.environ.get("E2E_OPERATOR_IMAGE")
    return Images(
        operator=operator or own.push("operator", "sovereign-operator"),
        newer=operator or own.push("operator", "sovereign-operator", version=newer),
        engine=own.push("engine", "llama-cpp"),
        client=os.environ.get("E2E_CLIENT_IMAGE") or own.push("client", "client"),
    )


def _unknown(node: Manifest) -> bool:
    return f"{FACT_PREFIX}/jurisdiction" not in node["metadata"].get("labels", {})


def _server(image: str, files: dict[str, bytes]) -> Manifest:
    place = {"name": "s3", "namespace": SOURCES}
    arguments = ["--cert", "/tls/s3.crt", "--key", "/tls/s3.key", "--access", _ACCESS_KEY, "--secret", _SECRET_KEY]
    serve = [
        "/versitygw",
        *arguments,
        "--port",
        f":{PORT}",
        "--health",
        "/health",
        "--quiet",
        "posix",
        "--nometa",
        "/s3",
    ]
    probe = {"httpGet": {"path": "/health", "port": PORT, "scheme": "HTTPS"}, "periodSeconds": 1}
    container = {
        "name": "s3",
        "image": image,
        "command": serve,
        "readinessProbe": probe,
        "volumeMounts": [{"name": "tls", "mountPath": "/tls", "readOnly": True}],
    }
    items = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SOURCES}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": place,
            "data": {name: base64.b64encode(content).decode() for name, content in files.items()},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": place,
            "spec": {"clusterIP": "None", "selector": {"app": "s3"}, "ports": [{"port": PORT}]},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": place | {"labels": {"app": "s3"}},
            "spec": {
                "containers": [container],
                "volumes": [{"name": "tls", "secret": {"secretName": "s3"}}],
                "terminationGracePeriodSeconds": 0,
            },
        },
    ]
    return {"apiVersion": "v1", "kind": "List", "items": items}
