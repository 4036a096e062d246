"""All real nodes of one cluster, with the bridge, the registry and the outside world they live with."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed import fill, images, objects, services
from testbed.errors import TestbedError
from testbed.inventory import FakeNode
from testbed.kubectl import Kubectl
from testbed.nodes import calico, cgroups, dns, network, registry, storage
from testbed.nodes.layout import Layout, RealNode
from testbed.nodes.node import REGISTRY, Node
from testbed.nodes.outside import Outside
from testbed.services import Service

PROGRAMS = ("containerd", "kubelet", "kube-proxy", "coredns", "registry", "versitygw")
_MANAGER = "testbed-administrator"


def programs(plugin: str) -> Sequence[str]:
    """What a cluster with real nodes runs, besides its control plane."""
    return (*PROGRAMS, "calico", "calico-felix") if plugin == "calico" else PROGRAMS


@dataclass(frozen=True)
class Fleet:
    """The real nodes of the cluster in `folder`."""

    folder: Path
    layout: Layout
    programs: Mapping[str, str]
    ports: Mapping[str, int]

    @property
    def registry_url(self) -> str:
        """Where this machine pushes images to."""
        return registry.url(self.layout, self.ports["registry"])

    @property
    def outside(self) -> Outside:
        """The outside world."""
        return Outside(self.folder, self.layout, self.programs)

    def node(self, name: str) -> Node:
        """One node.

        Raises:
            TestbedError: there is none of this name.
        """
        for spec in self.layout.nodes:
            if spec.name == name:
                return self._node(spec)
        raise TestbedError(f"no real node {name!r}; there are {', '.join(node.name for node in self.layout.nodes)}")

    def nodes(self) -> list[Node]:
        """All nodes."""
        return [self._node(spec) for spec in self.layout.nodes]

    def push(self, image: str, repository: str = "", **arguments: str) -> str:
        """Build an image if need be, and put it into the registry; the reference by digest under which nodes know it."""
        built = images.build(image, **arguments)
        return f"{REGISTRY}/{images.push(built, self.registry_url, repository or f'testbed/{image}')}"

    def connect(self) -> None:
        """Make the network: the API server listens on its bridge."""
        network.up(self.layout, [self.ports["apiserver"], self.ports["registry"]])

    def up(self, kubectl: Kubectl, report: Callable[[str], None] = lambda step: None) -> None:
        """Start what does not run, and wait until every node is Ready and names are resolved.

        Raises:
            TestbedError: something does not get ready; the text says what.
        """
        report("registry and outside world")
        self.outside.write_files()
        services.ensure_ready(self.folder, [self._registry(), *self.outside.services()])
        (self.folder / "pause").write_text(self.push("pause"))
        self._start_nodes(kubectl, report)
        self.settle(kubectl)
        report("name resolution")
        kubectl.apply(dns.objects(self.layout, self.push("coredns")), _MANAGER)
        kubectl("rollout", "status", "deployment/coredns", "-n", dns.NAMESPACE, "--timeout=120s")

    def settle(self, kubectl: Kubectl) -> None:
        """Put facts and volumes of the nodes back to what they are to be, and wait until all are Ready."""
        self._wait(kubectl)
        kubectl.apply((objects.facts(_known(node)) for node in self.layout.nodes), _MANAGER)
        kubectl.apply(storage.classes(self.layout), _MANAGER)
        storage.top_up(kubectl, self.layout, self.folder, _MANAGER)

    def start(self, name: str) -> None:
        """Start one node that was stopped, as a machine that is switched on again."""
        node = self.node(name)
        node.forget_ready()
        cgroups.forget_pods(self.layout, name)
        services.ensure_ready(self.folder, [node.init])
        services.ensure_ready(self.folder, node.runtime())
        services.ensure_ready(self.folder, node.agents())

    def stop(self, name: str) -> None:
        """Stop one node at once, as a machine whose power fails: its containers end with it, what it had written stays."""
        services.stop(self.folder, f"node-{name}-")

    def services(self) -> Iterator[Service]:
        """All processes; those inside of nodes that do not run are left out."""
        yield self._registry()
        yield from self.outside.services()
        for node in self.nodes():
            yield node.init
            if services.running(self.folder, [node.init]):
                yield from node.runtime()
                yield from node.agents()

    def healthy(self) -> bool:
        """Whether everything runs and answers now."""
        return (self.folder / "pause").exists() and services.running(self.folder, list(self.services()))

    def _start_nodes(self, kubectl: Kubectl, report: Callable[[str], None]) -> None:
        report(f"{len(self.layout.nodes)} real nodes ({self.layout.plugin})")
        cgroups.up(self.layout)
        nodes = self.nodes()
        for node in nodes:
            node.write_files(self.folder / "volumes" / node.spec.region)
            node.forget_ready()
        if self.layout.plugin == "calico":
            manifest = Path(self.programs["calico"]).with_name("calico.yaml")
            definitions = list(calico.definitions(manifest))
            kubectl.apply(definitions, _MANAGER)
            names = (f"crd/{definition['metadata']['name']}" for definition in definitions)
            kubectl("wait", "--for=condition=Established", "--timeout=60s", *names)
            kubectl.apply(calico.objects(manifest), _MANAGER)
        services.ensure_ready(self.folder, [node.init for node in nodes])
        services.ensure_ready(self.folder, [service for node in nodes for service in node.runtime()])
        services.ensure_ready(self.folder, [service for node in nodes for service in node.agents()])

    def _wait(self, kubectl: Kubectl, timeout: float = 90) -> None:
        names = {node.name for node in self.layout.nodes}
        deadline = time.monotonic() + timeout
        while waiting := names - fill.ready_nodes(kubectl):
            if time.monotonic() > deadline:
                raise TestbedError(f"nodes do not get Ready: {', '.join(sorted(waiting))}; see their kubelets' logs")
            time.sleep(0.2)

    def _registry(self) -> Service:
        return registry.service(self.folder, self.layout, self.programs["registry"], self.ports["registry"])

    def _node(self, spec: RealNode) -> Node:
        reference = self.folder / "pause"
        pause = reference.read_text() if reference.exists() else ""
        server = f"https://{self.layout.machine}:{self.ports['apiserver']}"
        return Node(self.folder, self.layout, spec, self.programs, server, pause, self.ports["registry"])


def remove(layout: Layout) -> None:
    """Remove what the nodes' processes, which have ended, leave on the machine: cgroups, namespaces, bridge, rules.

    Raises:
        TestbedError: something cannot be removed; the text says what.
    """
    cgroups.down(layout)
    network.down(layout)


def _known(node: RealNode) -> FakeNode:
    return FakeNode(node.name, node.region, jurisdiction=node.jurisdiction, provider=node.provider)
