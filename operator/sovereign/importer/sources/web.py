"""``https://``: a directory with a manifest on a file server, or a single file."""

from collections.abc import AsyncGenerator
from urllib.parse import quote, unquote, urlsplit

from sovereign.importer.catalogue import Format
from sovereign.importer.credentials import Credentials
from sovereign.importer.failure import ImportFailure, Reason
from sovereign.importer.manifest import FILE_NAME, MAX_BYTES, Manifest
from sovereign.importer.settings import Settings
from sovereign.importer.source import RemoteFile, Source
from sovereign.importer.sources.http import FixedAuthorizer, HttpClient


class WebSource(Source):
    """A file server, which has no listing: it needs ``sovereign.manifest.json``, except for a single file.

    The URI names the directory, the manifest in it, or a file of weights (``.gguf``, ``.safetensors``).
    """

    def __init__(self, client: HttpClient, directory: str, single: str | None) -> None:
        self._client = client
        self._directory = directory
        self._single = single

    @classmethod
    def open(cls, settings: Settings, credentials: Credentials) -> "WebSource":
        """Make the source; credentials are ``token``, or ``username`` and ``password``."""
        parts = urlsplit(settings.source)
        if parts.query or parts.fragment or not parts.hostname:
            raise ImportFailure(Reason.SOURCE_INVALID, "an https source is a plain URL without query and fragment")
        token, login = credentials.get("token"), credentials.login()
        authorization = f"Bearer {token}" if token else login.basic if login else None
        client = HttpClient(
            FixedAuthorizer(authorization),
            credentials.ssl_context(),
            settings.timeout,
            allow_insecure=settings.allow_insecure,
        )
        directory, _, name = settings.source.rpartition("/")
        if name == FILE_NAME:
            return cls(client, directory, None)
        if name.lower().endswith(tuple(item.suffix for item in Format)):
            return cls(client, directory, name)
        return cls(client, settings.source.rstrip("/"), None)

    async def manifest(self) -> bytes | None:
        """The manifest, which is required unless the URI names a file."""
        if self._single is not None:
            return None
        try:
            return await self._client.get(f"{self._directory}/{FILE_NAME}", MAX_BYTES)
        except ImportFailure as failure:
            if failure.reason is not Reason.SOURCE_NOT_FOUND:
                raise
            raise ImportFailure(
                Reason.MANIFEST_REQUIRED,
                f"there is no {FILE_NAME} at {self._directory}: a file server has no listing; make one with "
                "'kubectl sovereign digest' and put it beside the weights, or name a single file",
            ) from failure

    async def files(self) -> list[RemoteFile]:
        """The single file."""
        assert self._single is not None
        return [await self._client.measure(f"{self._directory}/{self._single}", unquote(self._single))]

    async def locate(self, manifest: Manifest) -> list[RemoteFile]:
        """Files of the manifest at their URLs; sizes are compared when they are fetched."""
        return [
            RemoteFile(entry.path, entry.size, f"{self._directory}/{quote(entry.path)}", sha256=entry.sha256)
            for entry in manifest.files
        ]

    async def read(self, file: RemoteFile, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Stream a range."""
        async for chunk in self._client.read(file.locator, file, start, stop):
            yield chunk

    async def close(self) -> None:
        """Close connections."""
        await self._client.close()
