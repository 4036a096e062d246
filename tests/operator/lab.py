"""Words for what the tests of the operator do: objects, facts, requests, processes."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from charts import sync
from testbed import Cluster, audit
from testbed.chaos.operator import CANARY, ZERO, Process
from testbed.errors import TestbedError
from testbed.objects import shared_claim

FACTS = "sovereignai.node-restriction.kubernetes.io"
IMAGE = f"registry.example.eu/ai/vllm@sha256:{ZERO}"
DIGEST = f"sha256:{ZERO}"
PATIENCE = 60.0
OPERATOR = f"system:serviceaccount:{sync.NAMESPACE}:{sync.RELEASE}"
Manifest = dict[str, Any]


def wait_for(what: str, check: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Poll until ``check`` returns something true, and return that; fail with ``what`` when it never does."""
    deadline = time.monotonic() + patience
    last: Any = None
    while time.monotonic() < deadline:
        last = check()
        if last:
            return last
        time.sleep(0.1)
    pytest.fail(f"waited {patience:.0f} s for {what}; last: {last!r}")


def admitted(make: Callable[[], object], *refusals: str) -> bool:
    """Whether the API server lets ``make`` through; False where it refuses in one of these words, which may be true for a moment only."""
    try:
        make()
    except TestbedError as error:
        if not any(words in str(error) for words in refusals):
            raise
        return False
    return True


class Lab:
    """The control plane with words for what these tests do."""

    def __init__(self, cluster: Cluster, kubeconfig: Path, logs: Path) -> None:
        self.cluster = cluster
        self.logs = logs
        self.kubeconfig = kubeconfig
        self._started = 0

    # --- objects ------------------------------------------------------------------------------------

    def apply(self, *manifests: Manifest) -> None:
        """Create or update objects as a user does."""
        self.cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(manifests))

    def get(self, kind: str, name: str, namespace: str = "") -> Manifest | None:
        """One object, or None."""
        place = ["-n", namespace] if namespace else []
        text = self.cluster.kubectl("get", kind, name, *place, "-o", "json", "--ignore-not-found")
        return orjson.loads(text) if text else None

    def all(self, kind: str, namespace: str = "", selector: str = "") -> list[Manifest]:
        """Objects of a kind."""
        place = ["-n", namespace] if namespace else []
        chosen = ["-l", selector] if selector else []
        items: list[Manifest] = orjson.loads(self.cluster.kubectl("get", kind, *place, *chosen, "-o", "json"))["items"]
        return items

    def condition(self, kind: str, name: str, namespace: str, type_: str) -> Manifest:
        """One condition; empty when it is not there."""
        found = self.get(kind, name, namespace)
        conditions = ((found or {}).get("status") or {}).get("conditions") or []
        return next((entry for entry in conditions if entry["type"] == type_), {})

    def wait_condition(
        self,
        kind: str,
        name: str,
        namespace: str,
        type_: str,
        status: str,
        reason: str = "",
        patience: float = PATIENCE,
    ) -> Manifest:
        """Wait until a condition has this status (and reason), and return it."""

        def check() -> Manifest | None:
            found = self.condition(kind, name, namespace, type_)
            return found if found.get("status") == status and reason in ("", found.get("reason")) else None

        wanted = f"{kind}/{name} {type_}={status} {reason}; it is {self.condition(kind, name, namespace, type_)}"
        found: Manifest = wait_for(wanted, check, patience)
        return found

    def namespace(self, name: str, **labels: str) -> str:
        """A namespace with labels."""
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        return name

    def policy(self, name: str, *, tier: str, jurisdictions: tuple[str, ...] = ("FR",), **spec: Any) -> None:
        """A policy for the namespaces with the label ``tier``."""
        content = {
            "namespaceSelector": {"matchLabels": {"tier": tier}},
            "placement": {"jurisdictions": list(jurisdictions)},
            "images": {"registries": ["registry.example.eu/ai"]},
        }
        self.apply(custom("SovereigntyPolicy", name, "", content | spec))

    def model(self, name: str, namespace: str, **spec: Any) -> None:
        """A model whose weights lie on an existing claim, on a volume that every node can mount."""
        if self.get("pvc", "weights", namespace) is None:
            self.apply(*shared_claim(namespace))
        self.apply(custom("SovereignModel", name, namespace, model_spec() | spec))

    def pool(self, name: str, namespace: str, **spec: Any) -> None:
        """A pool with one GPU per replica."""
        self.apply(custom("InferencePool", name, namespace, pool_spec(name) | spec))

    def facts(self, node: str, **facts: str | None) -> None:
        """Set facts of a node as an administrator would; None removes one."""
        labels = [f"{FACTS}/{key}={value}" if value is not None else f"{FACTS}/{key}-" for key, value in facts.items()]
        self.cluster.kubectl("label", "node", node, "--overwrite", *labels)

    def pods(self, namespace: str, pool: str) -> list[Manifest]:
        """The pods of a pool that are not ending."""
        found = self.all("pods", namespace, f"sovereignai.io/pool={pool}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    # --- requests -----------------------------------------------------------------------------------

    def position(self) -> int:
        """Now, in the audit log."""
        assert self.cluster.audit_log is not None
        return audit.position(self.cluster.audit_log)

    def requests(self, since: int) -> list[audit.Request]:
        """What the operator asked the API server since then, besides watches and its lease."""
        found = self.cluster.requests(since)
        mine = [request for request in found if request.user == OPERATOR and request.verb != "watch"]
        return [request for request in mine if request.resource != "leases"]

    def canaries(self, since: int) -> list[audit.Request]:
        """What the canaries' account asked the API server since then."""
        return [request for request in self.cluster.requests(since) if request.user.endswith(f":{CANARY}")]

    # --- operators ----------------------------------------------------------------------------------

    def start(self, **env: str) -> Process:
        """Start an operator process; does not wait."""
        self._started += 1
        identity = f"operator-{self._started}"
        kubeconfig = Path(env.pop("KUBECONFIG", self.kubeconfig))
        return Process.start(kubeconfig, env.pop("SOVEREIGN_POD_NAME", identity), self.logs / f"{identity}.log", **env)

    def settle(self, operator: Process) -> None:
        """Wait until the operator has nothing to do and the cluster's own controllers are through."""
        quiet = 0
        last = -1.0

        def check() -> bool:
            nonlocal quiet, last
            done = operator.metric("controller_runtime_reconcile_total")
            idle = operator.metric("workqueue_depth") == 0 and done == last
            quiet, last = (quiet + 1 if idle else 0), done
            return quiet >= 10

        wait_for("the operator to settle", check)


def endpoints(lab: Lab, namespace: str, service: str) -> set[str]:
    """Names of the pods behind a Service."""
    slices = lab.all("endpointslices", namespace, f"kubernetes.io/service-name={service}")
    return {
        endpoint["targetRef"]["name"]
        for entry in slices
        for endpoint in entry.get("endpoints") or []
        if endpoint["conditions"].get("ready")
    }


def nodes_of(lab: Lab, namespace: str, pool: str) -> list[str]:
    """Where the pods of a pool are."""
    return sorted(pod["spec"].get("nodeName", "") for pod in lab.pods(namespace, pool))


def events(lab: Lab, namespace: str, reason: str) -> list[Manifest]:
    """The Events of a namespace with this reason."""
    return [event for event in lab.all("events", namespace) if event["reason"] == reason]


def serve(lab: Lab, place: str, **spec: Any) -> str:
    """A pool that is ready; returns the node of its first pod."""
    lab.model("chat", place)
    lab.pool("chat", place, **spec)
    lab.wait_condition("sovpool", "chat", place, "Ready", "True")
    return nodes_of(lab, place, "chat")[0]


def created(lab: Lab, namespace: str, manifest: Manifest) -> bool:
    """Try to create an object: what the API server knows of a new node, or of one that is gone, follows a moment later."""
    place = ["-n", namespace] if namespace else []
    return admitted(
        lambda: lab.cluster.kubectl("create", *place, "-f", "-", input=json.dumps(manifest)),
        "is not approved",
        "is approved, and would be another machine",
    )


def status(lab: Lab, kind: str, name: str, namespace: str = "", **status: Any) -> None:
    """Write a status, as a kubelet would."""
    where = ["-n", namespace] if namespace else []
    patch = json.dumps({"status": status})
    lab.cluster.kubectl("patch", kind, name, *where, "--subresource=status", "--type=merge", "-p", patch)


def custom(kind: str, name: str, namespace: str, spec: Manifest) -> Manifest:
    """One of our objects."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": "sovereignai.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def model_spec() -> Manifest:
    """A model on an existing claim, so that its pool starts at once."""
    return {"source": {"uri": "pvc://weights/mistral"}, "digest": DIGEST}


def pool_spec(model: str) -> Manifest:
    """A pool of one replica with one GPU."""
    return {
        "modelRef": {"name": model},
        "runtime": {"name": "vllm", "image": IMAGE},
        "accelerator": {"count": 1},
        "replicas": 1,
    }
