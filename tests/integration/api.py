"""A plain HTTP client of the API server, for tests that want the answer itself: its code, its message, its warnings."""

import base64
import http.client
import json
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import yaml

MEDIA_TYPES = {
    "POST": "application/json",
    "PUT": "application/json",
    "DELETE": "application/json",
    "PATCH": "application/merge-patch+json",
    "APPLY": "application/apply-patch+yaml",
}


class Answer(NamedTuple):
    """What the API server said."""

    code: int
    body: dict[str, Any]
    warnings: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether it did what it was asked."""
        return self.code < 300

    @property
    def message(self) -> str:
        """Why not."""
        return str(self.body.get("message", ""))


@dataclass(frozen=True)
class Api:
    """An API server and whom it is asked as."""

    server: str
    context: ssl.SSLContext
    user: str = ""
    groups: tuple[str, ...] = ()

    @classmethod
    def of(cls, kubeconfig: Path) -> "Api":
        """A client with the identity of a kubeconfig with embedded certificates."""
        document = yaml.safe_load(kubeconfig.read_text())
        cluster = document["clusters"][0]["cluster"]
        user = document["users"][0]["user"]
        context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        with tempfile.TemporaryDirectory() as folder:
            pair = Path(folder) / "pair.pem"
            pair.write_bytes(
                base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"])
            )
            context.load_cert_chain(pair)
        return cls(cluster["server"], context)

    def as_user(self, user: str, *groups: str) -> "Api":
        """The same API server, asked as ``user``, who is in ``groups`` and authenticated."""
        return Api(self.server, self.context, user, (*groups, "system:authenticated"))

    def request(
        self, method: str, path: str, body: Any = None, *, extra: Mapping[str, str] = MappingProxyType({}), **query: str
    ) -> Answer:
        """Send one request, with ``extra`` headers; ``APPLY`` is a server-side apply. Bytes go as they are.

        Query parameters as the API spells them.
        """
        headers = {"Accept": "application/json", **extra}
        if body is not None:
            headers["Content-Type"] = MEDIA_TYPES[method]
        if method == "APPLY":
            query = {"fieldManager": "sovereign-operator", "force": "true", **query}
        connection = http.client.HTTPSConnection(urlsplit(self.server).netloc, context=self.context, timeout=60)
        try:
            connection.putrequest("PATCH" if method == "APPLY" else method, f"{path}?{urlencode(query)}")
            for name, value in [*headers.items(), *self._impersonation()]:
                connection.putheader(name, value)
            content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
            connection.putheader("Content-Length", str(len(content)))
            connection.endheaders(content)
            response = connection.getresponse()
            text = response.read()
            warnings = tuple(response.headers.get_all("Warning") or ())
        finally:
            connection.close()
        return Answer(response.status, json.loads(text) if text else {}, warnings)

    def get(self, path: str) -> dict[str, Any]:
        """An object that is there."""
        answer = self.request("GET", path)
        assert answer.ok, answer.message
        return answer.body

    def create(self, manifest: Mapping[str, Any], *, dry_run: bool = False, **query: str) -> Answer:
        """Create an object."""
        query |= {"dryRun": "All"} if dry_run else {}
        return self.request("POST", collection(manifest), manifest, **query)

    def apply(self, manifest: Mapping[str, Any], **query: str) -> Answer:
        """Apply an object as the operator does."""
        return self.request("APPLY", address(manifest), manifest, **query)

    def connect(self, path: str, protocol: str, **query: str) -> Answer:
        """Ask to turn the connection into a stream, by ``websocket`` or by ``SPDY/3.1``, as kubectl exec does."""
        extra = {"Connection": "Upgrade", "Upgrade": protocol}
        if protocol != "websocket":
            return self.request("POST", path, extra=extra | {"X-Stream-Protocol-Version": "v4.channel.k8s.io"}, **query)
        key = base64.b64encode(b"0123456789abcdef").decode()
        extra |= {
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Protocol": "v5.channel.k8s.io",
        }
        return self.request("GET", path, extra=extra, **query)

    def _impersonation(self) -> list[tuple[str, str]]:
        if not self.user:
            return []
        return [("Impersonate-User", self.user), *(("Impersonate-Group", group) for group in self.groups)]


_PLURALS = {
    "NetworkPolicy": "networkpolicies",
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "MutatingAdmissionPolicy": "mutatingadmissionpolicies",
    "SovereigntyPolicy": "sovereigntypolicies",
    "StorageClass": "storageclasses",
    "Endpoints": "endpoints",
    "Ingress": "ingresses",
    "InferencePool": "inferencepools",
}


def collection(manifest: Mapping[str, Any]) -> str:
    """The path of the collection that an object belongs to."""
    version = manifest["apiVersion"]
    namespace = manifest["metadata"].get("namespace")
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    kind = manifest["kind"]
    plural = _PLURALS.get(kind, kind.lower() + "s")
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"


def address(manifest: Mapping[str, Any]) -> str:
    """The path of an object."""
    return f"{collection(manifest)}/{manifest['metadata']['name']}"
