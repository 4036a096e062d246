"""The control plane of one cluster: etcd, API server, controller manager, scheduler; and KWOK for its nodes.

The flags differ from a production cluster's in four ways: etcd does not wait for the disk, clients are not
throttled, one replica of each part leads without an election, and nodes that go silent are believed longer.
Authorization, admission and auditing are a real cluster's: Node and RBAC, NodeRestriction (without it a
kubelet could forge facts), one audit line for each request.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from testbed import pki
from testbed.ports import LOOPBACK
from testbed.services import Service

PORT_NAMES = ("etcd", "etcd-peer", "apiserver", "controller-manager", "scheduler", "kwok")

# Made up and never routed: documentation (RFC 5737) for nodes, benchmarking (RFC 2544) for pods.
_FAKE_NODE_ADDRESS = "192.0.2.1"
_FAKE_POD_RANGE = "198.18.0.1/15"
_SERVICE_RANGE = "10.96.0.0/12"

_USERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "admin": ("testbed-admin", ("system:masters",)),
    "controller-manager": ("system:kube-controller-manager", ()),
    "scheduler": ("system:kube-scheduler", ()),
    "kwok": ("testbed-kwok", ("system:masters",)),
}

_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*"]},
        {"level": "Metadata"},
    ],
}


@dataclass(frozen=True)
class ControlPlane:
    """The processes of one cluster, from its folder, ports (by `PORT_NAMES`) and paths of programs."""

    folder: Path
    ports: Mapping[str, int]
    programs: Mapping[str, str]
    apiserver_args: tuple[str, ...] = ()
    address: str = LOOPBACK
    """Where the API server listens; with real nodes an address that they can reach."""

    @property
    def server(self) -> str:
        """URL of the API server."""
        return f"https://{self.address}:{self.ports['apiserver']}"

    @property
    def _real_nodes(self) -> bool:
        return self.address != LOOPBACK

    def write_files(self) -> None:
        """Write certificates, the parts' kubeconfigs and the audit policy; what is there already stays."""
        pki.create(self._pki, [] if self.address == LOOPBACK else [self.address])
        for part, (user, groups) in _USERS.items():
            path = self.kubeconfig(part)
            if not path.exists():
                pki.issue_client(self._pki, part, user, groups)
                ca = (self._pki / "ca.crt").read_bytes()
                pki.write_kubeconfig(path, self.server, ca, pki.client_entry(self._pki, part))
        pki.write_private(self.folder / "audit-policy.yaml", yaml.safe_dump(_AUDIT_POLICY).encode())

    def kubeconfig(self, part: str) -> Path:
        """The kubeconfig of one part: admin, controller-manager, scheduler or kwok."""
        return self.folder / ("kubeconfig" if part == "admin" else f"{part}.kubeconfig")

    def storage_and_api(self) -> list[Service]:
        """Etcd and the API server, which waits for it: to be started together, before all others."""
        return [self._etcd(), self._apiserver()]

    def controllers(self) -> list[Service]:
        """Controller manager and scheduler: to be started once the API server is ready."""
        return [self._controller_manager(), self._scheduler()]

    @property
    def _pki(self) -> Path:
        return self.folder / "pki"

    def _etcd(self) -> Service:
        client, peer = (f"http://{LOOPBACK}:{self.ports[name]}" for name in ("etcd", "etcd-peer"))
        flags = {
            "name": "testbed",
            "data-dir": self.folder / "etcd",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"testbed={peer}",
            "unsafe-no-fsync": "true",
            "auto-compaction-mode": "periodic",
            "auto-compaction-retention": "10m",
            "log-level": "warn",
        }
        return Service("etcd", (self.programs["etcd"], *_flags(flags)), f"{client}/readyz")

    def _apiserver(self) -> Service:
        issuer = "https://kubernetes.default.svc"
        flags = {
            "etcd-servers": f"http://{LOOPBACK}:{self.ports['etcd']}",
            "bind-address": self.address,
            "advertise-address": self.address,
            "secure-port": self.ports["apiserver"],
            "endpoint-reconciler-type": "lease" if self._real_nodes else "none",
            "service-cluster-ip-range": _SERVICE_RANGE,
            "allow-privileged": "true",
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",
            "client-ca-file": self._pki / "ca.crt",
            "tls-cert-file": self._pki / "server.crt",
            "tls-private-key-file": self._pki / "server.key",
            "service-account-issuer": issuer,
            "service-account-signing-key-file": self._pki / "sa.key",
            "service-account-key-file": self._pki / "sa.pub",
            "audit-policy-file": self.folder / "audit-policy.yaml",
            "audit-log-path": self.folder / "audit.log",
            "audit-log-maxsize": 100_000,  # MB: counting by offset needs a log that is never rotated
            "max-requests-inflight": 2000,
            "max-mutating-requests-inflight": 1000,
        }
        if self._real_nodes:
            flags |= {
                "kubelet-certificate-authority": self._pki / "ca.crt",
                "kubelet-client-certificate": self._pki / "admin.crt",
                "kubelet-client-key": self._pki / "admin.key",
                "kubelet-preferred-address-types": "InternalIP",
            }
        argv = (self.programs["kube-apiserver"], *_flags(flags), *self.apiserver_args)
        return Service("kube-apiserver", argv, f"{self.server}/readyz", self._tls(client="admin"))

    def _controller_manager(self) -> Service:
        flags = self._controller_flags("controller-manager") | {
            "use-service-account-credentials": "true",
            "service-account-private-key-file": self._pki / "sa.key",
            "root-ca-file": self._pki / "ca.crt",
            "cluster-signing-cert-file": self._pki / "ca.crt",
            "cluster-signing-key-file": self._pki / "ca.key",
            "service-cluster-ip-range": _SERVICE_RANGE,
            # A busy machine must not make KWOK's nodes NotReady; that real nodes are gone is to be seen soon.
            "node-monitor-grace-period": "20s" if self._real_nodes else "120s",
            "pvclaimbinder-sync-period": "2s",
            "horizontal-pod-autoscaler-sync-period": "5s",
        }
        argv = (self.programs["kube-controller-manager"], *_flags(flags))
        return Service("kube-controller-manager", argv, self._healthz("controller-manager"), self._tls())

    def _scheduler(self) -> Service:
        argv = (self.programs["kube-scheduler"], *_flags(self._controller_flags("scheduler")))
        return Service("kube-scheduler", argv, self._healthz("scheduler"), self._tls())

    def _controller_flags(self, part: str) -> dict[str, Any]:
        kubeconfig = self.kubeconfig(part)
        return {
            "kubeconfig": kubeconfig,
            "authentication-kubeconfig": kubeconfig,
            "authorization-kubeconfig": kubeconfig,
            "bind-address": LOOPBACK,
            "secure-port": self.ports[part],
            "tls-cert-file": self._pki / "server.crt",
            "tls-private-key-file": self._pki / "server.key",
            "leader-elect": "false",
            "kube-api-qps": 300,
            "kube-api-burst": 600,
        }

    def _healthz(self, part: str) -> str:
        return f"https://{LOOPBACK}:{self.ports[part]}/healthz"

    def _tls(self, client: str | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self._pki / "ca.crt"))
        if client:
            context.load_cert_chain(self._pki / f"{client}.crt", self._pki / f"{client}.key")
        return context


def kwok(folder: Path, program: Path, kubeconfig: Path, port: int) -> Service:
    """KWOK, which plays the kubelet of the nodes annotated as fake. Its stages lie beside the program.

    Raises:
        OSError: the stages are not there.
    """
    stages = [program.with_name(f"{name}.yaml") for name in ("node-initialize", "pod-ready", "pod-delete")]
    stages.append(_leave_work_on_volumes(program.with_name("pod-complete.yaml"), folder / "pod-complete.yaml"))
    flags = {
        "kubeconfig": kubeconfig,
        "manage-nodes-with-annotation-selector": "kwok.x-k8s.io/node=fake",
        "node-lease-duration-seconds": 40,
        "node-ip": _FAKE_NODE_ADDRESS,
        "cidr": _FAKE_POD_RANGE,
        "server-address": f"{LOOPBACK}:{port}",
    }
    configs = [f"--config={stage}" for stage in stages]
    return Service("kwok", (program, *_flags(flags), *configs), f"http://{LOOPBACK}:{port}/healthz")


def _leave_work_on_volumes(stage: Path, target: Path) -> Path:
    # KWOK's own stage ends every Job's pod at once. A Job that is to put something on a volume has not done
    # it then, and to say so would be a lie: such a pod stays Running until Cluster.finish_pod() says what
    # came of it.
    document = yaml.safe_load(stage.read_text())
    has_claim = ".spec.volumes[]? | select( .persistentVolumeClaim ) | .name"
    # Nor does a probe of the network show anything where there is no network.
    is_probe = '.metadata | select( .labels["app.kubernetes.io/component"] == "probe" ) | .name'
    document["spec"]["selector"]["matchExpressions"] += [
        {"key": key, "operator": "DoesNotExist"} for key in (has_claim, is_probe)
    ]
    pki.write_private(target, yaml.safe_dump(document).encode())
    return target


def _flags(values: Mapping[str, Any]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]
