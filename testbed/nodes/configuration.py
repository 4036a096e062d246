"""Configurations of a node's programs, from the cluster's layout. No I/O."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from testbed.nodes.layout import Layout, RealNode

DNS_ADDRESS = "10.96.0.10"
"""Of the cluster's resolver."""


def kubelet(layout: Layout, node: RealNode) -> dict[str, Any]:
    """The kubelet's: short intervals, so that what happens to a node is seen soon."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "x509": {"clientCAFile": "/etc/kubernetes/ca.crt"},
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": "/etc/kubernetes/kubelet.crt",
        "tlsPrivateKeyFile": "/etc/kubernetes/kubelet.key",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.prefix}/{node.name}",
        "failSwapOn": False,
        "failCgroupV1": False,
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": "/etc/resolv.conf",
        "staticPodPath": "/etc/kubernetes/manifests",
        "healthzBindAddress": layout.address4(node),
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "serializeImagePulls": False,
        "nodeStatusUpdateFrequency": "5s",
        "nodeLeaseDurationSeconds": 20,
        "syncFrequency": "10s",
        "fileCheckFrequency": "2s",
        "maxPods": 110,
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
    }


def proxy(layout: Layout, node: RealNode) -> dict[str, Any]:
    """kube-proxy's."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "hostnameOverride": node.name,
        "clientConnection": {"kubeconfig": "/etc/kubernetes/proxy.kubeconfig"},
        "healthzBindAddress": f"{layout.address4(node)}:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "iptables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
        # The kernel's connection table is the machine's: its size is not ours to set.
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def containerd(layout: Layout, node: RealNode, pause: str, plugins: Sequence[str], *, lowers_scores: bool) -> str:
    """containerd's.

    Args:
        layout: the cluster's.
        node: the node.
        pause: reference of the sandbox image.
        plugins: folders of CNI plugins.
        lowers_scores: whether it may give a container a lower OOM score than its own.
    """
    restrict = "false" if lowers_scores else "true"
    return f"""version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri"]

[grpc]
address = "/run/containerd/containerd.sock"

[metrics]
address = "{layout.address4(node)}:1338"

[plugins."io.containerd.cri.v1.images"]
use_local_image_pull = false

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{pause}"

[plugins."io.containerd.cri.v1.images".registry]
config_path = "/etc/containerd/certs.d"

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = {restrict}

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = {json.dumps(list(plugins))}
conf_dir = "/etc/cni/net.d"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
SystemdCgroup = false
"""


def mirror(layout: Layout, port: int) -> str:
    """Where images of the one registry that nodes know come from."""
    url = f"http://{layout.machine}:{port}"
    return f'server = "{url}"\n\n[host."{url}"]\ncapabilities = ["pull", "resolve"]\n'


def cni(layout: Layout, node: RealNode) -> dict[str, Any]:
    """The network plugin's: pods have an address of each family."""
    ipam = {
        "type": "host-local",
        "dataDir": "/run/testbed-addresses",
        "ranges": [
            [{"subnet": layout.pods4(node)}],
            [{"subnet": layout.pods6(node)}],
        ],
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    if layout.plugin == "bridge":
        routes = [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
        bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True}
        plugin: dict[str, Any] = {**bridge, "ipam": {**ipam, "routes": routes}}
    else:
        plugin = {
            "type": "calico",
            "log_level": "warning",
            "log_file_path": "/var/log/calico-cni.log",
            "datastore_type": "kubernetes",
            "nodename": node.name,
            "nodename_file_optional": True,
            "mtu": 1500,
            "ipam": ipam,
            "policy": {"type": "k8s"},
            "kubernetes": {"kubeconfig": "/etc/kubernetes/cni.kubeconfig"},
        }
    return {"cniVersion": "1.0.0", "name": "testbed", "plugins": [plugin, ports]}


def felix(layout: Layout, node: RealNode) -> Mapping[str, str]:
    """Felix's, as environment variables without their prefix."""
    return {
        "DATASTORETYPE": "kubernetes",
        "FELIXHOSTNAME": node.name,
        "INTERFACEPREFIX": "cali",
        "IPTABLESBACKEND": "NFT",  # `Auto` guesses wrong beside kube-proxy
        "DEFAULTENDPOINTTOHOSTACTION": "ACCEPT",
        "IPV6SUPPORT": "true",
        "BPFENABLED": "false",
        "XDPENABLED": "false",
        "USAGEREPORTINGENABLED": "false",
        "HEALTHENABLED": "true",
        "HEALTHHOST": layout.address4(node),
        "LOGSEVERITYSCREEN": "Warning",
        "LOGFILEPATH": "none",
        "LOGSEVERITYSYS": "none",
    }
