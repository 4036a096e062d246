"""An HTTPS file server that can be told to misbehave, and a hub on top of it."""

import asyncio
import hashlib
import re
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from aiohttp import web

_CHUNK = 16 << 10


@dataclass
class Fault:
    """What goes wrong with a path.

    Attributes:
        times: for how many requests; negative for ever.
        start: only for requests whose range starts here.
        status, retry_after: answered instead of content.
        cut: the connection is closed after so many bytes of the body, in the middle of it.
        cut_whole: the same, asked anew for each request without a range.
        reset: it is reset instead of closed.
        corrupt: bytes are other than they should be.
        plain: ranges are ignored.
        pause: seconds before each chunk of `chunk` bytes.
        etag: the version that is claimed.
        location: where a redirect leads.
        hold: the body stops after `cut` bytes until this event is set.
    """

    times: int = -1
    start: int | None = None
    status: int | None = None
    retry_after: str | None = None
    cut: int | None = None
    cut_whole: Callable[[], int | None] = lambda: None
    reset: bool = False
    corrupt: bool = False
    plain: bool = False
    pause: float = 0
    chunk: int = _CHUNK
    etag: Callable[[], str] | None = None
    location: str | None = None
    hold: threading.Event | None = None

    def applies(self, start: int) -> bool:
        if self.times == 0 or self.start not in {None, start}:
            return False
        self.times -= 1
        return True


@dataclass(frozen=True)
class Seen:
    """A request that came in: whole-file requests have no range."""

    path: str
    range: tuple[int, int] | None
    authorization: str | None
    host: str


@dataclass
class FileServer:
    """Serves files out of memory over TLS, in a thread of its own. Use as a context manager."""

    context: ssl.SSLContext | None
    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    authorization: str | None = None
    port: int = 0

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        application = web.Application()
        self.add_routes(application.router)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self.context)
        await site.start()
        self.port = runner.addresses[0][1]
        started.set()
        await self._stop.wait()
        await runner.cleanup()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/{path:.*}", self._file)

    @property
    def url(self) -> str:
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.port}"

    def reset(self) -> None:
        """Forget files, faults and requests."""
        self.files.clear()
        self.faults.clear()
        self.seen.clear()
        self.authorization = None

    def ranges(self, path: str) -> list[tuple[int, int] | None]:
        return [request.range for request in self.seen if request.path == path]

    async def _file(self, request: web.Request) -> web.StreamResponse:
        return await self.send(request, request.match_info["path"])

    async def send(self, request: web.Request, path: str, key: str | None = None) -> web.StreamResponse:
        """Answer a request for a file, as well or badly as it was told to."""
        wanted = _parse_range(request.headers.get("Range"))
        self.seen.append(Seen(path, wanted, request.headers.get("Authorization"), request.host))
        if self.authorization and request.headers.get("Authorization") != self.authorization:
            return web.Response(status=403 if "Authorization" in request.headers else 401)
        data = self.files.get(path if key is None else key)
        if data is None:
            return web.Response(status=404)
        fault = self.faults.get(path, Fault(times=0))
        if not fault.applies(wanted[0] if wanted else 0):
            fault = Fault(times=0)
        if fault.location:
            raise web.HTTPFound(fault.location)
        if fault.status:
            headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            return web.Response(status=fault.status, headers=headers, text=f"see {request.url}")
        etag = fault.etag() if fault.etag else f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        if request.headers.get("If-Match", etag) != etag:
            return web.Response(status=412)
        return await _answer(request, data, None if fault.plain else wanted, fault, etag)


async def _answer(
    request: web.Request, data: bytes, wanted: tuple[int, int] | None, fault: Fault, etag: str
) -> web.StreamResponse:
    start, stop = (wanted[0], min(wanted[1], len(data))) if wanted else (0, len(data))
    response = web.StreamResponse(status=206 if wanted else 200, headers={"ETag": etag})
    if wanted:
        response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
    response.content_length = stop - start
    await response.prepare(request)
    cut = fault.cut if request.headers.get("Range") else fault.cut_whole() or fault.cut
    body = bytes(byte ^ 1 for byte in data[start:stop]) if fault.corrupt else data[start:stop]
    position = 0
    while position < len(body):
        if cut is not None and position >= cut:
            if fault.hold is None:
                _break(request, reset=fault.reset)
                return response
            await asyncio.to_thread(fault.hold.wait, 30)
        if fault.pause:
            await asyncio.sleep(fault.pause)
        await response.write(body[position : position + fault.chunk])
        position += fault.chunk
    return response


def _break(request: web.Request, *, reset: bool) -> None:
    assert request.transport is not None
    request.transport.abort() if reset else request.transport.close()


def _parse_range(header: str | None) -> tuple[int, int] | None:
    match = re.fullmatch(r"bytes=(\d+)-(\d+)", header or "")
    return (int(match[1]), int(match[2]) + 1) if match else None


@dataclass
class HubServer(FileServer):
    """A hub with one model, ``org/model``, whose large files are behind a redirect to another host with a signed URL."""

    commit: str = "0123456789abcdef0123456789abcdef01234567"
    signature: str = "X-Signature=c2lnbmF0dXJl-secret"

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/api/models/org/model/revision/{revision}", self._model)
        router.add_get("/api/models/org/model/tree/{revision}", self._tree)
        router.add_get("/org/model/resolve/{revision}/{path:.*}", self._resolve)
        router.add_get("/store/{path:.*}", self._stored)
        router.add_get("/{path:.*}", self._missing)

    def _refuse(self, request: web.Request) -> web.Response | None:
        if self.authorization and request.headers.get("Authorization") != self.authorization:
            return web.json_response({"error": "Invalid credentials"}, status=401)
        if request.match_info["revision"] not in {"main", self.commit}:
            headers = {"X-Error-Code": "RevisionNotFound"}
            return web.json_response({"error": "Revision not found"}, status=404, headers=headers)
        return None

    async def _model(self, request: web.Request) -> web.Response:
        document = {"id": "org/model", "sha": self.commit, "siblings": [], "tags": [], "private": False}
        return self._refuse(request) or web.json_response(document)

    async def _tree(self, request: web.Request) -> web.Response:
        return self._refuse(request) or web.json_response([_node(*item) for item in self.files.items()])

    async def _resolve(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        if refused := self._refuse(request):
            return refused
        if not path.endswith(".safetensors"):
            return await self.send(request, path)
        raise web.HTTPFound(f"https://localhost:{self.port}/store/{path}?{self.signature}")

    async def _stored(self, request: web.Request) -> web.StreamResponse:
        if request.query_string != self.signature:
            return web.Response(status=403)
        # Stores refuse a request that carries two kinds of authorization.
        if "Authorization" in request.headers:
            return web.Response(status=400)
        self.authorization, kept = None, self.authorization
        try:
            return await self.send(request, request.match_info["path"])
        finally:
            self.authorization = kept

    async def _missing(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"error": "Repository not found"}, status=404, headers={"X-Error-Code": "RepoNotFound"}
        )


def _node(path: str, data: bytes) -> dict[str, object]:
    node: dict[str, object] = {"type": "file", "path": path, "size": len(data), "oid": "0" * 40}
    if path.endswith(".safetensors"):
        node["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return node


@dataclass
class TokenRegistry(FileServer):
    """A registry with one artifact, ``models/tiny:v1``, whose tokens expire after a number of requests.

    Attributes:
        uses: requests that a token is good for.
        asked: set when a token is asked for.
        given: tokens are given when this is set.
        refused: released for each request for a blob that is refused.
    """

    uses: int = 5
    login: str = ""
    tokens: int = 0
    left: int = 0
    asked: threading.Event = field(default_factory=threading.Event)
    given: threading.Event = field(default_factory=threading.Event)
    refused: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __post_init__(self) -> None:
        self.given.set()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/token", self._token)
        router.add_get("/v2/", self._guarded)
        router.add_get("/v2/models/tiny/{kind}/{reference}", self._guarded)

    async def _token(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != self.login:
            return web.Response(status=401)
        self.asked.set()
        await asyncio.to_thread(self.given.wait, 30)
        self.tokens += 1
        self.left = self.uses
        return web.json_response({"token": f"registry-token-number-{self.tokens}"})

    async def _guarded(self, request: web.Request) -> web.StreamResponse:
        good = request.headers.get("Authorization") == f"Bearer registry-token-number-{self.tokens}"
        if not good or self.left == 0:
            if request.match_info.get("kind") == "blobs":
                self.refused.release()
            challenge = f'Bearer realm="{self.url}/token",service="test",scope="repository:models/tiny:pull"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        self.left -= 1
        match request.match_info.get("kind"):
            case "manifests":
                return web.json_response(self._artifact(), content_type="application/vnd.oci.image.manifest.v1+json")
            case "blobs":
                by_digest = {_digest(data): path for path, data in self.files.items()}
                path = by_digest.get(request.match_info["reference"], "")
                return await self.send(request, path)
        return web.Response()

    def _artifact(self) -> dict[str, object]:
        layers = [
            {
                "mediaType": "application/octet-stream",
                "digest": _digest(data),
                "size": len(data),
                "annotations": {"org.opencontainers.image.title": path},
            }
            for path, data in self.files.items()
        ]
        return {"schemaVersion": 2, "layers": layers}


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
