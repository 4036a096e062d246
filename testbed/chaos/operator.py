"""The operator as a child process that can be asked, stopped and killed."""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from charts import sync
from testbed import ports

ZERO = "0" * 64
CANARY = f"{sync.RELEASE}-canary"
"""The service account of the chart that canaries are sent as."""
OPERATOR = ("sovereign.main", "run")
IMPORTER = f"registry.example.eu/ai/sovereign-operator@sha256:{ZERO}"


@dataclass
class Process:
    """A running operator."""

    popen: subprocess.Popen[bytes]
    port: int
    log: Path
    evidence: Path
    """Its evidence ledger."""

    @classmethod
    def start(
        cls, kubeconfig: Path, identity: str, log: Path, *, module: Sequence[str] = OPERATOR, **env: str
    ) -> "Process":
        """Start one with the chart's namespace; does not wait. Its output is added to `log`.

        ``module`` is another Python program that reads the same environment, with its arguments.
        """
        (port,) = ports.choose(1, ())
        environment = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "SOVEREIGN_NAMESPACE": sync.NAMESPACE,
            "SOVEREIGN_POD_NAME": identity,
            "SOVEREIGN_IMPORTER_IMAGE": IMPORTER,
            "SOVEREIGN_LISTEN": f"127.0.0.1:{port}",
            "SOVEREIGN_LOG_FORMAT": "json",
            "SOVEREIGN_CANARY_SERVICE_ACCOUNT": CANARY,
            **env,
        }
        evidence = log.with_name(log.name.replace("operator", "evidence"))
        with log.open("ab") as errors, evidence.open("ab") as output:
            popen = subprocess.Popen([sys.executable, "-m", *module], env=environment, stderr=errors, stdout=output)
        return cls(popen, port, log, evidence)

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.popen.poll() is None

    def get(self, path: str) -> str:
        """What one of its endpoints answers; nothing while it does not."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException):
            return ""
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        lines = [line for line in self.get("/metrics").splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    @property
    def leads(self) -> bool:
        """Whether it is the leader."""
        return self.metric("leader_election_master_status") == 1

    def stop(self, number: int = signal.SIGTERM) -> float:
        """Send a signal and wait for the end; returns the seconds it took."""
        started = time.monotonic()
        self.popen.send_signal(number)
        self.popen.wait(30)
        return time.monotonic() - started
