"""The processes of the demonstration that outlive it: the operator, and the S3 server that has the weights.

Their pid files lie beside those of the cluster, so whatever takes the cluster down ends them too, also
after the demonstration was killed.
"""

import os
import signal
import ssl
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from charts import sync
from testbed import Cluster, binaries, pki, ports, process, services, state
from testbed.demo.claims import eventually
from testbed.services import Service

ACCESS_KEY, SECRET_KEY = "AKIADEMODEMODEMO", "not-a-secret-but-the-demonstrations"  # of a server on loopback
_END = 10.0  # seconds; the operator promises 5


@dataclass(frozen=True)
class Operator:
    """The operator as a process of this machine."""

    folder: Path
    service: Service
    port: int

    @property
    def log(self) -> Path:
        """What it says."""
        return self.service.log(self.folder)

    @property
    def runs(self) -> bool:
        """Whether its process is there."""
        return process.alive(self.service.pidfile(self.folder))

    @property
    def pid(self) -> int:
        """Of its process; 0 when it was never started."""
        known = process.read(self.service.pidfile(self.folder))
        return known.pid if known is not None else 0

    def start(self) -> None:
        """Start it and wait until its caches are synced.

        Raises:
            TestbedError: it does not get ready; with its last words.
        """
        services.ensure_ready(self.folder, [self.service])

    def stop(self) -> float:
        """Ask it to end (SIGTERM), and return the seconds it took.

        Raises:
            StepFailed: it is still there after 10 s.
        """
        pidfile = self.service.pidfile(self.folder)
        running = process.read(pidfile)
        started = time.monotonic()
        if running is not None and running.alive():
            os.kill(running.pid, signal.SIGTERM)
            eventually("the operator to end", lambda: not running.alive(), _END)
        seconds = time.monotonic() - started
        process.stop([pidfile])
        return seconds

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels; 0 when there is none, or nobody answers."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback needs no proxy
        try:
            with opener.open(f"http://{ports.LOOPBACK}:{self.port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            return 0.0
        return total(text, name)

    @property
    def leads(self) -> bool:
        """Whether it holds the lease."""
        return self.metric("leader_election_master_status") == 1


@dataclass(frozen=True)
class Store:
    """An S3 server whose buckets are folders."""

    folder: Path
    service: Service
    endpoint: str
    buckets: Path
    authority: Path

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            TestbedError: it does not get ready; with its last words.
        """
        services.ensure_ready(self.folder, [self.service])


def operator(cluster: Cluster, importer_image: str) -> Operator:
    """The operator with the rights of the chart's service account, which must be installed."""
    kubeconfig = cluster.service_account_kubeconfig(sync.NAMESPACE, sync.RELEASE)
    (port,) = _free_ports(1)
    environment = {
        "SOVEREIGN_NAMESPACE": sync.NAMESPACE,
        "SOVEREIGN_IMPORTER_IMAGE": importer_image,
        "SOVEREIGN_CANARY_SERVICE_ACCOUNT": f"{sync.RELEASE}-canary",
        "SOVEREIGN_LISTEN": f"{ports.LOOPBACK}:{port}",
        "SOVEREIGN_LOG_FORMAT": "text",
    }
    words = [f"{name}={value}" for name, value in environment.items()]
    argv: tuple[str | Path, ...] = (
        "env",
        *words,
        sys.executable,
        "-m",
        "sovereign.main",
        "run",
        "--kubeconfig",
        kubeconfig,
    )
    return Operator(cluster.dir, Service("operator", argv, f"http://{ports.LOOPBACK}:{port}/readyz"), port)


def store(cluster: Cluster, home: Path) -> Store:
    """An S3 server with TLS, keys and an authority of its own, its data below ``home``."""
    certificates, buckets = home / "s3-pki", home / "buckets"
    pki.create(certificates)
    buckets.mkdir(exist_ok=True)
    (port,) = _free_ports(1)
    argv = (
        *(binaries.require("versitygw"), "--port", f"{ports.LOOPBACK}:{port}", "--health", "/health", "--quiet"),
        *("--access", ACCESS_KEY, "--secret", SECRET_KEY),
        *("--cert", certificates / "server.crt", "--key", certificates / "server.key"),
        *("posix", buckets),
    )
    endpoint, authority = f"https://{ports.LOOPBACK}:{port}", certificates / "ca.crt"
    trust = ssl.create_default_context(cafile=authority)
    service = Service("versitygw", argv, f"{endpoint}/health", trust)
    return Store(cluster.dir, service, endpoint, buckets, authority)


def total(metrics: str, name: str) -> float:
    """The sum of a metric over its labels, in Prometheus' text format."""
    lines = [line for line in metrics.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def _free_ports(count: int) -> list[int]:
    with state.port_choice() as (taken, _):
        return ports.choose(count, taken)
