"""``sovereign-operator``: the process."""

import asyncio
import gc
import os
import re
import socket
from collections.abc import Iterable
from typing import Annotated

import typer
import uvloop

from sovereign import __version__
from sovereign.api.schema import DURATION_MESSAGE, seconds
from sovereign.cluster import allocator
from sovereign.cluster import certificates as certificates  # before all that imports aiohttp
from sovereign.cluster.connection import ConnectionUnavailable, connect, remove_temporary_files
from sovereign.cluster.endpoints import AddressUnavailable
from sovereign.evidence.signature import KeyUnusable
from sovereign.logs import LogFormat, configure
from sovereign.operator import Operator, Options
from sovereign.plan.inventory import NetworkProbes, Settings, Subjects

app = typer.Typer(
    name="sovereign-operator",
    help="The operator of sovereignai.io: serves open-weight models only where they may be.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def main() -> None:
    """The operator of sovereignai.io."""


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _agents(text: str) -> tuple[str, ...]:
    agents = _listed(text)
    wrong = [agent for agent in agents if re.fullmatch(r"[a-z0-9-]+/[a-z0-9.-]+", agent) is None]
    if wrong:
        raise typer.BadParameter(f"--node-agents: {wrong[0]!r} is not a DaemonSet as namespace/name")
    return agents


def _seconds(flag: str, text: str) -> int:
    if text.strip() in ("", "0"):
        return 0
    if re.fullmatch(r"[0-9]{1,6}[smh]", text) is None:
        raise typer.BadParameter(f"{flag}: {DURATION_MESSAGE}")
    return seconds(text)


def _targets(listen: str, addresses: Iterable[str]) -> tuple[str, ...]:
    """Where the listener is reached from other pods: the operator's own addresses, with the listener's port."""
    host, _, port = listen.rpartition(":")
    both = host in ("", "[::]")
    reached = [address for address in addresses if both or (":" in address) == (":" in host)] if port else []
    return tuple(f"[{address}]:{port}" if ":" in address else f"{address}:{port}" for address in reached)


@app.command()
def run(
    namespace: Annotated[
        str, typer.Option(envvar="SOVEREIGN_NAMESPACE", help="The operator's own namespace.")
    ] = "sovereign-system",
    pod_name: Annotated[
        str, typer.Option(envvar="SOVEREIGN_POD_NAME", help="Identity in the lease. Default: host and process.")
    ] = "",
    lease_name: Annotated[
        str, typer.Option(envvar="SOVEREIGN_LEASE_NAME", help="Name of the lease.")
    ] = "sovereign-operator",
    lease_duration: Annotated[
        int,
        typer.Option(
            envvar="SOVEREIGN_LEASE_DURATION",
            min=3,
            max=600,
            help="Seconds after which a standby takes over from a leader that is gone; a leader stops after two thirds of it.",
        ),
    ] = 15,
    service_account: Annotated[
        str, typer.Option(envvar="SOVEREIGN_SERVICE_ACCOUNT", help="The operator's own service account.")
    ] = "sovereign-operator",
    node_facts_users: Annotated[
        str,
        typer.Option(
            envvar="SOVEREIGN_NODE_FACTS_USERS", help="Users who may change the facts of nodes, comma-separated."
        ),
    ] = "",
    node_facts_groups: Annotated[
        str,
        typer.Option(
            envvar="SOVEREIGN_NODE_FACTS_GROUPS", help="Groups that may change the facts of nodes, comma-separated."
        ),
    ] = "system:masters,kubeadm:cluster-admins",
    node_agents: Annotated[
        str,
        typer.Option(
            envvar="SOVEREIGN_NODE_AGENTS",
            help="DaemonSets, as namespace/name, whose pods dedicated nodes take, comma-separated.",
        ),
    ] = "",
    importer_image: Annotated[
        str,
        typer.Option(
            envvar="SOVEREIGN_IMPORTER_IMAGE", help="Image of import jobs, by digest; the operator's own image."
        ),
    ] = "",
    image_pull_secrets: Annotated[
        str,
        typer.Option(
            envvar="SOVEREIGN_IMAGE_PULL_SECRETS", help="Pull secrets of import jobs and pools, comma-separated."
        ),
    ] = "",
    system_namespaces: Annotated[
        str,
        typer.Option(envvar="SOVEREIGN_SYSTEM_NAMESPACES", help="Namespaces that are never governed, comma-separated."),
    ] = "kube-system,kube-public,kube-node-lease",
    cluster_domain: Annotated[
        str, typer.Option(envvar="SOVEREIGN_CLUSTER_DOMAIN", help="DNS domain of the cluster.")
    ] = "cluster.local",
    workers: Annotated[
        int, typer.Option(envvar="SOVEREIGN_WORKERS", min=1, max=64, help="Objects reconciled at once.")
    ] = 8,
    listen: Annotated[
        str, typer.Option(envvar="SOVEREIGN_LISTEN", help="Address of /healthz, /readyz and /metrics.")
    ] = "[::]:8080",
    probe_listen: Annotated[
        str,
        typer.Option(
            envvar="SOVEREIGN_PROBE_LISTEN",
            help="Address that network probes try to reach, for example [::]:8081; empty: the network is not probed.",
        ),
    ] = "",
    pod_ips: Annotated[
        str,
        typer.Option(
            envvar="SOVEREIGN_POD_IPS", help="The operator's own addresses, comma-separated; empty: no network probes."
        ),
    ] = "",
    probe_interval: Annotated[
        str,
        typer.Option(
            envvar="SOVEREIGN_PROBE_INTERVAL",
            help="Time from one network probe of a pool on a node to the next: 90s, 10m or 1h; 0: no network probes.",
        ),
    ] = "10m",
    probe_concurrency: Annotated[
        int, typer.Option(envvar="SOVEREIGN_PROBE_CONCURRENCY", min=1, max=64, help="Network probes at once.")
    ] = 1,
    probe_timeout: Annotated[
        str,
        typer.Option(
            envvar="SOVEREIGN_PROBE_TIMEOUT", help="How long a network probe tries to reach the operator: 10s."
        ),
    ] = "10s",
    evidence_interval: Annotated[
        str,
        typer.Option(
            envvar="SOVEREIGN_EVIDENCE_INTERVAL",
            help="Time from one heartbeat of the evidence ledger (standard output) to the next: 90s, 10m or 1h.",
        ),
    ] = "5m",
    evidence_key: Annotated[
        str,
        typer.Option(
            envvar="SOVEREIGN_EVIDENCE_KEY",
            help="File with the Ed25519 private key (PEM) that signs the ledger; empty: it is not signed.",
        ),
    ] = "",
    own_pull_secrets: Annotated[
        str,
        typer.Option(
            envvar="SOVEREIGN_OWN_PULL_SECRETS",
            help="Pull secrets in the operator's own namespace, for the controls of network probes, comma-separated.",
        ),
    ] = "",
    canary_service_account: Annotated[
        str,
        typer.Option(
            envvar="SOVEREIGN_CANARY_SERVICE_ACCOUNT",
            help="Service account in the operator's namespace that the rules are tried as; empty: they are not.",
        ),
    ] = "",
    canary_interval: Annotated[
        str,
        typer.Option(
            envvar="SOVEREIGN_CANARY_INTERVAL",
            help="Time from one round of canaries to the next: 10s, 60s or 5m; 0: the rules are not tried.",
        ),
    ] = "60s",
    log_format: Annotated[
        LogFormat, typer.Option(envvar="SOVEREIGN_LOG_FORMAT", help="json, or text for people.")
    ] = LogFormat.JSON,
    log_level: Annotated[
        str, typer.Option(envvar="SOVEREIGN_LOG_LEVEL", help="DEBUG, INFO, WARNING or ERROR.")
    ] = "INFO",
    kubeconfig: Annotated[str, typer.Option(envvar="KUBECONFIG", help="Default: the pod's service account.")] = "",
) -> None:
    """Run until SIGTERM or SIGINT; exits within 5 s, with 1 when the lease was lost."""
    configure(log_format, log_level)
    settings = Settings(
        operator_namespace=namespace,
        operator_user=f"system:serviceaccount:{namespace}:{service_account}",
        system_namespaces=_listed(system_namespaces),
        node_facts_writers=Subjects(_listed(node_facts_users), _listed(node_facts_groups)),
        node_agents=_agents(node_agents),
        canary_user=f"system:serviceaccount:{namespace}:{canary_service_account}" if canary_service_account else "",
        importer_image=importer_image,
        image_pull_secrets=_listed(image_pull_secrets),
        cluster_domain=cluster_domain,
        probes=NetworkProbes(
            targets=_targets(probe_listen, _listed(pod_ips)),
            interval=_seconds("--probe-interval", probe_interval),
            concurrency=probe_concurrency,
            timeout=_seconds("--probe-timeout", probe_timeout),
            pull_secrets=_listed(own_pull_secrets),
        ).possible(),
    )
    identity = pod_name or f"{socket.gethostname()}-{os.getpid()}"
    heartbeat = _seconds("--evidence-interval", evidence_interval)
    if not heartbeat:
        raise typer.BadParameter("--evidence-interval: a ledger without heartbeats cannot show a silence; write 5m")
    options = Options(
        settings,
        identity,
        lease_name,
        workers,
        listen,
        probe_listen,
        evidence_interval=heartbeat,
        evidence_key=evidence_key,
        canary_account=canary_service_account,
        canary_interval=_seconds("--canary-interval", canary_interval),
        lease_duration=lease_duration,
    )
    try:
        connection = connect(kubeconfig or None)
    except ConnectionUnavailable as error:
        typer.echo(f"sovereign-operator: {error}", err=True)
        raise typer.Exit(2) from error
    allocator.map_from(allocator.BUFFER)
    gc.freeze()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            code = runner.run(Operator(connection, options).run())
    except AddressUnavailable as error:
        typer.echo(f"sovereign-operator: cannot listen on {error}", err=True)
        raise typer.Exit(2) from error
    except KeyUnusable as error:
        typer.echo(f"sovereign-operator: --evidence-key: {error}", err=True)
        raise typer.Exit(2) from error
    finally:
        remove_temporary_files()
    raise typer.Exit(code)


if __name__ == "__main__":
    app()
