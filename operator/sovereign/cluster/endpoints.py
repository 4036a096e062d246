"""``/healthz``, ``/readyz`` and ``/metrics``."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from sovereign.cluster.metrics import REGISTRY

Check = Callable[[], str]
"""Returns what is wrong, or nothing."""


class AddressUnavailable(Exception):
    """Nobody can listen there."""


def _probe(check: Check) -> Callable[[web.Request], object]:
    async def answer(_: web.Request) -> web.Response:
        problem = check()
        return web.Response(status=503 if problem else 200, text=problem or "ok")

    return answer


async def _metrics(_: web.Request) -> web.Response:
    return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def serve(listen: str, healthy: Check, ready: Check) -> web.AppRunner:
    """Listen on ``host:port`` (``[::]:8080``); the caller calls ``cleanup`` on the result.

    Raises:
        AddressUnavailable: the address is taken, not of this machine, or none.
    """
    application = web.Application()
    application.router.add_get("/healthz", _probe(healthy))  # type: ignore[arg-type]
    application.router.add_get("/readyz", _probe(ready))  # type: ignore[arg-type]
    application.router.add_get("/metrics", _metrics)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, *split(listen)).start()
    except (OSError, ValueError) as error:
        await runner.cleanup()
        raise AddressUnavailable(f"{listen}: {error}; set --listen to a free address") from error
    return runner


def split(listen: str) -> tuple[str | None, int]:
    """The address and port of ``host:port``; None is every address.

    Raises:
        ValueError: the port is no number.
    """
    host, _, port = listen.rpartition(":")
    # "::" means every address; a machine without IPv6 has no such address, None works on both.
    return (None if host in ("", "[::]") else host.strip("[]")), int(port)
