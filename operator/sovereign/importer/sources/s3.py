"""``s3://bucket/prefix``: any S3-compatible object store, through obstore (Rust, object_store)."""

import os
import re
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from obstore import exceptions
from obstore.store import S3Store

from sovereign.importer.credentials import Credentials
from sovereign.importer.failure import ImportFailure, Reason
from sovereign.importer.manifest import FILE_NAME, MAX_BYTES
from sovereign.importer.settings import Settings
from sovereign.importer.source import RemoteFile, Source
from sovereign.importer.sources.http import failure_of, unreachable, untrusted

_CHUNK = 1 << 20
# The client's timeout for a request with its body; that a connection is alive is watched by the engine.
_REQUEST_SECONDS = 3600
_DEFAULT_REGION = "us-east-1"

# The client tells the status and the service's error code only in its text.
_STATUS = re.compile(r"status: (\d{3})\b")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_ABSENT = frozenset({"NoSuchKey", "NoSuchBucket", "NoSuchVersion"})
_CERTIFICATE = re.compile(r"certificate|UnknownIssuer", re.IGNORECASE)

# How a workload identity reaches a pod. Without it and without keys, requests are anonymous: the metadata
# service of the machine is never asked, it would hand out the node's rights.
_WORKLOAD_IDENTITY = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
)
_KEYS = {
    "access_key_id": "AWS_ACCESS_KEY_ID",
    "secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "session_token": "AWS_SESSION_TOKEN",
}

_ERRORS = (exceptions.BaseError, FileNotFoundError, ValueError, OSError)


class S3Source(Source):
    """The objects below a prefix of a bucket."""

    def __init__(self, store: S3Store, prefix: str) -> None:
        self._store = store
        self._prefix = prefix

    @classmethod
    def open(cls, settings: Settings, credentials: Credentials) -> "S3Source":
        """Make the source.

        Raises:
            ImportFailure: EndpointRequired when neither an endpoint nor a region says where the bucket is.
        """
        parts = urlsplit(settings.source)
        if not parts.netloc:
            raise ImportFailure(Reason.SOURCE_INVALID, "an S3 source is s3://bucket/prefix")
        if not (settings.endpoint or settings.region):
            raise ImportFailure(
                Reason.ENDPOINT_REQUIRED,
                "an S3 source needs the endpoint of its service, or a region: there is no default",
            )
        try:
            store = S3Store(parts.netloc, **_configuration(settings, credentials))
        except _ERRORS as error:
            raise ImportFailure(
                Reason.SOURCE_INVALID, "the S3 endpoint, region or ca.crt is not valid: check their spelling"
            ) from error
        return cls(store, parts.path.strip("/"))

    async def manifest(self) -> bytes | None:
        """The manifest object, if there is one."""
        try:
            result = await self._store.get_async(self._key(FILE_NAME))
            if result.meta["size"] > MAX_BYTES:
                raise ImportFailure(Reason.SOURCE_INVALID, f"{FILE_NAME} is larger than {MAX_BYTES} bytes")
            return bytes(await result.bytes_async())
        except _ERRORS as error:
            failure = _failure(error, FILE_NAME)
            if failure.reason is Reason.SOURCE_NOT_FOUND:
                return None
            raise failure from error

    async def files(self) -> list[RemoteFile]:
        """All objects below the prefix; markers of directories apart."""
        try:
            listing = await self._store.list(self._prefix or None).collect_async()
        except _ERRORS as error:
            raise _failure(error, f"listing of s3:// prefix {self._prefix!r}") from error
        found = [
            RemoteFile(
                item["path"].removeprefix(self._prefix).lstrip("/"),
                item["size"],
                item["path"],
                etag=item["e_tag"],
            )
            for item in listing
        ]
        folders = {file.path.rpartition("/")[0] for file in found} | {""}
        files = [file for file in found if file.path != FILE_NAME and not (file.size == 0 and file.path in folders)]
        if not files:
            raise ImportFailure(Reason.SOURCE_NOT_FOUND, f"the bucket holds nothing below {self._prefix!r}")
        return files

    async def read(self, file: RemoteFile, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Stream a range."""
        options: dict[str, Any] = {"range": (start, stop)}
        if file.etag:
            options["if_match"] = file.etag
        try:
            result = await self._store.get_async(file.locator, options=options)  # type: ignore[arg-type]
            if result.meta["size"] != file.size:
                raise file.changed()
            file.pin(result.meta["e_tag"])
            async for chunk in result.stream(min_chunk_size=_CHUNK):
                yield bytes(chunk)
        except exceptions.PreconditionError as error:
            raise file.changed() from error
        except _ERRORS as error:
            raise _failure(error, file.path) from error

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name


def _configuration(settings: Settings, credentials: Credentials) -> dict[str, Any]:
    keys = {option: value for option, key in _KEYS.items() if (value := credentials.get(key))}
    anonymous = not keys and not any(os.environ.get(name) for name in _WORKLOAD_IDENTITY)
    client: dict[str, Any] = {
        "allow_http": settings.allow_insecure,
        "timeout": timedelta(seconds=_REQUEST_SECONDS),
        "connect_timeout": timedelta(seconds=min(settings.timeout, 15.0)),
        "read_timeout": timedelta(seconds=settings.timeout),
    }
    if authority := credentials.certificate_authority:
        client["root_certificate"] = authority
    configuration: dict[str, Any] = {
        "region": settings.region or _DEFAULT_REGION,
        "skip_signature": anonymous,
        "client_options": client,
        # The engine tries again by itself: it knows what has arrived, and says so in the log.
        "retry_config": {"max_retries": 0, "retry_timeout": timedelta(seconds=_REQUEST_SECONDS)},
        **keys,
    }
    if settings.endpoint:
        configuration["endpoint"] = settings.endpoint
    return configuration


def _failure(error: Exception, what: str) -> ImportFailure:
    """Why a request failed. The client's text is never passed on: services echo keys and signatures in it."""
    text = str(error)
    if found := _STATUS.search(text):
        code = _CODE.search(text)
        status = int(found[1])
        if status == 404 and code and code[1] not in _ABSENT:
            # What is not there is then the user: some services answer so to an access key they do not know.
            status = 403
        return failure_of(status, f"{what} ({code[1]})" if code else what)
    if isinstance(error, FileNotFoundError):
        return failure_of(404, what)
    if isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError):
        return failure_of(403, what)
    if isinstance(error, exceptions.InvalidPathError):
        return ImportFailure(Reason.UNSAFE_FILE, f"{what}: the source holds a key that is not a plain relative path")
    if _CERTIFICATE.search(text):
        return untrusted(what)
    if "URL scheme is not allowed" in text or "BadScheme" in text:
        return ImportFailure(Reason.SOURCE_INVALID, "the S3 endpoint is http://, which is not allowed")
    return unreachable(what, ConnectionError("the S3 service did not answer in full"))
