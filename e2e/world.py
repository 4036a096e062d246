"""Words for what the end-to-end tests do: everything of `Lab`, and what only clusters with running pods have."""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charts import sync
from testbed import Cluster
from testbed.demo import tables
from testbed.helm import Helm
from testbed.nodes.fleet import Fleet
from testbed.story import chat, cut, pods
from testbed.story.pods import is_ready
from tests.operator.lab import Lab, Manifest, wait_for

SYSTEM = sync.NAMESPACE
RELEASE = sync.RELEASE
NAMESPACE = "chat"
CALLERS = "callers"
STRANGERS = "strangers"
POLICY = "europe"
TIER = {"sovereignai.io/tier": "restricted"}
MODEL = "smollm2"
POOL = "smollm2"
SECRET = "weights-reader"
PORT = chat.PORT
GRACE = 10
"""Seconds of the policy's grace period."""


@dataclass(frozen=True)
class Images:
    """References by digest, as the nodes know them."""

    operator: str
    newer: str
    """The same operator with another version."""
    engine: str
    client: str

    @property
    def registries(self) -> list[str]:
        """What policies allow: where they are."""
        return sorted({image.rpartition("/")[0] for image in (self.operator, self.engine, self.client)})


@dataclass(frozen=True)
class Source:
    """Where weights come from: an S3 server over TLS."""

    endpoint: str
    authority: bytes
    access_key: str
    secret_key: str
    network: str
    port: int


class World(Lab):
    """A cluster in which pods run, with the operator installed in it."""

    def __init__(
        self, cluster: Cluster, home: Path, images: Images, source: Source, storage_classes: list[str]
    ) -> None:
        super().__init__(cluster, cluster.kubeconfig, home)
        self.images = images
        self.source = source
        self.storage_classes = storage_classes
        self.helm = Helm(home / "helm", cluster.kubeconfig)

    @property
    def access_mode(self) -> str:
        """How claims are mounted: on the test bed by any node of the region, elsewhere as every cluster can."""
        return "ReadWriteOnce" if os.environ.get("E2E_KUBECONFIG") else "ReadWriteMany"

    @property
    def fleet(self) -> Fleet:
        """The real nodes of the test bed."""
        return self.cluster.fleet

    # --- pods ---------------------------------------------------------------------------------------

    def serving(self, pool: str, namespace: str = NAMESPACE) -> list[Manifest]:
        """The pods of a pool's Deployment that are not ending."""
        found = self.all("pods", namespace, f"sovereignai.io/pool={pool},app.kubernetes.io/component=serving")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def ready(self, pool: str, namespace: str = NAMESPACE) -> list[Manifest]:
        """Those of them that are ready."""
        return [pod for pod in self.serving(pool, namespace) if is_ready(pod)]

    def endpoints(self, service: str, namespace: str = NAMESPACE) -> set[str]:
        """Names of the pods that a Service leads to."""
        slices = self.all("endpointslices", namespace, f"kubernetes.io/service-name={service}")
        return tables.serving(slices)

    def import_pods(self, model: str, namespace: str = NAMESPACE) -> list[Manifest]:
        """The pods that import a model, ended ones too."""
        return self.all("pods", namespace, f"sovereignai.io/model={model},app.kubernetes.io/component=import")

    def execute(self, pod: str, namespace: str, *command: str) -> str:
        """Run a command in a pod and return what it prints."""
        return self.cluster.kubectl("exec", pod, "-n", namespace, "--", *command)

    def ask(
        self, question: str, *, caller: str = "caller", namespace: str = CALLERS, pool: str = POOL, **more: Any
    ) -> str:
        """What the model answers to a question that is asked from a pod, through the Service."""
        asked = (_ASK, url(pool), chat.body(question, **more))
        return chat.said(self.execute(caller, namespace, "python3", "-c", *asked))

    def fetch(
        self,
        target: str,
        body: Manifest | None = None,
        *,
        key: str = "",
        caller: str = "caller",
        namespace: str = CALLERS,
    ) -> str:
        """HTTP status with which a URL answers a pod, or how it does not."""
        content = json.dumps(body) if body else ""
        return self.execute(caller, namespace, "python3", "-c", _FETCH, target, content, key).strip()

    def ask_directly(self, caller: Manifest, address: str, question: str) -> str:
        """As `ask`, but without the API server; empty when there is no answer."""
        try:
            return chat.said(self.inside(caller, _ASK, address, chat.body(question), spaces=("--net", "--mount")))
        except subprocess.CalledProcessError:
            return ""

    def inside(self, pod: Manifest, program: str, *arguments: str, spaces: Sequence[str] = ("--net",)) -> str:
        """Run a Python program inside a pod's network: this machine's Python, or with ``--mount`` the pod's own."""
        return pods.inside(self.fleet.layout, pod, program, *arguments, spaces=spaces)

    def processes(self, pod: Manifest) -> list[int]:
        """Process ids, as this machine numbers them, of what runs in a pod; lowest first."""
        return pods.processes(self.fleet.layout, pod)

    def tenant(self, name: str, namespace: str) -> Path:
        """A kubeconfig of a user with the cluster's own role `admin` in one namespace."""
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"}
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "roleRef": role,
            "subjects": [subject],
        }
        self.apply(binding | {"metadata": {"name": name, "namespace": namespace}})
        return self.cluster.client_certificate(name)

    @contextmanager
    def static_pod(self, node: str, labels: dict[str, str]) -> Iterator[str]:
        """A file on a node that its kubelet makes a pod of, past the API server; the pod's name."""
        folder = self.fleet.node(node).home / "etc" / "upper" / "kubernetes" / "manifests"
        container = {"name": "stray", "image": self.images.client, "command": ["sleep", "infinity"]}
        metadata = {"name": "stray", "namespace": NAMESPACE, "labels": labels}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}
        (folder / "stray.json").write_text(json.dumps(pod))
        try:
            yield f"stray-{node}"
        finally:
            (folder / "stray.json").unlink()

    def wait_told(self, static_pod: str, words: str) -> None:
        """Wait until an Event of the policy tells of a static pod in these words."""

        def told() -> bool:
            events = self.all("events", "default")
            about = [e for e in events if e["reason"] == "StaticPod" and e["involvedObject"]["name"] == POLICY]
            return any(static_pod in event["message"] and words in event["message"] for event in about)

        wait_for(f"an Event that {static_pod} {words}", told)

    def reconnect(self) -> None:
        """Start again what of the cluster's processes does not run."""
        cut.back(self.cluster)

    # --- objects ------------------------------------------------------------------------------------

    def wait_ready(self, kind: str, name: str, namespace: str = NAMESPACE, patience: float = 90) -> Manifest:
        """Wait until an object of ours is Ready; fails with what it is instead."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            found = self.condition(kind, name, namespace, "Ready")
            if found.get("status") == "True":
                return found
            time.sleep(0.1)
        raise AssertionError(f"{kind}/{name} is not Ready after {patience:.0f} s: {found}")

    def wait_pod(self, name: str, namespace: str) -> Manifest:
        """Wait until a pod is ready, and return it."""

        def look() -> Manifest | None:
            pod = self.get("pod", name, namespace)
            return pod if pod and is_ready(pod) else None

        found: Manifest = wait_for(f"pod {namespace}/{name} to be ready", look)
        return found


def url(pool: str, namespace: str = NAMESPACE) -> str:
    """Where a pool answers."""
    return chat.url(pool, namespace)


_ASK = """
import sys, urllib.request
request = urllib.request.Request(sys.argv[1] + "/v1/chat/completions", sys.argv[2].encode(), {"Content-Type": "application/json"})
print(urllib.request.urlopen(request, timeout=60).read().decode())
"""

_FETCH = """
import sys, urllib.request, urllib.error
headers = {"Content-Type": "application/json"} | ({"Authorization": "Bearer " + sys.argv[3]} if sys.argv[3] else {})
request = urllib.request.Request(sys.argv[1], sys.argv[2].encode() or None, headers)
try:
    print(urllib.request.urlopen(request, timeout=5).status)
except urllib.error.HTTPError as error:
    print(error.code)
except urllib.error.URLError as error:
    print(error.reason)
"""
