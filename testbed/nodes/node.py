"""One real node: its namespaces, and the container runtime, kubelet, proxy and network agent in them.

A node is a set of namespaces whose first process holds it together: when that ends, the kernel ends everything
in the node, containers too, and its mounts are gone with it. Inside, the programs find the paths they are used to:
/etc, /var and /run are the machine's with a layer of the node's own on top.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from testbed import pki, process
from testbed.errors import TestbedError
from testbed.nodes import configuration, machine
from testbed.nodes.layout import Layout, RealNode
from testbed.services import Service

REGISTRY = "registry.sovereign.test"
"""The name under which nodes know the registry on the bridge; nothing resolves it."""
VOLUMES = "/var/lib/testbed/volumes"
"""Where a node has the volumes of its region."""
REAL_LABEL = "testbed.sovereignai.io/real"
_CAP_SYS_RESOURCE = 24

# $1 is the node's folder, $2 its name, $3 the folder of its region's volumes, $4 where the node has that.
_INIT = """
set -e
mount --make-rprivate /
mkdir -p "$1/run"
mount -t tmpfs -o mode=755 tmpfs "$1/run"
for part in etc var run; do
  mkdir -p "$1/$part/upper" "$1/$part/work"
  mount -t overlay overlay -o "lowerdir=/$part,upperdir=$1/$part/upper,workdir=$1/$part/work" "/$part"
done
for part in containerd kubelet; do
  mkdir -p "$1/$part" "/var/lib/$part"
  mount --bind "$1/$part" "/var/lib/$part"
done
mkdir -p "$4"
mount --bind "$3" "$4"
mount -t proc proc /proc
mkdir -p "$1/cgroup"
mount --rbind /sys/fs/cgroup "$1/cgroup"
mount -t sysfs sysfs /sys
mount --rbind "$1/cgroup" /sys/fs/cgroup
umount -l "$1/cgroup"
hostname "$2"
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables || true
: > "$1/ready"
sleep infinity &
wait
"""


@dataclass(frozen=True)
class Node:
    """A node of the cluster in `folder`."""

    folder: Path
    layout: Layout
    spec: RealNode
    programs: Mapping[str, str]
    server: str
    pause: str  # reference of the sandbox image
    registry_port: int

    @property
    def home(self) -> Path:
        """The node's own folder."""
        return self.folder / "nodes" / self.spec.name

    @property
    def address(self) -> str:
        """Its IPv4 address on the bridge."""
        return self.layout.address4(self.spec)

    @property
    def init(self) -> Service:
        """The process that holds the node together."""
        volumes = self.folder / "volumes" / self.spec.region
        script: tuple[str | Path, ...] = ("sh", "-c", _INIT, "sh", self.home, self.spec.name, volumes, VOLUMES)
        spaces = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"]
        enter = ["nsenter", f"--net=/run/netns/{self.layout.namespace(self.spec)}"]
        return Service(self._name("init"), (*enter, *spaces, *script), (self.home / "ready").as_uri())

    def runtime(self) -> list[Service]:
        """Containerd: to be started once the node is held together."""
        health = f"http://{self.address}:1338/v1/metrics"
        return [self._inside("containerd", ["containerd", "--config=/etc/containerd/config.toml"], health)]

    def agents(self) -> list[Service]:
        """Kubelet, proxy and network agent: to be started once containers can run."""
        kubelet = [
            self.programs["kubelet"],
            "--config=/etc/kubernetes/kubelet.yaml",
            "--kubeconfig=/etc/kubernetes/kubelet.kubeconfig",
            f"--hostname-override={self.spec.name}",
            f"--node-ip={self.address}",
            f"--node-labels=topology.kubernetes.io/region={self.spec.region},{REAL_LABEL}=true",
            "--v=1",
        ]
        proxy = [self.programs["kube-proxy"], "--config=/etc/kubernetes/proxy.yaml", "--v=1"]
        found = [
            self._inside("kubelet", kubelet, f"http://{self.address}:10248/healthz"),
            self._inside("proxy", proxy, f"http://{self.address}:10256/livez"),
        ]
        if self.layout.plugin == "calico":
            felix = [
                "env",
                *(f"FELIX_{key}={value}" for key, value in configuration.felix(self.layout, self.spec).items()),
            ]
            health = f"http://{self.address}:9099/readiness"
            found.append(self._inside("felix", [*felix, self.programs["calico-felix"]], health))
        return found

    def enter(self, *argv: str | Path) -> tuple[str | Path, ...]:
        """The command line that runs `argv` inside the node.

        Raises:
            TestbedError: the node does not run.
        """
        first = process.read(self.init.pidfile(self.folder))
        if first is None or not first.alive():
            raise TestbedError(f"node {self.spec.name} does not run")
        spaces = f"/proc/{first.pid}/ns"
        return (
            "nsenter",
            f"--target={first.pid}",
            *("--mount", "--net", "--uts", "--ipc", f"--pid={spaces}/pid_for_children"),
            *("--", *argv),
        )

    def write_files(self, regional: Path) -> None:
        """Write certificates, kubeconfigs and configurations; `regional` is the folder of its region's volumes."""
        for part in ("etc/upper/kubernetes/manifests", "etc/upper/cni/net.d", "etc/upper/containerd/certs.d"):
            (self.home / part).mkdir(parents=True, exist_ok=True)
        regional.mkdir(parents=True, exist_ok=True)
        self._identities()
        etc = self.home / "etc" / "upper"
        files: dict[str, str] = {
            "resolv.conf": f"nameserver {self.layout.gateway4}\n",
            "hosts": f"127.0.0.1 localhost\n::1 localhost\n{self.address} {self.spec.name}\n",
            "kubernetes/kubelet.yaml": yaml.safe_dump(configuration.kubelet(self.layout, self.spec)),
            "kubernetes/proxy.yaml": yaml.safe_dump(configuration.proxy(self.layout, self.spec)),
            "containerd/config.toml": self._containerd(),
            "containerd/certs.d/_default/hosts.toml": 'server = "http://127.0.0.1:1"\n',
            f"containerd/certs.d/{REGISTRY}/hosts.toml": configuration.mirror(self.layout, self.registry_port),
            "cni/net.d/10-testbed.conflist": json.dumps(configuration.cni(self.layout, self.spec), indent=2),
        }
        for name, content in files.items():
            (etc / name).parent.mkdir(parents=True, exist_ok=True)
            pki.write_private(etc / name, content.encode())

    def forget_ready(self) -> None:
        """Before the first process is started anew: what the last one left says nothing about it."""
        if not process.alive(self.init.pidfile(self.folder)):
            (self.home / "ready").unlink(missing_ok=True)

    # --- files --------------------------------------------------------------------------------------

    def _identities(self) -> None:
        """What the node's programs show the API server, and the kubelet its callers."""
        target = self.home / "etc" / "upper" / "kubernetes"
        authority = self.folder / "pki"
        users = {
            "kubelet": (f"system:node:{self.spec.name}", ("system:nodes",)),
            "proxy": ("system:kube-proxy", ()),
            "calico": ("calico-node", ()),
            "cni": ("calico-cni-plugin", ()),
        }
        for part, (user, groups) in users.items():
            path = target / f"{part}.kubeconfig"
            if not path.exists():
                stem = f"{self.spec.name}-{part}"
                pki.issue_client(authority, stem, user, groups)
                ca = (authority / "ca.crt").read_bytes()
                pki.write_kubeconfig(path, self.server, ca, pki.client_entry(authority, stem))
        if not (target / "kubelet.crt").exists():
            stem = f"{self.spec.name}-serving"
            pki.issue_server(authority, stem, f"system:node:{self.spec.name}", [self.spec.name], [self.address])
            for kind in ("key", "crt"):
                pki.write_private(target / f"kubelet.{kind}", (authority / f"{stem}.{kind}").read_bytes())
            pki.write_private(target / "ca.crt", (authority / "ca.crt").read_bytes())

    def _containerd(self) -> str:
        plugins = [str(machine.CNI_PLUGINS)]
        if self.layout.plugin == "calico":
            plugins.insert(0, str(Path(self.programs["calico"]).parent))
        scores = _may_lower_scores()
        return configuration.containerd(self.layout, self.spec, self.pause, plugins, lowers_scores=scores)

    def _inside(self, part: str, argv: Sequence[str | Path], health: str) -> Service:
        folders = {str(Path(self.programs[name]).parent) for name in ("containerd", "kubelet")}
        path = ":".join([*sorted(folders), process.environment()["PATH"]])
        settings = [f"PATH={path}"]
        if part == "felix":
            settings += ["KUBECONFIG=/etc/kubernetes/calico.kubeconfig"]
        return Service(self._name(part), self.enter("env", *settings, *argv), health)

    def _name(self, part: str) -> str:
        return f"node-{self.spec.name}-{part}"


def _may_lower_scores() -> bool:
    """Whether this process has CAP_SYS_RESOURCE, which giving a container a lower OOM score takes."""
    status = Path("/proc/self/status").read_text()
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> _CAP_SYS_RESOURCE & 1)
