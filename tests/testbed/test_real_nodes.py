"""Real nodes as far as they can be looked at without making any: names, addresses, files, what is asked for."""

import ipaddress
from pathlib import Path

import pytest
import yaml

from testbed import TestbedError, options, pki
from testbed.nodes import configuration, dns, machine, storage
from testbed.nodes.layout import MAX_NODES, SLOTS, Layout, parse
from testbed.nodes.node import REGISTRY, Node
from testbed.nodes.outside import NAMES, Outside
from testbed.options import Options

NODES = "fr:2,de:1,us:1"


def layout(slot: int = 0, plugin: str = "calico") -> Layout:
    return Layout(slot, parse(NODES), plugin)


def test_nodes_are_named_and_numbered() -> None:
    nodes = parse(NODES)
    assert [node.name for node in nodes] == ["fr-1", "fr-2", "de-1", "us-1"]
    assert [node.number for node in nodes] == [0, 1, 2, 3]
    assert [node.jurisdiction for node in nodes] == ["FR", "FR", "DE", "US"]
    assert layout().regions == ["de-fra", "fr-par", "us-east"]
    (swiss,) = parse("ch:1")
    assert (swiss.name, swiss.region, swiss.jurisdiction) == ("ch-1", "ch-main", "CH")


@pytest.mark.parametrize("text", ["", "fr", "fr:0", "fr:-1", "fr:1,fr:2", "france:1", "fr:1;de:1", "fr:1,", "fr:99"])
def test_what_is_no_list_of_nodes_is_refused(text: str) -> None:
    with pytest.raises(TestbedError, match=r"for example fr:2,de:1,us:1|at most"):
        parse(text)


def test_no_address_is_given_twice() -> None:
    every = []
    for slot in SLOTS:
        one = Layout(slot, parse("fr:20,de:20"), "calico")
        assert len(one.nodes) == MAX_NODES
        every += [ipaddress.ip_network(one.machine), ipaddress.ip_network(one.gateway4)]
        every += [ipaddress.ip_network(one.address4(node)) for node in one.nodes]
        every += [ipaddress.ip_network(one.pods4(node)) for node in one.nodes]
        assert all(network.subnet_of(one.range4) for network in every[-2 * MAX_NODES :])
    assert not any(a.overlaps(b) for index, a in enumerate(every) for b in every[:index])


def test_names_fit_an_interface() -> None:
    one = Layout(max(SLOTS), parse("fr:40"), "calico")
    assert max(len(f"{one.prefix}-{node.number}") for node in one.nodes) <= 15
    assert len(f"{one.prefix}-out") <= 15


@pytest.fixture
def node(tmp_path: Path) -> Node:
    pki.create(tmp_path / "pki", ["10.160.0.1"])
    programs = {name: f"/programs/{name}" for name in ("containerd", "kubelet", "kube-proxy", "calico", "calico-felix")}
    made = Node(tmp_path, layout(), layout().nodes[0], programs, "https://10.160.0.1:6443", f"{REGISTRY}/pause", 5000)
    made.write_files(tmp_path / "volumes")
    return made


def test_a_node_pulls_from_the_registry_on_the_bridge_alone(node: Node) -> None:
    registries = node.home / "etc/upper/containerd/certs.d"
    assert {path.name for path in registries.iterdir()} == {"_default", REGISTRY}
    assert (registries / "_default/hosts.toml").read_text() == 'server = "http://127.0.0.1:1"\n'
    assert "http://10.160.0.1:5000" in (registries / REGISTRY / "hosts.toml").read_text()


def test_a_kubelet_is_itself_alone(node: Node) -> None:
    """Its certificate is of its own node, and nobody without a certificate is heard."""
    user = yaml.safe_load((node.home / "etc/upper/kubernetes/kubelet.kubeconfig").read_text())["users"][0]["user"]
    assert {"client-certificate-data", "client-key-data"} == user.keys()
    configuration = yaml.safe_load((node.home / "etc/upper/kubernetes/kubelet.yaml").read_text())
    assert configuration["authentication"]["anonymous"]["enabled"] is False
    assert configuration["authorization"]["mode"] == "Webhook"
    assert configuration["resolvConf"] == "/etc/resolv.conf"
    assert (node.home / "etc/upper/resolv.conf").read_text() == "nameserver 10.160.0.254\n"


@pytest.mark.parametrize("plugin", ["calico", "bridge"])
def test_pods_have_addresses_of_both_families(plugin: str) -> None:
    made = configuration.cni(layout(plugin=plugin), layout().nodes[1])
    plugins = made["plugins"]
    assert [one["type"] for one in plugins] == [plugin, "portmap"]
    subnets = [ipaddress.ip_network(one[0]["subnet"]) for one in plugins[0]["ipam"]["ranges"]]
    assert [subnet.version for subnet in subnets] == [4, 6]


def test_a_node_that_does_not_run_cannot_be_entered(node: Node) -> None:
    with pytest.raises(TestbedError, match="node fr-1 does not run"):
        node.enter("true")


def test_the_outside_world_knows_its_names(tmp_path: Path) -> None:
    pki.create(tmp_path / "pki")
    outside = Outside(tmp_path, layout(), {})
    outside.write_files()
    zone = (outside.home / "Corefile").read_text()
    assert all(f"{address} {name}" in zone for name, address in NAMES.items())


def test_each_region_has_a_storage_class() -> None:
    assert [one["metadata"]["name"] for one in storage.classes(layout())] == [
        "shared-de-fra",
        "shared-fr-par",
        "shared-us-east",
    ]


def test_the_resolver_runs_on_real_nodes() -> None:
    (deployment,) = [one for one in dns.objects(layout(), "image") if one["kind"] == "Deployment"]
    assert deployment["spec"]["template"]["spec"]["nodeSelector"] == {"testbed.sovereignai.io/real": "true"}


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (Options("binaries", nodes="fr:1", plugin="cilium"), "no network plugin 'cilium'; there are calico, bridge"),
        (Options("binaries", plugin="calico"), "say which with --nodes"),
        (Options("binaries", nodes="one"), "write each jurisdiction once with a number"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(tmp_path: Path, asked: Options, says: str) -> None:
    with pytest.raises(TestbedError, match=says):
        options.reconcile(tmp_path, asked)
    assert list(tmp_path.iterdir()) == []


def test_more_nodes_than_the_machine_can_watch() -> None:
    assert machine.too_many(1) is None
    reason = machine.too_many(10**9)
    assert reason is not None
    assert "sysctl fs.inotify.max_user_instances=" in reason
