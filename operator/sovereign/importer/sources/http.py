"""HTTP as the importer needs it: ranges of one version of a file, careful redirects, failures with a reason."""

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

import aiohttp
from yarl import URL

from sovereign.importer.failure import ImportFailure, Reason
from sovereign.importer.source import RangesIgnored, RemoteFile

_MAX_REDIRECTS = 5
_MAX_RENEWALS = 3
_READ_BUFFER = 1 << 18
_CONNECT_SECONDS = 15.0
_RETRIED = frozenset({408, 425, 429})

Headers = Mapping[str, str]


class Authorizer(Protocol):
    """Gives the Authorization header for the source's own origin."""

    def headers(self) -> Headers:
        """The headers as they are now."""

    async def renew(self, refused: Headers) -> bool:
        """See to it that `headers` gives others than those just refused with 401; False when it cannot."""


class FixedAuthorizer:
    """One Authorization header for ever, or none."""

    def __init__(self, authorization: str | None) -> None:
        self._headers = {"Authorization": authorization} if authorization else {}

    def headers(self) -> Headers:
        """The header, if there is one."""
        return self._headers

    async def renew(self, refused: Headers) -> bool:
        """There are no others."""
        return False


class HttpClient:
    """Requests to one source.

    Args:
        authorizer: credentials, sent to the origin of a request's first URL only, never along a redirect
            elsewhere.
        trust: the TLS context.
        timeout: seconds without data.
        allow_insecure: whether ``http://`` may be used, also by a redirect.
    """

    def __init__(self, authorizer: Authorizer, trust: ssl.SSLContext, timeout: float, *, allow_insecure: bool) -> None:
        self._authorizer = authorizer
        self._trust = trust
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=min(timeout, _CONNECT_SECONDS), sock_read=timeout
        )
        self._allow_insecure = allow_insecure
        self._session: aiohttp.ClientSession | None = None

    async def read(self, url: str, file: RemoteFile, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Stream a range of a file, as `sovereign.importer.source.Source.read` says."""
        whole = start == 0 and stop == file.size
        headers = {} if whole else {"Range": f"bytes={start}-{stop - 1}"}
        if file.etag and not file.etag.startswith("W/"):
            headers["If-Match"] = file.etag
        async with self._get(url, headers, file) as response:
            if not whole and response.status == 200:
                raise RangesIgnored
            _check_extent(response, file, start, stop)
            file.pin(response.headers.get("ETag"))
            with _failures(url):
                # As they arrived: `iter_any` would copy what has gathered into one.
                async for chunk, _ in response.content.iter_chunks():
                    if chunk:
                        yield chunk

    async def get(self, url: str, limit: int) -> bytes:
        """Fetch a small document.

        Raises:
            ImportFailure: SourceInvalid when it is larger than `limit` bytes; any reason of a failed request.
        """
        async with self._get(url, {}, None) as response:
            with _failures(url):
                data = bytearray()
                async for chunk in response.content.iter_any():
                    data += chunk
                    if len(data) > limit:
                        raise ImportFailure(Reason.SOURCE_INVALID, f"{url} is larger than {limit} bytes")
                return bytes(data)

    async def measure(self, url: str, path: str) -> RemoteFile:
        """Ask for a single file's size and version, with a request for its first byte."""
        async with self._get(url, {"Range": "bytes=0-0"}, None) as response:
            if response.status == 206:
                size = response.headers.get("Content-Range", "").rpartition("/")[2]
            else:
                size = response.headers.get("Content-Length", "")
            if not size.isdecimal():
                raise ImportFailure(Reason.SOURCE_INVALID, f"the server does not state the size of {path}")
            return RemoteFile(path, int(size), url, etag=response.headers.get("ETag"))

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def _get(self, url: str, headers: Headers, file: RemoteFile | None) -> AsyncIterator[aiohttp.ClientResponse]:
        """GET with redirects and renewal of credentials; the answer is 200 or 206."""
        target = origin = URL(url, encoded=True)
        renewals = hops = 0
        while True:
            authorization = self._authorizer.headers() if target.origin() == origin.origin() else {}
            response = await self._send(target, {**headers, **authorization})
            async with response:
                if response.status in {301, 302, 303, 307, 308}:
                    hops += 1
                    target = self._redirected(target, response, hops)
                elif await self._renewed(response, authorization, renewals):
                    renewals += 1
                else:
                    _check_status(response, url, file)
                    yield response
                    return

    async def _renewed(self, response: aiohttp.ClientResponse, authorization: Headers, renewals: int) -> bool:
        refused = response.status == 401 and bool(authorization)
        return refused and renewals < _MAX_RENEWALS and await self._authorizer.renew(authorization)

    async def _send(self, target: URL, headers: Headers) -> aiohttp.ClientResponse:
        if target.scheme != "https" and not self._allow_insecure:
            raise ImportFailure(
                Reason.SOURCE_INVALID, f"{target.host} would be spoken to without TLS, which is not allowed"
            )
        with _failures(str(target.with_query(None))):
            return await self._open_session().get(target, headers=headers, allow_redirects=False, ssl=self._trust)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                auto_decompress=False,
                connector=aiohttp.TCPConnector(limit=0),
                # A digest is of the bytes as they are stored: no compression on the way.
                headers={"Accept-Encoding": "identity"},
                read_bufsize=_READ_BUFFER,
                timeout=self._timeout,
                trust_env=True,
            )
        return self._session

    def _redirected(self, target: URL, response: aiohttp.ClientResponse, hops: int) -> URL:
        location = response.headers.get("Location")
        if not location or hops > _MAX_REDIRECTS:
            raise ImportFailure(Reason.SOURCE_INVALID, f"{target.host} redirects without end or to nowhere")
        # Signed URLs must arrive as they were signed, so nothing is quoted again.
        joined = target.join(URL(location, encoded=True))
        if joined.scheme not in {"http", "https"}:
            raise ImportFailure(Reason.SOURCE_INVALID, f"{target.host} redirects to {joined.scheme}://")
        return joined


def _check_extent(response: aiohttp.ClientResponse, file: RemoteFile, start: int, stop: int) -> None:
    """Check that an answer is about the bytes that were asked for, of a file of the expected size."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise ImportFailure(Reason.SOURCE_INVALID, f"the server compresses {file.path} though it was asked not to")
    if response.status == 206:
        expected = f"bytes {start}-{stop - 1}/{file.size}"
        if response.headers.get("Content-Range", "").replace("/*", f"/{file.size}") != expected:
            raise file.changed()
    elif response.content_length not in {None, file.size}:
        raise ImportFailure(
            Reason.SIZE_MISMATCH,
            f"{file.path} has {response.content_length} bytes at the source, expected are {file.size}",
        )


def _check_status(response: aiohttp.ClientResponse, url: str, file: RemoteFile | None) -> None:
    status = response.status
    if status in {200, 206}:
        return
    if status in {412, 416} and file is not None:
        raise file.changed()
    raise failure_of(status, url, retry_after=response.headers.get("Retry-After"))


def failure_of(status: int, what: str, *, retry_after: str | None = None) -> ImportFailure:
    """The failure that an HTTP status stands for.

    Args:
        status: 4xx or 5xx.
        what: what was asked for.
        retry_after: the header of that name.
    """
    if status in {401, 403}:
        return ImportFailure(
            Reason.ACCESS_DENIED,
            f"the source refuses {what} (HTTP {status}): check the secret's credentials and their permissions",
            status=status,
        )
    if status in {404, 410}:
        return ImportFailure(Reason.SOURCE_NOT_FOUND, f"the source has no {what} (HTTP {status})", status=status)
    if status in _RETRIED or status >= 500:
        return ImportFailure(
            Reason.SOURCE_UNREACHABLE,
            f"the source answered HTTP {status} for {what}",
            retry_after=_seconds(retry_after),
            status=status,
        )
    return ImportFailure(Reason.SOURCE_INVALID, f"the source answered HTTP {status} for {what}", status=status)


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds: a number, or a date (RFC 9110, 10.2.3)."""
    if retry_after is None:
        return None
    if retry_after.isdecimal():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


@contextmanager
def _failures(what: str) -> Iterator[None]:
    """Turn exceptions of the client into failures."""
    try:
        yield
    except (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError) as error:
        raise untrusted(what) from error
    except aiohttp.InvalidURL as error:
        raise ImportFailure(Reason.SOURCE_INVALID, f"{what} is not a URL") from error
    except (aiohttp.ClientError, OSError) as error:
        raise unreachable(what, error) from error


def untrusted(what: str) -> ImportFailure:
    """The failure of a server whose certificate is signed by nobody we trust."""
    return ImportFailure(
        Reason.SOURCE_UNREACHABLE,
        f"the certificate for {what} is not trusted: add the authority as ca.crt to the secret",
        retryable=False,
    )


def unreachable(what: str, error: BaseException) -> ImportFailure:
    """The failure of a connection that broke or did not come about."""
    detail = str(error) or type(error).__name__
    return ImportFailure(Reason.SOURCE_UNREACHABLE, f"the connection for {what} failed: {detail[:200]}")
