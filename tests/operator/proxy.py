"""A proxy in front of the real API server that can answer wrongly: what the operator does then is what is tested."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from sovereign.cluster.connection import from_kubeconfig
from testbed import ports

Fault = Callable[[web.Request], web.Response | None]
_HOP = ("Transfer-Encoding", "Content-Length", "Content-Encoding", "Connection")


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


class Proxy:
    """Runs in a thread of its own; `fault` decides per request, `cut` ends all open watches."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self._upstream = from_kubeconfig(kubeconfig)
        (self.port,) = ports.choose(1, ())
        self.fault: Fault = lambda _: None
        self.answered: list[tuple[str, str, int]] = []
        self._open: set[web.StreamResponse] = set()
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

    def cut(self) -> None:
        """Break every open watch in the middle."""
        self._loop.call_soon_threadsafe(lambda: [self._abort(response) for response in self._open])

    @staticmethod
    def _abort(response: web.StreamResponse) -> None:
        transport = response._req.transport if response._req is not None else None
        if transport is not None:
            transport.abort()

    def _config(self) -> dict[str, Any]:
        cluster = {"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}
        context = {"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}
        user = {"name": "proxy", "user": {"token": self._upstream.token}}
        return {"contexts": [context], "clusters": [cluster], "users": [user], "current-context": "proxy"}

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._main())

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        connector = aiohttp.TCPConnector(ssl=self._upstream.ssl_context(), limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
            application = web.Application(client_max_size=2**24)
            application.router.add_route("*", "/{path:.*}", self._handler(session))
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", self.port).start()
            self._ready.set()
            await self._stop.wait()
            for response in list(self._open):
                self._abort(response)
            await runner.cleanup()

    def _handler(self, session: aiohttp.ClientSession) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            wrong = self.fault(request)
            if wrong is not None:
                self.answered.append((request.method, request.path, wrong.status))
                return wrong
            return await self._forward(session, request)

        return handle

    async def _forward(self, session: aiohttp.ClientSession, request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name not in ("Host", *_HOP)}
        headers["Accept-Encoding"] = "identity"  # the API server compresses long lists
        url = self._upstream.server + request.raw_path
        timeout = aiohttp.ClientTimeout(total=None)
        body = await request.read()
        async with session.request(request.method, url, headers=headers, data=body or None, timeout=timeout) as answer:
            kept = {name: value for name, value in answer.headers.items() if name not in _HOP}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            self._open.add(response)
            try:
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
            except ConnectionError:
                pass
            finally:
                self._open.discard(response)
            return response
