"""``oci://host/repository[:tag|@sha256:...]``: an artifact of an OCI registry; names and tokens through oras."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import oras.auth
import oras.container
import oras.logger
import oras.provider
import orjson
import requests
from requests.adapters import HTTPAdapter

from sovereign.importer.credentials import Credentials, Login
from sovereign.importer.failure import ImportFailure, Reason
from sovereign.importer.manifest import FILE_NAME, MAX_BYTES, is_digest
from sovereign.importer.settings import Settings
from sovereign.importer.source import RemoteFile, Source
from sovereign.importer.sources.http import Headers, HttpClient, failure_of, unreachable, untrusted
from sovereign.importer.threads import in_thread

_MANIFEST_TYPES = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json")
_TITLES = ("org.opencontainers.image.title", "org.cncf.model.filepath")
_UNPACK = "io.deis.oras.content.unpack"

oras.logger.setup_logger(quiet=True)


class OciSource(Source):
    """The layers of an artifact, each a file named by its title annotation."""

    def __init__(self, registry: "_Registry", client: HttpClient) -> None:
        self._registry = registry
        self._client = client
        self._listing: list[RemoteFile] | None = None

    @classmethod
    def open(cls, settings: Settings, credentials: Credentials) -> "OciSource":
        """Make the source; credentials are ``username`` and ``password``, or ``.dockerconfigjson``."""
        reference = settings.source.removeprefix("oci://")
        if settings.revision:
            reference += ("@" if settings.revision.startswith("sha256:") else ":") + settings.revision
        try:
            container = oras.container.Container(reference)
        except ValueError as error:
            raise ImportFailure(Reason.SOURCE_INVALID, "an OCI source is oci://host/repository:tag") from error
        if container.registry != reference.partition("/")[0]:
            raise ImportFailure(Reason.SOURCE_INVALID, "an OCI source names its registry: oci://host/repository:tag")
        trust = credentials.ssl_context()
        login = credentials.login_for(container.registry)
        registry = _Registry(container, login, trust, settings.timeout, insecure=settings.allow_insecure)
        return cls(registry, HttpClient(registry, trust, settings.timeout, allow_insecure=settings.allow_insecure))

    async def manifest(self) -> bytes | None:
        """The manifest layer, if there is one, checked against its digest."""
        file = next((file for file in await self._listed() if file.path == FILE_NAME), None)
        if file is None:
            return None
        data = await self._client.get(file.locator, MAX_BYTES)
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise ImportFailure(Reason.DIGEST_MISMATCH, f"{FILE_NAME} is not what its descriptor states")
        return data

    async def files(self) -> list[RemoteFile]:
        """All layers, with the digests of their descriptors."""
        return [file for file in await self._listed() if file.path != FILE_NAME]

    async def read(self, file: RemoteFile, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Stream a range of a blob."""
        async for chunk in self._client.read(file.locator, file, start, stop):
            yield chunk

    async def close(self) -> None:
        """Close connections."""
        await self._client.close()
        self._registry.close()

    async def _listed(self) -> list[RemoteFile]:
        if self._listing is None:
            document = await in_thread(None, self._registry.manifest)
            self._listing = [_layer(layer, self._registry) for layer in document["layers"]]
        return self._listing


def _layer(layer: Mapping[str, Any], registry: "_Registry") -> RemoteFile:
    match layer:
        case {"digest": str(digest), "size": int(size)} if is_digest(digest) and size >= 0:
            annotations = layer.get("annotations") or {}
        case _:
            raise ImportFailure(Reason.SOURCE_INVALID, "a layer of the artifact has no sha256 digest or size")
    title = next((annotations[key] for key in _TITLES if isinstance(annotations.get(key), str)), None)
    if title is None or annotations.get(_UNPACK) == "true":
        raise ImportFailure(
            Reason.SOURCE_INVALID,
            f"layer {digest} of the artifact is not a single file with a title annotation: push files, not directories",
        )
    return RemoteFile(title, size, registry.blob_url(digest), sha256=digest.removeprefix("sha256:"))


class _Adapter(HTTPAdapter):
    """Our trust and a timeout for every request of oras, which sets neither."""

    def __init__(self, trust: ssl.SSLContext, timeout: float) -> None:
        self._trust = trust
        self._timeout = timeout
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._trust, **kwargs)

    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = kwargs.get("timeout") or self._timeout
        return super().send(request, *args, **kwargs)


class _Registry:
    """A registry seen by oras: reads the artifact's manifest, and authorizes requests for its blobs."""

    def __init__(
        self,
        container: oras.container.Container,
        login: Login | None,
        trust: ssl.SSLContext,
        timeout: float,
        *,
        insecure: bool,
    ) -> None:
        self._container = container
        self._login = login
        self._client = oras.provider.Registry(container.registry, insecure=insecure)
        for scheme in ("https://", "http://"):
            self._client.session.mount(scheme, _Adapter(trust, timeout))
        self._renewing = asyncio.Lock()
        self._granted: dict[str, str] = {}

    def blob_url(self, digest: str) -> str:
        """Where a blob is."""
        return f"{self._client.prefix}://{self._container.get_blob_url(digest)}"

    def headers(self) -> dict[str, str]:
        """The Authorization header with which the manifest was read last, if it took one: the old one during a renewal."""
        return self._granted

    async def renew(self, refused: Headers) -> bool:
        """Fetch a new token: those of registries live for minutes, a download may take longer."""
        if not isinstance(self._client.auth, oras.auth.TokenAuth):
            return False
        async with self._renewing:
            # Of the connections that are refused at once, the first renews for all.
            if self.headers() == refused:
                await in_thread(None, self.manifest)
        return True

    def close(self) -> None:
        """Close connections."""
        self._client.session.close()

    def manifest(self) -> dict[str, Any]:
        """Fetch the artifact's manifest; pins the reference to its digest.

        Raises:
            ImportFailure: DigestMismatch when it is not what the reference or the registry says,
                SourceInvalid for an index.
        """
        self._choose_authentication()
        url = f"{self._client.prefix}://{self._container.manifest_url()}"
        response = self._request(url, {"Accept": ", ".join(_MANIFEST_TYPES)})
        if response.status_code != 200:
            raise failure_of(
                response.status_code, str(self._container), retry_after=response.headers.get("Retry-After")
            )
        digest = "sha256:" + hashlib.sha256(response.content).hexdigest()
        stated = self._container.digest or response.headers.get("Docker-Content-Digest", digest)
        if stated != digest:
            raise ImportFailure(
                Reason.DIGEST_MISMATCH, f"the artifact's manifest has digest {digest}, expected is {stated}"
            )
        self._container.digest = digest
        self._granted = self._authorization()
        return _artifact(response.content)

    def _authorization(self) -> dict[str, str]:
        auth = self._client.auth
        if isinstance(auth, oras.auth.BasicAuth) and self._login is None:
            return {}
        return dict(auth.get_auth_header())

    def _choose_authentication(self) -> None:
        """Basic or token, as the registry's challenge says; oras has to be told."""
        response = self._call("GET", f"{self._client.prefix}://{self._container.registry}/v2/", {})
        basic = response.headers.get("WWW-Authenticate", "").lower().startswith("basic")
        backend = oras.auth.get_auth_backend(
            "basic" if basic else "token", self._client.session, insecure=self._client.prefix == "http"
        )
        if self._login is not None:
            backend.set_basic_auth(self._login.username, self._login.password)
        elif basic and response.status_code == 401:
            raise failure_of(401, str(self._container))
        self._client.auth = backend

    def _request(self, url: str, headers: dict[str, str]) -> requests.Response:
        """A request with oras' authentication, without its retries: they take two minutes also for a wrong password."""
        request = oras.provider.Registry.do_request.__wrapped__
        try:
            response: requests.Response = self._guarded(request, self._client, url, "GET", headers=headers)
        except (ValueError, AttributeError) as error:
            raise failure_of(401, str(self._container)) from error
        return response

    def _call(self, method: str, url: str, headers: dict[str, str]) -> requests.Response:
        response: requests.Response = self._guarded(self._client.session.request, method, url, headers=headers)
        if response.status_code >= 500:
            raise failure_of(response.status_code, str(self._container))
        return response

    def _guarded(self, call: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return call(*args, **kwargs)
        except requests.exceptions.SSLError as error:
            raise untrusted(str(self._container)) from error
        except requests.exceptions.RequestException as error:
            raise unreachable(str(self._container), ConnectionError(type(error).__name__)) from error


def _artifact(content: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ImportFailure(Reason.SOURCE_INVALID, "the artifact's manifest is not JSON") from error
    if not isinstance(document, dict) or not isinstance(document.get("layers"), list):
        raise ImportFailure(
            Reason.SOURCE_INVALID,
            "the reference is not a single artifact with layers (an index?): name one by digest",
        )
    return document
