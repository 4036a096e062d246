"""The outside world: a network namespace whose addresses answer, so that a refusal in a test means something.

It serves on every address the tests try: an HTTP service on port 80, a DNS server for made-up names, and the two
sources of weights (an S3 server and an OCI registry, both over TLS).
"""

import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from testbed import pki
from testbed.nodes.layout import Layout
from testbed.nodes.network import OUTSIDE4, OUTSIDE6
from testbed.services import Service

S3_ADDRESS, S3_PORT = "203.0.113.20", 7070
SOURCE_REGISTRY_ADDRESS, SOURCE_REGISTRY_PORT = "203.0.113.30", 5000
ACCESS_KEY, SECRET_KEY = "AKIATESTBEDTESTBED", "not-a-secret-but-the-test-beds"  # of a server in a namespace
ZONE = "outside.test"
NAMES: Mapping[str, str] = {
    f"www.{ZONE}": "203.0.113.10",
    f"s3.{ZONE}": S3_ADDRESS,
    f"registry.{ZONE}": SOURCE_REGISTRY_ADDRESS,
}
"""What its DNS server knows."""


@dataclass(frozen=True)
class Outside:
    """The outside world of the cluster in `folder`."""

    folder: Path
    layout: Layout
    programs: Mapping[str, str]

    @property
    def home(self) -> Path:
        """Its folder."""
        return self.folder / "outside"

    @property
    def bucket(self) -> Path:
        """The S3 bucket ``weights``: what lies in this folder is what it serves."""
        return self.home / "s3" / "weights"

    @property
    def access_log(self) -> Path:
        """One JSON line for each request that the HTTP service answered: who asked, and where."""
        return self.home / "access.log"

    @property
    def authority(self) -> Path:
        """The PEM certificate that signed its servers'."""
        return self.folder / "pki" / "ca.crt"

    def write_files(self) -> None:
        """Certificates and configurations."""
        for path in (self.bucket, self.home / "s3-metadata", self.home / "registry"):
            path.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "pki" / "outside.crt").exists():
            addresses = [S3_ADDRESS, SOURCE_REGISTRY_ADDRESS, self.layout.gateway4]
            pki.issue_server(self.folder / "pki", "outside", "outside", list(NAMES), addresses)
        (self.home / "Corefile").write_text(self._zone())
        (self.home / "registry.yaml").write_text(yaml.safe_dump(self._registry()))

    def services(self) -> list[Service]:
        """Its processes."""
        gateway, tls = self.layout.gateway4, ssl.create_default_context(cafile=str(self.authority))
        listeners = [f"--listen={address}" for address in (*OUTSIDE4, *OUTSIDE6, gateway)]
        answers: tuple[str | Path, ...] = (
            sys.executable,
            Path(__file__).with_name("answers.py"),
            f"--log={self.access_log}",
            *listeners,
        )
        certificate, key = self.folder / "pki" / "outside.crt", self.folder / "pki" / "outside.key"
        s3: tuple[str | Path, ...] = (
            self.programs["versitygw"],
            *("--access", ACCESS_KEY, "--secret", SECRET_KEY, "--port", f":{S3_PORT}"),
            *("--cert", certificate, "--key", key, "--health", "/health", "--quiet"),
            *("--access-log", self.home / "s3-access.log"),
            *("posix", "--nometa", self.home / "s3"),
        )
        registry = ("env", "OTEL_TRACES_EXPORTER=none", self.programs["registry"], "serve", self.home / "registry.yaml")
        dns = (self.programs["coredns"], "-conf", self.home / "Corefile")
        return [
            self._service("dns", dns, f"http://{gateway}:8181/ready"),
            self._service("web", answers, f"http://{gateway}:80/"),
            self._service("s3", s3, f"https://{gateway}:{S3_PORT}/health", tls),
            self._service("registry", registry, f"https://{gateway}:{SOURCE_REGISTRY_PORT}/", tls),
        ]

    def _zone(self) -> str:
        records = "\n".join(f"    {address} {name}" for name, address in NAMES.items())
        return f""".:53 {{
  ready {self.layout.gateway4}:8181
  hosts {{
{records}
  }}
  log
}}
"""

    def _registry(self) -> dict[str, object]:
        tls = {"certificate": str(self.folder / "pki" / "outside.crt"), "key": str(self.folder / "pki" / "outside.key")}
        return {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": False}},
            "storage": {"filesystem": {"rootdirectory": str(self.home / "registry")}},
            "http": {"addr": f":{SOURCE_REGISTRY_PORT}", "tls": tls},
        }

    def _service(
        self, part: str, argv: tuple[str | Path, ...], health: str, tls: ssl.SSLContext | None = None
    ) -> Service:
        enter = ("nsenter", f"--net=/run/netns/{self.layout.outside}")
        return Service(f"outside-{part}", (*enter, *argv), health, tls)
