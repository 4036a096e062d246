"""What can be reached from inside a pod's network, tried for real and seen from the machine."""

import json
from collections.abc import Iterable, Mapping

from e2e.world import CALLERS, PORT, STRANGERS, World
from testbed.nodes import outside
from testbed.nodes.network import OUTSIDE4, OUTSIDE6
from testbed.nodes.node import DNS_ADDRESS
from tests.operator.lab import Manifest

Target = str
"""``tcp ADDRESS PORT``, or ``dns SERVER NAME``."""


def beyond(world: World) -> set[Target]:
    """The outside world: made-up public hosts of both families, the metadata service, the sources of weights."""
    targets = {f"tcp {address} 80" for address in (*OUTSIDE4, *OUTSIDE6)}
    targets |= {f"tcp {outside.S3_ADDRESS} {outside.S3_PORT}"}
    targets |= {f"tcp {outside.SOURCE_REGISTRY_ADDRESS} {outside.SOURCE_REGISTRY_PORT}"}
    return targets | {f"dns 203.0.113.53 www.{outside.ZONE}", f"dns {world.fleet.layout.gateway4} www.{outside.ZONE}"}


def within(world: World) -> set[Target]:
    """The cluster: API server, the registry on the bridge, nodes, pods of other namespaces, names."""
    fleet, (api, port) = world.fleet, world.cluster.server.removeprefix("https://").split(":")
    targets = {f"tcp {api} {port}", "tcp 10.96.0.1 443", f"tcp {api} {fleet.ports['registry']}"}
    targets |= {f"tcp {node.address} 10250" for node in fleet.nodes()}
    for namespace in (CALLERS, STRANGERS):
        pod = world.get("pod", "caller", namespace)
        assert pod is not None
        targets.add(f"tcp {pod['status']['podIP']} {PORT}")
    return targets | {
        f"dns {DNS_ADDRESS} www.{outside.ZONE}",
        f"dns {DNS_ADDRESS} kubernetes.default.svc.cluster.local",
    }


def probe(world: World, pod: Manifest, targets: Iterable[Target]) -> Mapping[Target, str]:
    """``reached``, or how it failed, for each target, as from inside the pod."""
    outcome: dict[Target, str] = json.loads(world.inside(pod, _PROBE, *sorted(targets)))
    return outcome


def reached(found: Mapping[Target, str]) -> set[Target]:
    """The targets that were reached."""
    return {target for target, outcome in found.items() if outcome == "reached"}


_PROBE = """
import concurrent.futures, json, secrets, socket, struct, sys

def tcp(address, port):
    with socket.create_connection((address, int(port)), timeout=3):
        return "reached"

def dns(server, name):
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\\0"
    query = secrets.token_bytes(2) + struct.pack(">HHHHH", 0x100, 1, 0, 0, 0) + labels + struct.pack(">HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(3)
        udp.connect((server, 53))
        udp.send(query)
        answer = udp.recv(512)
        return "reached" if answer[:2] == query[:2] and struct.unpack(">H", answer[6:8])[0] else "no such name"

def one(target):
    kind, *rest = target.split()
    try:
        return {"tcp": tcp, "dns": dns}[kind](*rest)
    except OSError as error:
        return type(error).__name__

with concurrent.futures.ThreadPoolExecutor(32) as pool:
    print(json.dumps(dict(zip(sys.argv[1:], pool.map(one, sys.argv[1:])))))
"""
