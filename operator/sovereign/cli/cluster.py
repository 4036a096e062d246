"""Asking a cluster: connections, whole lists, and failures in words."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import aiohttp

from sovereign import __version__
from sovereign.cli.failure import CommandFailed
from sovereign.cluster.client import ApiError, Client
from sovereign.cluster.connection import ConnectionUnavailable, connect, remove_temporary_files
from sovereign.cluster.resources import Resource

T = TypeVar("T")
_UNREACHABLE: Final = (aiohttp.ClientError, OSError, TimeoutError)


def ask(kubeconfig: str, question: Callable[[Client], Awaitable[T]]) -> T:
    """The answer to ``question``, put to the cluster of ``kubeconfig``.

    Raises:
        CommandFailed: no cluster is configured, it does not answer, or it refuses.
    """
    try:
        connection = connect(kubeconfig or None)
    except ConnectionUnavailable as error:
        raise CommandFailed(str(error)) from error

    async def run() -> T:
        async with Client(connection, f"kubectl-sovereign/{__version__}") as client:
            return await question(client)

    try:
        return asyncio.run(run())
    except ApiError as error:
        raise CommandFailed(f"the API server refuses: {error.message or error}") from error
    except _UNREACHABLE as error:
        raise CommandFailed(f"the API server at {connection.server} does not answer: {error or 'timeout'}") from error
    finally:
        remove_temporary_files()


async def every(client: Client, resource: Resource) -> list[dict[str, Any]]:
    """All objects of ``resource``, page by page.

    Raises:
        ApiError: the API server refuses the list.
    """
    return [
        {"apiVersion": resource.api_version, "kind": resource.kind, **item}
        async for page in client.pages(resource.path())
        for item in page["items"]
    ]
