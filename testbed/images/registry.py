"""Pushing to a registry, by the OCI distribution specification's HTTP API.

Plain HTTP, for a registry of the test bed's own on a bridge or on loopback; proxies are not asked.
"""

import http.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from testbed.errors import TestbedError
from testbed.images.oci import MANIFEST_TYPE, Image

_TIMEOUT: Final = 60.0
_BINARY: Final = "application/octet-stream"


def push(image: Image, url: str, repository: str) -> str:
    """Push `image` to the registry at `url`; return ``repository@sha256:...``. What is there already is not sent again.

    Raises:
        TestbedError: no registry answers there, or it refuses something.
    """
    blobs = {part["digest"] for part in (image.manifest["config"], *image.manifest["layers"])}
    manifest = f"/v2/{repository}/manifests/{image.digest}"
    with _connection(url) as registry:
        if not _there(registry, manifest, {"Accept": MANIFEST_TYPE}):
            for digest in sorted(blobs):
                if not _there(registry, f"/v2/{repository}/blobs/{digest}"):
                    _upload(registry, repository, digest, image.blob(digest))
            _send(registry, manifest, MANIFEST_TYPE, image.blob(image.digest))
    return f"{repository}@{image.digest}"


@contextmanager
def _connection(url: str) -> Iterator[http.client.HTTPConnection]:
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/"):
        raise TestbedError(f"{url!r} is not the address of a registry; it has the form http://HOST:PORT")
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=_TIMEOUT)
    try:
        yield connection
    except (OSError, http.client.HTTPException) as error:
        raise TestbedError(f"the registry at {url} does not answer as one: {error!r}") from error
    finally:
        connection.close()


def _there(registry: http.client.HTTPConnection, path: str, headers: Mapping[str, str] | None = None) -> bool:
    registry.request("HEAD", path, headers=dict(headers or {}))
    response = registry.getresponse()
    response.read()
    return response.status == HTTPStatus.OK


def _upload(registry: http.client.HTTPConnection, repository: str, digest: str, blob: Path) -> None:
    registry.request("POST", f"/v2/{repository}/blobs/uploads/", headers={"Content-Length": "0"})
    location = urlsplit(_accepted(registry, HTTPStatus.ACCEPTED).headers["Location"])
    query = f"{location.query}&" if location.query else ""
    _send(registry, f"{location.path}?{query}digest={digest}", _BINARY, blob)


def _send(registry: http.client.HTTPConnection, path: str, media_type: str, blob: Path) -> None:
    headers = {"Content-Type": media_type, "Content-Length": str(blob.stat().st_size)}
    with blob.open("rb") as body:
        registry.request("PUT", path, body, headers)
    _accepted(registry, HTTPStatus.CREATED)


def _accepted(registry: http.client.HTTPConnection, wanted: HTTPStatus) -> http.client.HTTPResponse:
    response = registry.getresponse()
    words = response.read().decode(errors="replace")
    if response.status != wanted:
        raise TestbedError(f"the registry refused a push with {response.status} {response.reason}: {words[:500]}")
    return response
