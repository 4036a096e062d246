"""What the test bed does to the machine: no packet leaves it, nothing of others is touched, nothing is left behind."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import Cluster, TestbedError
from testbed.cluster import down
from testbed.nodes import machine, network
from testbed.nodes.fleet import Fleet
from testbed.nodes.layout import Layout
from testbed.nodes.machine import run
from tests.operator.lab import wait_for

pytestmark = pytest.mark.real_nodes
NAME = "e2e-machine"
UPLINK = "svuplink"


@pytest.fixture(scope="module", autouse=True)
def needed() -> None:
    if reason := machine.requirement():
        pytest.fail(reason, pytrace=False)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    try:
        yield Cluster.up(NAME, provider="binaries", fake_nodes=False, nodes="fr:1", plugin="bridge")
    finally:
        down(NAME)


def traces(prefix: str) -> set[str]:
    """Everything on this machine that bears the name of a cluster of the test bed."""
    found = {f"process {path.parent.name}" for path in Path("/proc").glob("[0-9]*/cgroup") if prefix in _text(path)}
    found |= {f"interface {path.name}" for path in Path("/sys/class/net").glob(f"{prefix}*")}
    found |= {f"namespace {path.name}" for path in Path("/run/netns").glob(f"{prefix}*")}
    found |= {f"cgroup {path}" for path in Path("/sys/fs/cgroup").glob(f"**/{prefix}*")}
    found |= {f"mount {line.split()[1]}" for line in Path("/proc/mounts").read_text().splitlines() if NAME in line}
    found |= {f"rule {line}" for line in run("nft", "list", "tables").splitlines() if prefix in line}
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.fixture
def mixed() -> Iterator[Cluster]:
    """A real node beside the fake ones."""
    try:
        yield Cluster.up(NAME, provider="binaries", nodes="fr:1", plugin="bridge")
    finally:
        down(NAME)


def test_real_nodes_beside_fake_ones_and_nothing_is_left(mixed: Cluster) -> None:
    cluster, prefix = mixed, mixed.fleet.layout.prefix
    kubectl = cluster.kubectl_as(cluster.kubeconfig)
    runtimes = {
        node["metadata"]["name"]: node["status"]["nodeInfo"]["containerRuntimeVersion"].partition(":")[0]
        for node in kubectl.items("nodes")
    }
    assert runtimes["fr-1"] == "containerd"
    assert "containerd" not in {runtime for name, runtime in runtimes.items() if name != "fr-1"}
    assert len(runtimes) > 5
    resolvers = kubectl.items("pods", "-n", "kube-system", "-l", "k8s-app=kube-dns")
    assert {pod["spec"]["nodeName"] for pod in resolvers} == {"fr-1"}
    rules = run("iptables-save"), run("ip6tables-save")
    processes = cluster_processes(cluster)
    assert len(traces(prefix)) > 10
    assert len(processes) > 10
    cluster.down()
    assert traces(prefix) == set()
    # Whoever inherits them has to take note of their end first.
    wait_for("their ends to be noted", lambda: not [one for one in processes if Path(f"/proc/{one}").exists()])
    assert (run("iptables-save"), run("ip6tables-save")) == rules
    assert not cluster.dir.exists()


def cluster_processes(cluster: Cluster) -> set[int]:
    """Process ids of everything that the cluster's services have started."""
    own = {int(path.read_text().split()[0]) for path in (cluster.dir / "run").glob("*.pid")}
    children: dict[int, set[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        if text := _text(path):
            parent = int(text.rpartition(")")[2].split()[1])
            children.setdefault(parent, set()).add(int(path.parent.name))
    found, frontier = set(own), set(own)
    while frontier:
        frontier = {child for parent in frontier for child in children.get(parent, set())} - found
        found |= frontier
    return found


@pytest.fixture
def uplink(cluster: Cluster) -> Iterator[str]:
    """A host beyond the machine, as a machine's uplink would lead to, and a node that sends its packets that way."""
    layout = cluster.fleet.layout
    node = layout.namespace(layout.nodes[0])
    address = "198.18.7.2"
    run("ip", "netns", "add", UPLINK)
    run("ip", "link", "add", UPLINK, "type", "veth", "peer", "name", "eth0", "netns", UPLINK)
    run("ip", "addr", "add", "198.18.7.1/24", "dev", UPLINK)
    run("ip", "link", "set", UPLINK, "up")
    for words in ("link set eth0 up", f"addr add {address}/24 dev eth0", "route add default via 198.18.7.1"):
        run("ip", "-n", UPLINK, *words.split())
    run("ip", "-n", node, "route", "add", "198.18.7.0/24", "via", layout.machine)
    # Of our own interfaces alone: the machine as a whole forwards what it forwarded before.
    for interface in (layout.bridge, UPLINK):
        Path(f"/proc/sys/net/ipv4/conf/{interface}/forwarding").write_text("1")
    yield address
    run("ip", "-n", node, "route", "delete", "198.18.7.0/24")
    run("ip", "netns", "delete", UPLINK)


def test_no_packet_leaves_the_machine(cluster: Cluster, uplink: str) -> None:
    """Even where a node sends its packets to the machine and the machine would forward them."""
    fleet = cluster.fleet
    server = subprocess.Popen(
        ["ip", "netns", "exec", UPLINK, sys.executable, "-m", "http.server", "80", "--bind", uplink],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for("the host beyond to answer its own machine", lambda: _connects([], uplink, 80))
        assert not _connects(_inside(fleet), uplink, 80)
        run("nft", "delete", "table", "inet", fleet.layout.prefix)
        assert _connects(_inside(fleet), uplink, 80), "the test means nothing"
        fleet.connect()
        assert not _connects(_inside(fleet), uplink, 80)
    finally:
        server.kill()
        server.wait()


def test_nodes_reach_no_other_service_of_the_machine(cluster: Cluster) -> None:
    fleet = cluster.fleet
    with socket.create_server((fleet.layout.machine, 0)) as other:
        assert not _connects(_inside(fleet), fleet.layout.machine, other.getsockname()[1])
        assert _connects(_inside(fleet), fleet.layout.machine, fleet.ports["apiserver"])


def _inside(fleet: Fleet) -> list[str]:
    return ["ip", "netns", "exec", fleet.layout.namespace(fleet.layout.nodes[0])]


def _connects(enter: list[str], address: str, port: int) -> bool:
    program = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)"
    command = [*enter, sys.executable, "-c", program, address, str(port)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_names_that_are_taken_are_left_alone() -> None:
    """A bridge of somebody else's with our name: the next name is taken. All names: refused, and nothing is made."""
    taken = [Layout(slot, (), "bridge").bridge for slot in range(10)]
    mine = [name for name in taken if not Path(f"/sys/class/net/{name}").exists()]
    for name in mine:
        run("ip", "link", "add", name, "type", "bridge")
    try:
        before = run("ip", "-o", "link")
        with pytest.raises(TestbedError, match="no names and addresses are free"):
            Cluster.up("e2e-refused", provider="binaries", fake_nodes=False, nodes="fr:1", plugin="bridge")
        assert run("ip", "-o", "link") == before
        run("ip", "link", "delete", mine[-1])
        assert network.free_slot(set()) == taken.index(mine[-1])
    finally:
        down("e2e-refused")
        for name in mine:
            if Path(f"/sys/class/net/{name}").exists():
                run("ip", "link", "delete", name)


def test_without_root_it_says_what_it_needs() -> None:
    # Root until everything is imported: the interpreter may lie where nobody else can read.
    program = """
import os
from testbed import Cluster, TestbedError
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    Cluster.up("plain", provider="binaries", nodes="fr:1")
except TestbedError as error:
    print(error)
"""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        environment = {**os.environ, "XDG_STATE_HOME": f"{folder}/state"}
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.startswith("real nodes need root")
        assert list(Path(folder).rglob("*.pid")) == []
