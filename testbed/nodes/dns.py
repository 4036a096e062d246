"""CoreDNS as the cluster's resolver, in pods on real nodes; names it does not know it asks the outside world for."""

from collections.abc import Iterator
from typing import Any

from testbed.nodes.configuration import DNS_ADDRESS
from testbed.nodes.layout import Layout
from testbed.nodes.node import REAL_LABEL

Object = dict[str, Any]
NAMESPACE = "kube-system"
_LABELS = {"k8s-app": "kube-dns"}
_NAME = {"name": "coredns", "namespace": NAMESPACE}


def objects(layout: Layout, image: str) -> Iterator[Object]:
    """Everything of it, with `image` by digest."""
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _NAME}
    yield {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "testbed-coredns"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "testbed-coredns"},
        "subjects": [{"kind": "ServiceAccount", **_NAME}],
    }
    reads = ["list", "watch"]
    yield {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "testbed-coredns"},
        "rules": [
            {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": reads},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": reads},
        ],
    }
    yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _NAME, "data": {"Corefile": _corefile(layout)}}
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": NAMESPACE, "labels": _LABELS},
        "spec": {
            "clusterIP": DNS_ADDRESS,
            "selector": _LABELS,
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
            ],
        },
    }
    yield _deployment(image)


def _corefile(layout: Layout) -> str:
    return f""".:53 {{
  errors
  health {{
    lameduck 1s
  }}
  ready
  kubernetes cluster.local in-addr.arpa ip6.arpa {{
    pods insecure
    fallthrough in-addr.arpa ip6.arpa
    ttl 5
  }}
  forward . {layout.gateway4}
  loop
  reload
}}
"""


def _deployment(image: str) -> Object:
    container = {
        "name": "coredns",
        "image": image,
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [
            {"containerPort": 53, "name": "dns", "protocol": "UDP"},
            {"containerPort": 53, "name": "dns-tcp", "protocol": "TCP"},
        ],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "failureThreshold": 5},
        "resources": {"requests": {"cpu": "50m", "memory": "30Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
    }
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": _LABELS},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**_NAME, "labels": _LABELS},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": _LABELS},
            "template": {
                "metadata": {"labels": _LABELS},
                "spec": {
                    "serviceAccountName": "coredns",
                    "priorityClassName": "system-cluster-critical",
                    "nodeSelector": {REAL_LABEL: "true"},
                    "dnsPolicy": "Default",
                    "tolerations": [{"operator": "Exists"}],
                    "topologySpreadConstraints": [spread],
                    "containers": [container],
                    "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
                },
            },
        },
    }
