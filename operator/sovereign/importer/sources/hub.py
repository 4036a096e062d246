"""``hf://org/repo``: a hub-compatible server, listed through huggingface_hub."""

import os
import ssl
from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

from sovereign.importer.credentials import Credentials
from sovereign.importer.failure import ImportFailure, Reason
from sovereign.importer.manifest import FILE_NAME, MAX_BYTES
from sovereign.importer.settings import Settings
from sovereign.importer.source import RemoteFile, Source
from sovereign.importer.sources.http import FixedAuthorizer, HttpClient, failure_of, unreachable, untrusted
from sovereign.importer.threads import in_thread

# Read by the client when it is imported: nothing is told to anybody, and an "offline" meant for engines is
# not for us.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_OFFLINE"] = "0"

import httpx2
from huggingface_hub import HfApi, RepoFile, hf_hub_url, set_client_factory
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

_DEFAULT_REVISION = "main"


class HubSource(Source):
    """A model repository at a hub, pinned to the commit its revision names when the import begins."""

    def __init__(self, api: HfApi, client: HttpClient, repo: str, revision: str, endpoint: str) -> None:
        self._api = api
        self._client = client
        self._repo = repo
        self._revision = revision
        self._endpoint = endpoint
        self._commit: str | None = None
        self._listing: list[RemoteFile] | None = None

    @classmethod
    def open(cls, settings: Settings, credentials: Credentials) -> "HubSource":
        """Make the source; the credential is ``HF_TOKEN``.

        Raises:
            ImportFailure: EndpointRequired: there is no default, least of all the public hub.
        """
        if not settings.endpoint:
            raise ImportFailure(
                Reason.ENDPOINT_REQUIRED,
                "an hf:// source needs the endpoint of a hub or mirror: there is no default",
            )
        parts = urlsplit(settings.source)
        repo = f"{parts.netloc}{parts.path}".strip("/")
        endpoint = settings.endpoint.rstrip("/")
        if urlsplit(endpoint).scheme != "https" and not settings.allow_insecure:
            raise ImportFailure(Reason.SOURCE_INVALID, "the endpoint of the hub must be https://")
        token, trust = credentials.get("HF_TOKEN"), credentials.ssl_context()
        _use_transport(trust, settings.timeout)
        client = HttpClient(
            FixedAuthorizer(f"Bearer {token}" if token else None),
            trust,
            settings.timeout,
            allow_insecure=settings.allow_insecure,
        )
        # False: no token that lies around on this machine is used instead.
        api = HfApi(endpoint=endpoint, token=token or False)
        return cls(api, client, repo, settings.revision or _DEFAULT_REVISION, endpoint)

    async def manifest(self) -> bytes | None:
        """The manifest of the repository, if there is one."""
        if all(file.path != FILE_NAME for file in await self._listed()):
            return None
        return await self._client.get(self._url(FILE_NAME), MAX_BYTES)

    async def files(self) -> list[RemoteFile]:
        """All files of the commit; those in large-file storage come with their sha256."""
        return [file for file in await self._listed() if file.path != FILE_NAME]

    async def read(self, file: RemoteFile, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Stream a range."""
        async for chunk in self._client.read(file.locator, file, start, stop):
            yield chunk

    async def close(self) -> None:
        """Close connections."""
        await self._client.close()

    async def _listed(self) -> list[RemoteFile]:
        if self._listing is None:
            self._listing = await in_thread(None, self._list)
        return self._listing

    def _list(self) -> list[RemoteFile]:
        what = f"{self._repo} at revision {self._revision}"
        try:
            self._commit = self._api.model_info(self._repo, revision=self._revision).sha
            tree = self._api.list_repo_tree(self._repo, revision=self._commit or self._revision, recursive=True)
            return [self._remote(item) for item in tree if isinstance(item, RepoFile)]
        except HFValidationError as error:
            raise ImportFailure(Reason.SOURCE_INVALID, "a hub source is hf://organisation/repository") from error
        except HfHubHTTPError as error:
            raise failure_of(error.response.status_code, what) from error
        except (httpx2.HTTPError, OSError) as error:
            raise (
                untrusted(what) if "CERTIFICATE_VERIFY_FAILED" in str(error) else unreachable(what, error)
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise ImportFailure(
                Reason.SOURCE_INVALID, "the endpoint does not answer as a hub does: check its URL"
            ) from error

    def _remote(self, item: RepoFile) -> RemoteFile:
        return RemoteFile(item.path, item.size, self._url(item.path), sha256=item.lfs.sha256 if item.lfs else None)

    def _url(self, path: str) -> str:
        return hf_hub_url(self._repo, path, revision=self._commit or self._revision, endpoint=self._endpoint)


def _use_transport(trust: ssl.SSLContext, timeout: float) -> None:
    """Give the client our trust and timeouts; it has neither a private authority nor a timeout by itself."""
    set_client_factory(lambda: httpx2.Client(verify=trust, timeout=timeout, follow_redirects=True))
