"""Looking at the API server over one connection: a look takes milliseconds, where a kubectl of its own takes a second."""

import base64
import http.client
import json
import ssl
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import yaml

from testbed.demo.claims import StepFailed

_CORE, _APPS, _OURS = "/api/v1", "/apis/apps/v1", "/apis/sovereignai.io/v1alpha1"
_ROOTS = {
    "bindings": _CORE,
    "deployments": _APPS,
    "endpointslices": "/apis/discovery.k8s.io/v1",
    "events": _CORE,
    "inferencepools": _OURS,
    "leases": "/apis/coordination.k8s.io/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
    "nodes": _CORE,
    "persistentvolumeclaims": _CORE,
    "pods": _CORE,
    "sovereignmodels": _OURS,
    "sovereigntypolicies": _OURS,
    "validatingadmissionpolicies": "/apis/admissionregistration.k8s.io/v1",
}


class Api:
    """An API server, with the rights of a kubeconfig that holds a client certificate."""

    def __init__(self, kubeconfig: Path) -> None:
        document = yaml.safe_load(kubeconfig.read_text())
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        with tempfile.TemporaryDirectory() as folder:
            pair = Path(folder) / "pair.pem"  # ssl reads files only
            pair.touch(mode=0o600)
            pair.write_bytes(b"".join(base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key")))
            context.load_cert_chain(pair)
        self._connection = http.client.HTTPSConnection(urlsplit(cluster["server"]).netloc, context=context, timeout=30)

    def items(self, resource: str, namespace: str = "", selector: str = "") -> list[dict[str, Any]]:
        """Objects of a resource, in one namespace or in all, with these labels or any.

        Raises:
            StepFailed: the API server refused.
        """
        query = {"labelSelector": selector} if selector else {}
        code, body = self._send("GET", path(resource, namespace), query)
        if code != http.HTTPStatus.OK:
            raise StepFailed(f"{resource} cannot be listed: {body.get('message', code)}")
        return list(body["items"])

    def get(self, resource: str, name: str, namespace: str = "") -> dict[str, Any] | None:
        """One object; None when it is not there.

        Raises:
            StepFailed: the API server refused.
        """
        code, body = self._send("GET", path(resource, namespace, name), {})
        if code == http.HTTPStatus.NOT_FOUND:
            return None
        if code != http.HTTPStatus.OK:
            raise StepFailed(f"{resource} {name} cannot be read: {body.get('message', code)}")
        return body

    def would_refuse(self, resource: str, manifest: dict[str, Any]) -> str:
        """What the API server would say if this were to be made; empty if it would make it. Nothing is made."""
        where = path(resource, manifest["metadata"]["namespace"])
        code, body = self._send("POST", where, {"dryRun": "All"}, json.dumps(manifest))
        return "" if code < http.HTTPStatus.MULTIPLE_CHOICES else str(body.get("message", code))

    def _send(
        self, method: str, where: str, query: dict[str, str], body: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        try:
            self._connection.request(method, f"{where}?{urlencode(query)}", body, headers)
            answer = self._connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()  # the next request opens it anew
            raise StepFailed(f"the API server does not answer: {error!r}") from error


def path(resource: str, namespace: str = "", name: str = "") -> str:
    """Where the API server has a resource, or one object of it.

    Raises:
        KeyError: not one of the resources that the demonstration looks at.
    """
    place = f"/namespaces/{quote(namespace)}" if namespace else ""
    return f"{_ROOTS[resource]}{place}/{resource}" + (f"/{quote(name)}" if name else "")
