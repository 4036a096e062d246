"""What can be reached from inside a pod's network, tried for real and seen from the machine."""

import json
from collections.abc import Iterable, Mapping

from testbed.nodes import outside
from testbed.nodes.configuration import DNS_ADDRESS
from testbed.nodes.fleet import Fleet
from testbed.nodes.layout import Layout
from testbed.nodes.network import OUTSIDE4, OUTSIDE6
from testbed.story.pods import Manifest, inside

Target = str
"""``tcp ADDRESS PORT``, or ``dns SERVER NAME``."""

SOURCE: Target = f"tcp {outside.S3_ADDRESS} {outside.S3_PORT}"
"""The S3 server with the weights."""
_API_SERVICE = "10.96.0.1"
_RESOLVERS = "203.0.113.53"


def beyond(fleet: Fleet) -> set[Target]:
    """The outside world: made-up public hosts of both families, the metadata service, the sources of weights."""
    targets = {f"tcp {address} 80" for address in (*OUTSIDE4, *OUTSIDE6)}
    targets |= {SOURCE, f"tcp {outside.SOURCE_REGISTRY_ADDRESS} {outside.SOURCE_REGISTRY_PORT}"}
    return targets | {f"dns {server} www.{outside.ZONE}" for server in (_RESOLVERS, fleet.layout.gateway4)}


def within(fleet: Fleet, server: str, pods: Iterable[Manifest], port: int) -> set[Target]:
    """The cluster: the API server (by its URL), the registry on the bridge, nodes, names, and ``pods`` that listen on ``port``."""
    api, api_port = server.removeprefix("https://").split(":")
    targets = {f"tcp {api} {api_port}", f"tcp {_API_SERVICE} 443", f"tcp {api} {fleet.ports['registry']}"}
    targets |= {f"tcp {node.address} 10250" for node in fleet.nodes()}
    targets |= {f"tcp {pod['status']['podIP']} {port}" for pod in pods}
    return targets | {resolver(f"www.{outside.ZONE}"), resolver("kubernetes.default.svc.cluster.local")}


def resolver(name: str) -> Target:
    """The cluster's own name server, asked for a name."""
    return f"dns {DNS_ADDRESS} {name}"


def is_resolver(target: Target) -> bool:
    """Whether a target is the cluster's own name server."""
    return target.startswith(f"dns {DNS_ADDRESS} ")


def probe(layout: Layout, pod: Manifest, targets: Iterable[Target]) -> Mapping[Target, str]:
    """``reached``, or how it failed, for each target, as from inside the pod."""
    outcome: dict[Target, str] = json.loads(inside(layout, pod, _PROBE, *sorted(targets)))
    return outcome


def reached(found: Mapping[Target, str]) -> set[Target]:
    """The targets that were reached."""
    return {target for target, outcome in found.items() if outcome == "reached"}


def describe(target: Target, fleet: Fleet) -> str:
    """What a target is, in words."""
    kind, address, rest = target.split()
    if kind == "dns":
        return "the cluster's name server" if is_resolver(target) else "a name server outside"
    known = {
        "169.254.169.254": "a cloud's metadata service",
        outside.S3_ADDRESS: "the S3 server with the weights" if rest != "80" else "a host outside",
        outside.SOURCE_REGISTRY_ADDRESS: "another registry outside" if rest != "80" else "a host outside",
        _API_SERVICE: "the API server, by its Service",
        fleet.layout.machine: "the registry of the cluster"
        if rest == str(fleet.ports["registry"])
        else "the API server",
        **{node.address: f"the kubelet of {node.spec.name}" for node in fleet.nodes()},
    }
    outer = (*OUTSIDE4, *OUTSIDE6)
    return known.get(address, "a host outside" if address in outer else "a pod of another namespace")


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
