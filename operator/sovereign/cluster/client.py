"""A thin asynchronous client: JSON in, JSON out, errors as exceptions.

aiohttp with orjson costs a fraction of the CPU per request of the generated clients, and the operator
needs six verbs only.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import aiohttp
import orjson

from sovereign.cluster.connection import Connection

APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
JSON: Final = "application/json"
REQUEST_TIMEOUT: Final = 30.0
THROTTLED_ATTEMPTS: Final = 5
PAGE: Final = 100
"""Items of a list that are asked for at once: a Deployment is 10 kB of JSON, more as a dictionary, and many kinds are listed at a time."""
Manifest = dict[str, Any]
Observer = Callable[[str, int], None]


class ApiError(Exception):
    """The API server refused a request, with its own status, reason and message."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float = 0.0) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after

    @property
    def not_found(self) -> bool:
        """The object is not there."""
        return self.status == 404

    @property
    def conflict(self) -> bool:
        """Somebody else was faster, or owns a field."""
        return self.status == 409

    @property
    def throttled(self) -> bool:
        """Too many requests; or, for an eviction, a disruption budget that does not allow it now."""
        return self.status == 429

    @property
    def expired(self) -> bool:
        """The resourceVersion or continue token is too old."""
        return self.status == 410 or self.reason == "Expired"

    @property
    def refused(self) -> bool:
        """The request itself is wrong; sending it again will not help until something changes."""
        return self.status in (400, 403, 405, 413, 415, 422)


class Page(Protocol):
    """A part of a list."""

    @property
    def token(self) -> str:
        """To be sent for the next part; nothing at the end."""


P = TypeVar("P", bound=Page)


class _AnyPage(NamedTuple):
    content: Manifest

    @property
    def token(self) -> str:
        return str(self.content["metadata"].get("continue") or "")


class Fenced(ConnectionError):
    """The lease may be another's by now: nothing is written."""


class Client:
    """Requests to one API server. Use as an asynchronous context manager."""

    def __init__(self, connection: Connection, user_agent: str, observe: Observer | None = None) -> None:
        self.connection = connection
        self._user_agent = user_agent
        self._observe = observe or (lambda _method, _status: None)
        self._session: aiohttp.ClientSession | None = None
        self.may_write: Callable[[], bool] = lambda: True
        """Asked each time before something is written."""

    async def __aenter__(self) -> "Client":
        connector = aiohttp.TCPConnector(limit=64, ssl=self.connection.ssl_context(), keepalive_timeout=75)
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": self._user_agent, "Accept": JSON},
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT),
            read_bufsize=2**18,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, params: dict[str, str] | None = None) -> Manifest:
        """The object or list at ``path``."""
        return await self.request("GET", path, params=params)

    async def pages(self, path: str, params: dict[str, str] | None = None) -> AsyncIterator[Manifest]:
        """The list at ``path``, page by page; each page is the list with a part of its items."""
        async for page in self.pages_of(path, params, lambda content: _AnyPage(_parsed(content))):
            yield page.content

    async def pages_of(self, path: str, params: dict[str, str] | None, parse: Callable[[bytes], P]) -> AsyncIterator[P]:
        """The list at ``path``, page by page, as ``parse`` understands them."""
        asked = (params or {}) | {"limit": str(PAGE)}
        while True:
            page = parse(await self._answer("GET", path, asked))
            yield page
            if not page.token:
                return
            asked["continue"] = page.token

    async def create(self, path: str, body: Manifest, params: dict[str, str] | None = None) -> Manifest:
        """POST ``body`` to a collection or subresource."""
        return await self.request("POST", path, params=params, body=orjson.dumps(body))

    async def replace(self, path: str, body: Manifest, params: dict[str, str] | None = None) -> Manifest:
        """PUT ``body``; its metadata.resourceVersion guards against overwriting somebody's change."""
        return await self.request("PUT", path, params=params, body=orjson.dumps(body))

    async def patch(
        self, path: str, body: Manifest | bytes, *, kind: str = MERGE, params: dict[str, str] | None = None
    ) -> Manifest:
        """PATCH with a merge patch, or with a server-side apply when ``kind`` is ``APPLY``."""
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        return await self.request("PATCH", path, params=params, body=content, content_type=kind)

    async def delete(self, path: str, body: Manifest | None = None) -> Manifest:
        """DELETE, with DeleteOptions as ``body``."""
        return await self.request("DELETE", path, body=orjson.dumps(body) if body else None)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = JSON,
    ) -> Manifest:
        """One request. A 429 with Retry-After is repeated a few times, except for evictions, where it is an answer.

        Raises:
            ApiError: the API server answered with an error.
            Fenced: nothing may be written now.
            OSError, aiohttp.ClientError, TimeoutError: it did not answer.
        """
        return _parsed(await self._answer(method, path, params, body, content_type))

    async def _answer(
        self,
        method: str,
        path: str,
        params: dict[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = JSON,
    ) -> bytes:
        for attempt in range(THROTTLED_ATTEMPTS):
            try:
                return await self._once(method, path, params, body, content_type)
            except ApiError as error:
                if error.status == 401 and attempt == 0:
                    self.connection.forget_token()
                elif not error.throttled or path.endswith("/eviction") or attempt + 1 == THROTTLED_ATTEMPTS:
                    raise
                else:
                    await asyncio.sleep(min(max(error.retry_after, 0.1 * 2**attempt), 10.0))
        raise AssertionError("unreachable")

    async def _once(
        self, method: str, path: str, params: dict[str, str] | None, body: bytes | None, content_type: str
    ) -> bytes:
        assert self._session is not None, "use the client as a context manager"
        headers = self._headers(content_type if body is not None else None)
        if method != "GET" and not self.may_write():
            raise Fenced("the lease is not held any more")
        async with self._session.request(
            method, self.connection.server + path, params=params, data=body, headers=headers
        ) as response:
            content = await response.read()
            self._observe(method, response.status)
            if response.status >= 400:
                raise _error(response, content)
            return content

    def _headers(self, content_type: str | None) -> dict[str, str]:
        headers = {}
        token = self.connection.token
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if content_type:
            headers["Content-Type"] = content_type
        return headers

    async def watch(self, path: str, params: dict[str, str]) -> AsyncIterator[Manifest]:
        """Watch events ``{type, object}`` until the server ends the stream.

        Raises:
            ApiError: the watch was refused, or ended with an ERROR event (410 when the version is too old).
        """
        async for line in self.lines(path, params):
            event = _parsed(line)
            if event["type"] == "ERROR":
                raise status_error(event["object"])
            yield event

    async def lines(self, path: str, params: dict[str, str], pace: float = 0.0) -> AsyncIterator[memoryview]:
        """Watch events as they come, a line of JSON each, until the server ends the stream.

        After something came, nothing is read for ``pace`` seconds: to be woken costs more than to read, and what comes meanwhile
        is read at one time. What comes after a silence is not delayed.

        Raises:
            ApiError: the watch was refused.
        """
        assert self._session is not None, "use the client as a context manager"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=float(params["timeoutSeconds"]) + 30)
        url = self.connection.server + path
        async with self._session.get(
            url, params=params | {"watch": "true"}, headers=self._headers(None), timeout=timeout
        ) as response:
            self._observe("WATCH", response.status)
            if response.status >= 400:
                raise _error(response, await response.read())
            async for line in _lines(response, pace):
                yield line


async def _lines(response: aiohttp.ClientResponse, pace: float) -> AsyncIterator[memoryview]:
    """Whole lines of any length, where they lie; StreamReader.readline copies them, and gives up on long ones."""
    rest = b""
    async for read in response.content.iter_any():
        chunk = rest + read
        view, start = memoryview(chunk), 0
        while (end := chunk.find(b"\n", start)) >= 0:
            if end > start:
                yield view[start:end]
            start = end + 1
        rest = chunk[start:]
        if pace and not rest:
            await _rest(response, pace)


async def _rest(response: aiohttp.ClientResponse, seconds: float) -> None:
    """Leave to the kernel what comes meanwhile."""
    connection = response.connection
    transport: Any = connection.transport if connection is not None else None
    if transport is None or transport.is_closing():
        return
    if hasattr(transport, "set_read_buffer_limits"):
        transport.set_read_buffer_limits(
            1
        )  # with TLS there is a buffer before the decryption, which would be filled first
    transport.pause_reading()
    try:
        await asyncio.sleep(seconds)
    finally:
        transport.resume_reading()


def _parsed(content: bytes | memoryview) -> Manifest:
    """JSON; what is none is an answer that broke on the way."""
    try:
        return orjson.loads(content)  # type: ignore[no-any-return]
    except orjson.JSONDecodeError as error:
        raise aiohttp.ClientPayloadError(f"not JSON: {error}") from error


def _error(response: aiohttp.ClientResponse, content: bytes) -> ApiError:
    retry_after = response.headers.get("Retry-After", "")
    try:
        error = status_error(orjson.loads(content))
    except (orjson.JSONDecodeError, AttributeError):
        error = ApiError(response.status, response.reason or "", content[:1000].decode(errors="replace"))
    error.status = response.status
    error.retry_after = float(retry_after) if retry_after.isdigit() else 0.0
    return error


def status_error(status: Manifest) -> ApiError:
    """The error that a Status object tells."""
    return ApiError(int(status.get("code") or 500), str(status.get("reason") or ""), str(status.get("message") or ""))
