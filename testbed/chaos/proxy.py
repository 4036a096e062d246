"""A proxy in front of the real API server that answers wrongly, late or not at all, and counts what passes.

One proxy stands before one operator, so that a fault concerns that one only, and whoever writes can be told in the audit log
by the proxy's `tag` at the end of the User-Agent header.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from sovereign.cluster.connection import from_kubeconfig
from testbed import ports

_HOP = ("Transfer-Encoding", "Content-Length", "Connection")
_EXPIRED = b'"code":410'


@dataclass(frozen=True)
class Treatment:
    """What the proxy does with a request that it does not answer by itself."""

    forward: bool = True
    """Whether the API server gets it; otherwise the connection is reset."""
    answer: bool = True
    """Whether the answer comes back; otherwise the connection is reset once the API server has done its work."""
    delay: float = 0.0
    """Seconds that the answer is held back."""
    before: Callable[[], object] | None = None
    """Called before the request is passed on."""
    after: Callable[[], object] | None = None
    """Called when the API server has answered, before the answer is passed on."""


Fault = Callable[[web.Request], web.Response | Treatment | None]
_UNTREATED = Treatment()


def status(code: int, reason: str, **headers: str) -> web.Response:
    """An error as the API server writes it."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "message": reason,
        "code": code,
    }
    return web.json_response(body, status=code, headers=headers)


def watches(request: web.Request) -> bool:
    """Whether it begins a watch."""
    return request.query.get("watch") == "true"


def lists(request: web.Request) -> bool:
    """Whether it lists a collection page by page."""
    return request.method == "GET" and not watches(request) and "limit" in request.query


def leases(request: web.Request) -> bool:
    """Whether it is about the lease."""
    return "/leases" in request.path


def writes(request: web.Request) -> bool:
    """Whether it is to change something other than the lease."""
    return request.method != "GET" and not leases(request) and not request.path.endswith("reviews")


class Proxy:
    """Runs in a thread of its own. `fault` decides per request; the other faults concern what is open already."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self._upstream = from_kubeconfig(kubeconfig)
        (self.port,) = ports.choose(1, ())
        self.fault: Fault = lambda _: None
        self.tag = ""
        """Added to the User-Agent of what passes."""
        self.answered: list[tuple[str, str, int]] = []
        """What the proxy answered by itself: method, path, code."""
        self.written: list[tuple[str, str, int]] = []
        """Writes that the API server answered, its lease left out: method, path, code."""
        self.expired = 0
        """Answers and events of the API server itself that said 410."""
        self._open: set[web.StreamResponse] = set()
        self._tearing: set[web.StreamResponse] = set()
        self.begun = 0
        """Watches that were begun so far."""
        self.torn = 0
        """Watches that broke in the middle of an event."""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.kubeconfig = folder / "proxy.kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(self._config()))

    def __enter__(self) -> "Proxy":
        self._thread.start()
        self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        self._loop.close()

    @property
    def watching(self) -> int:
        """Watches that are open."""
        return sum(response.content_length is None and watches(response._req) for response in tuple(self._open))  # type: ignore[arg-type]

    def cut(self) -> None:
        """Break every open watch."""
        self._call(self._abort)

    def tear(self) -> None:
        """Break every open watch in the middle of its next event."""
        self._call(lambda: self._tearing.update(self._open))

    def sever(self) -> None:
        """Nothing passes in either direction any more, as when packets are dropped: nobody is told."""
        self._call(self._whole.clear)

    def mend(self) -> None:
        """Let everything pass again. Connections that were open are broken by now."""
        self._call(self._whole.set)

    def heal(self) -> None:
        """No faults from now on."""
        self.fault = lambda _: None
        self._call(self._tearing.clear)
        self.mend()

    def _abort(self) -> None:
        for response in list(self._open):
            transport = response._req.transport if response._req is not None else None
            if transport is not None:
                transport.abort()

    def _call(self, act: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(act)

    def _config(self) -> dict[str, Any]:
        cluster = {"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}
        context = {"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}
        user = {"name": "proxy", "user": {"token": self._upstream.token}}
        return {"contexts": [context], "clusters": [cluster], "users": [user], "current-context": "proxy"}

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._main())

    async def _main(self) -> None:
        self._stop, self._whole = asyncio.Event(), asyncio.Event()
        self._whole.set()
        connector = aiohttp.TCPConnector(ssl=self._upstream.ssl_context(), limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
            application = web.Application(client_max_size=2**24)
            application.router.add_route("*", "/{path:.*}", self._handler(session))
            # A client that is gone takes its request along, as far as the API server has not got it.
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", self.port).start()
            self._ready.set()
            await self._stop.wait()
            self._whole.set()
            self._abort()
            await runner.cleanup()
        await asyncio.sleep(
            0.25
        )  # connections with TLS are closed a moment after their session (aiohttp, graceful shutdown)

    def _handler(self, session: aiohttp.ClientSession) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await self._treat(session, request)
            except (aiohttp.ClientError, OSError) as error:
                if request.transport is not None:
                    request.transport.abort()
                raise asyncio.CancelledError from error  # so that nothing is answered

        return handle

    async def _treat(self, session: aiohttp.ClientSession, request: web.Request) -> web.StreamResponse:
        await self._passable()
        wrong = self.fault(request)
        if isinstance(wrong, web.Response):
            self.answered.append((request.method, request.path, wrong.status))
            return wrong
        treatment = wrong or _UNTREATED
        if treatment.before:
            await asyncio.to_thread(treatment.before)
        if not treatment.forward:
            raise ConnectionResetError
        return await self._forward(session, request, treatment)

    async def _passable(self) -> None:
        """Return when packets get through; what was on the way while they did not is lost."""
        if not self._whole.is_set():
            await self._whole.wait()
            raise ConnectionResetError

    async def _forward(
        self, session: aiohttp.ClientSession, request: web.Request, treatment: Treatment
    ) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name not in ("Host", *_HOP)}
        headers["Accept-Encoding"] = "identity"  # the API server compresses long lists
        if self.tag:
            headers["User-Agent"] = f"{headers.get('User-Agent', '')} {self.tag}".strip()
        url = self._upstream.server + request.raw_path
        timeout = aiohttp.ClientTimeout(total=None)
        body = await request.read()
        async with session.request(request.method, url, headers=headers, data=body or None, timeout=timeout) as answer:
            await self._account(request, answer.status, treatment)
            kept = {name: value for name, value in answer.headers.items() if name not in _HOP}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            self._open.add(response)
            self.begun += watches(request)
            try:
                await self._stream(answer, response)
            finally:
                self._open.discard(response)
                self._tearing.discard(response)
            return response

    async def _account(self, request: web.Request, code: int, treatment: Treatment) -> None:
        if writes(request):
            self.written.append((request.method, request.path, code))
        if treatment.after:
            await asyncio.to_thread(treatment.after)
        if treatment.delay:
            await asyncio.sleep(treatment.delay)
        await self._passable()
        if not treatment.answer:
            raise ConnectionResetError

    async def _stream(self, answer: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
        async for chunk in answer.content.iter_any():
            await self._passable()
            self.expired += _EXPIRED in chunk
            if response in self._tearing:
                last = chunk.rstrip(b"\n").rfind(b"\n") + 1
                await response.write(chunk[: (last + len(chunk)) // 2])
                self.torn += 1
                raise ConnectionResetError
            await response.write(chunk)
        await response.write_eof()
