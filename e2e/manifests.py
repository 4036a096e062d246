"""The objects that the end-to-end tests apply, as a user would write them."""

import base64
from typing import Any

from e2e.world import GRACE, MODEL, NAMESPACE, POLICY, POOL, PORT, SECRET, TIER, World
from testbed import models
from testbed.demo import weights as digests
from tests.operator.lab import Manifest, custom


def policy(world: World, name: str = POLICY, **spec: Any) -> Manifest:
    """France and Germany; the volumes, the registry and the source that the cluster has; nothing else goes out."""
    source = world.source
    content = {
        "namespaceSelector": {"matchLabels": TIER},
        "onViolation": {"action": "Evict", "gracePeriod": f"{GRACE}s"},
        "placement": {"jurisdictions": ["FR", "DE"]},
        "images": {"registries": world.images.registries},
        "storage": {"storageClasses": world.storage_classes},
        "models": {"sources": ["s3://weights/"], "s3Endpoint": source.endpoint},
        "network": {
            "importEgress": [{"cidr": source.network, "ports": [source.port]}],
            "ingressNamespaces": {"matchLabels": {"calls": "models"}},
        },
        "licenses": {"allow": ["Apache-2.0"]},
    }
    return custom("SovereigntyPolicy", name, "", content | spec)


def reader(world: World, namespace: str = NAMESPACE) -> Manifest:
    """The Secret that opens the source."""
    values = {
        "AWS_ACCESS_KEY_ID": world.source.access_key.encode(),
        "AWS_SECRET_ACCESS_KEY": world.source.secret_key.encode(),
        "ca.crt": world.source.authority,
    }
    data = {key: base64.b64encode(value).decode() for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET, "namespace": namespace}, "data": data}


def weights(world: World, name: str = MODEL, namespace: str = NAMESPACE, **spec: Any) -> Manifest:
    """A SovereignModel of what lies in the bucket under `name`, on a volume in France."""
    path = models.smollm2()
    content = {
        "source": {"uri": f"s3://weights/{MODEL}", "secretRef": {"name": SECRET}},
        "digest": digests.digest({path.name: path.read_bytes()}),
        "format": "gguf",
        "license": "Apache-2.0",
        "cache": {"storageClassName": world.storage_classes[0], "size": "1Gi", "accessMode": world.access_mode},
    }
    return custom("SovereignModel", name, namespace, content | spec)


def pool(world: World, name: str = POOL, namespace: str = NAMESPACE, **spec: Any) -> Manifest:
    """An InferencePool on processors."""
    content = {
        "modelRef": {"name": MODEL},
        "runtime": {"name": "llama-cpp", "image": world.images.engine},
        "accelerator": {"count": 0},
        "maxModelLen": 1024,
        "maxNumSeqs": 2,
        "resources": {"cpu": "250m", "memory": "512Mi", "sharedMemory": "64Mi"},
        "network": {"ingressFrom": [{"namespaceSelector": {"matchLabels": {"calls": "models"}}}]},
        "replicas": 2,
    }
    return custom("InferencePool", name, namespace, content | spec)


def client(world: World, name: str, namespace: str, **spec: Any) -> Manifest:
    """A pod that has Python and busybox, answers on port 8080, and waits for commands."""
    container = {
        "name": "client",
        "image": world.images.client,
        "command": ["busybox", "httpd", "-f", "-p", str(PORT), "-h", "/etc"],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    secure = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    quick = {"terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False, "enableServiceLinks": False}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"containers": [container], "securityContext": secure, **quick, **spec},
    }
