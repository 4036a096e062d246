"""How to reach the API server: from a kubeconfig file or from inside a pod.

Static credentials (certificates, tokens) are read here; anything else in a kubeconfig (exec plugins, auth providers) is left to the
``kubernetes`` package, which is imported only then: it costs 40 MB.
"""

import base64
import os
import ssl
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_LIFETIME: Final = 60.0
"""Seconds after which a token file is read again; kubelets rotate bound tokens well before they expire."""


class ConnectionUnavailable(Exception):
    """No usable connection is configured; the message says what to set."""


@dataclass
class Connection:
    """Server address and credentials. Files hold the certificates, because kopf and ``ssl`` both want paths."""

    server: str
    ca_path: str | None = None
    certificate_path: str | None = None
    private_key_path: str | None = None
    token_path: Path | None = None
    static_token: str | None = None
    insecure: bool = False
    _token: str | None = field(default=None, repr=False)
    _read_at: float = 0.0

    @property
    def token(self) -> str | None:
        """The bearer token, read again from its file once a minute."""
        if self.token_path is None:
            return self.static_token
        now = time.monotonic()
        if self._token is None or now - self._read_at > TOKEN_LIFETIME:
            self._token = self.token_path.read_text().strip()
            self._read_at = now
        return self._token

    def forget_token(self) -> None:
        """Read the token's file again at the next request (after a 401)."""
        self._token = None

    def ssl_context(self) -> ssl.SSLContext | bool:
        """What aiohttp takes as ``ssl=``."""
        if not self.server.startswith("https://"):
            return False
        context = ssl.create_default_context(cafile=self.ca_path)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate_path:
            context.load_cert_chain(self.certificate_path, self.private_key_path)
        return context


def connect(kubeconfig: str | None = None) -> Connection:
    """The connection that ``kubeconfig``, ``$KUBECONFIG``, the pod or ``~/.kube/config`` describes, in this order.

    Raises:
        ConnectionUnavailable: none of them does.
    """
    explicit = kubeconfig or os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    if explicit:
        return from_kubeconfig(Path(explicit))
    if (SERVICE_ACCOUNT / "token").exists() and "KUBERNETES_SERVICE_HOST" in os.environ:
        return in_cluster()
    default = Path.home() / ".kube" / "config"
    if default.exists():
        return from_kubeconfig(default)
    raise ConnectionUnavailable("no cluster is configured: set KUBECONFIG or pass --kubeconfig")


def in_cluster() -> Connection:
    """The connection of a pod with a mounted service account token."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if ":" in host:
        host = f"[{host}]"
    return Connection(
        server=f"https://{host}:{port}",
        ca_path=str(SERVICE_ACCOUNT / "ca.crt"),
        token_path=SERVICE_ACCOUNT / "token",
    )


def from_kubeconfig(path: Path) -> Connection:
    """The connection of a kubeconfig's current context.

    Raises:
        ConnectionUnavailable: the file is missing or incomplete.
    """
    try:
        config = yaml.safe_load(path.read_text())
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"]
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ConnectionUnavailable(f"kubeconfig {path} cannot be used: {error}") from error
    if "exec" in user or "auth-provider" in user:
        return _through_kubernetes_package(path)
    return Connection(
        server=cluster["server"].rstrip("/"),
        ca_path=_file(cluster, "certificate-authority", path),
        certificate_path=_file(user, "client-certificate", path),
        private_key_path=_file(user, "client-key", path),
        token_path=(path.parent / user["tokenFile"]) if "tokenFile" in user else None,
        static_token=user.get("token"),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
    )


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for entry in entries:
        if entry["name"] == name:
            return entry
    raise KeyError(name)


def _file(section: dict[str, Any], key: str, kubeconfig: Path) -> str | None:
    """The path of a certificate or key; inline data is written to a private file that lives as long as the process."""
    if key in section:
        return str(kubeconfig.parent / section[key])
    if f"{key}-data" not in section:
        return None
    with tempfile.NamedTemporaryFile(prefix="sovereign-", delete=False) as file:
        file.write(base64.b64decode(section[f"{key}-data"]))
    _temporary.append(Path(file.name))
    return file.name


def _through_kubernetes_package(path: Path) -> Connection:
    import kubernetes.client
    import kubernetes.config

    configuration = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(config_file=str(path), client_configuration=configuration)  # type: ignore[no-untyped-call]
    header = configuration.get_api_key_with_prefix("BearerToken") or configuration.get_api_key_with_prefix(
        "authorization"
    )
    return Connection(
        server=configuration.host.rstrip("/"),
        ca_path=configuration.ssl_ca_cert,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        static_token=header.removeprefix("Bearer ") if header else None,
        insecure=not configuration.verify_ssl,
    )


_temporary: list[Path] = []


def remove_temporary_files() -> None:
    """Remove the files that inline certificates were written to."""
    while _temporary:
        _temporary.pop().unlink(missing_ok=True)
