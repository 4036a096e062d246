"""Real servers on loopback: an S3 service (versitygw) and an OCI registry (distribution)."""

import json
import os
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from testbed import binaries
from tests.importer.certificates import Certificates
from tests.importer.harness import eventually

ACCESS_KEY, SECRET_KEY = "AKIATESTTESTTEST", "s3-secret-key-of-the-test-run"
USERNAME, PASSWORD = "puller", "correct-horse-battery"
# bcrypt, the only hash that the registry takes, of PASSWORD.
_PASSWORD_HASH = "$2a$04$CRgJ06b094ROP4A/BvSpSOY4Sq6tO5jEABuT/Eha.z9s6IRh3ONKK"


@dataclass(frozen=True)
class S3Service:
    """An S3 service with one directory per bucket."""

    endpoint: str
    root: Path

    def put(self, bucket: str, prefix: str, files: Mapping[str, bytes]) -> None:
        """Store objects behind the gateway's back: what it serves is what lies in its directory."""
        for path, data in files.items():
            target = self.root / bucket / prefix / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)


@contextmanager
def s3_service(root: Path, certificates: Certificates) -> Iterator[S3Service]:
    """Run versitygw over TLS."""
    port = _free_port()
    buckets = root / "buckets"
    buckets.mkdir()
    command: list[str | Path] = [binaries.require("versitygw"), "--port", f"127.0.0.1:{port}", "--region", "eu-test-1"]
    command += ["--access", ACCESS_KEY, "--secret", SECRET_KEY, "--quiet"]
    command += ["--cert", certificates.certificate, "--key", certificates.key, "posix", buckets]
    with _running(command, root, port, certificates):
        yield S3Service(f"https://127.0.0.1:{port}", buckets)


@contextmanager
def oci_registry(root: Path, certificates: Certificates) -> Iterator[str]:
    """Run distribution over TLS with a password; gives ``host:port``."""
    port = _free_port()
    (root / "htpasswd").write_text(f"{USERNAME}:{_PASSWORD_HASH}\n")
    configuration = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(root / "data")}},
        "http": {
            "addr": f"127.0.0.1:{port}",
            "secret": "not-a-secret",
            "tls": {"certificate": str(certificates.certificate), "key": str(certificates.key)},
        },
        "auth": {"htpasswd": {"realm": "test", "path": str(root / "htpasswd")}},
    }
    (root / "registry.yml").write_text(json.dumps(configuration))
    command: list[str | Path] = [binaries.require("registry"), "serve", root / "registry.yml"]
    with _running(command, root, port, certificates):
        yield f"127.0.0.1:{port}"


@contextmanager
def _running(
    command: list[str | Path], root: Path, port: int, certificates: Certificates
) -> Iterator["subprocess.Popen[bytes]"]:
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=root, env={"PATH": os.environ["PATH"]})
        try:
            eventually(lambda: process.poll() is not None or _answers(port, certificates), f"{command[0]} answers")
            assert process.poll() is None, (root / "log").read_text()
            yield process
        finally:
            process.terminate()
            process.wait(10)


def _answers(port: int, certificates: Certificates) -> bool:
    context = ssl.create_default_context(cafile=certificates.authority)
    with suppress(urllib.error.HTTPError):
        try:
            urllib.request.urlopen(f"https://127.0.0.1:{port}/", context=context, timeout=1).close()
        except urllib.error.URLError as error:
            if not isinstance(error, urllib.error.HTTPError):
                return False
            error.close()
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
