"""The HTTP session that kopf watches through: ours, so that nothing that an API server answers ends kopf, and a listing is noticed.

kopf takes most refusals of a watch (403, 404, 410) as the end of the operator; of 429 it knows that it passes, and lists anew in
the end. After a listing its handlers are told of what is there. Of what went away meanwhile nobody is told: kopf keeps no cache to
compare with, and a listing that is empty calls no handler at all.
"""

from collections.abc import Callable, Collection
from http import HTTPStatus
from typing import Any

import aiohttp

from sovereign.cluster.connection import Connection
from sovereign.cluster.framework import kopf

Listed = Callable[[str], object]
"""Told the path of each collection that was listed again, after it was listed once."""


class Session(kopf.AiohttpSession):
    """Compared by its credentials, so that kopf does not take the same again for new ones after a 401."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Session) and self._credentials == other._credentials

    def __hash__(self) -> int:
        return hash(self._credentials)

    @property
    def _credentials(self) -> tuple[str, str]:
        return self.server, self.aiohttp_session.headers.get("Authorization", "")


class Watching:
    """Sees the requests about ``collections`` (their paths) pass."""

    def __init__(self, collections: Collection[str], again: Listed) -> None:
        self._collections = collections
        self._again = again
        self._listed: set[str] = set()

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Pass one on. What is refused for other reasons than its credentials is said to be refused for now."""
        response = await handler(request)
        path, query = request.url.path, request.url.query
        if path not in self._collections:
            return response
        if response.status >= HTTPStatus.BAD_REQUEST:
            if response.status != HTTPStatus.UNAUTHORIZED:
                response.status = HTTPStatus.TOO_MANY_REQUESTS
        elif "watch" not in query and "continue" not in query:
            if path in self._listed:
                self._again(path)
            self._listed.add(path)
        return response


def session(connection: Connection, watching: Watching) -> Session:
    """A session with the connection's credentials; to be called in the event loop."""
    token = connection.token
    headers: dict[str, Any] = {"Authorization": f"Bearer {token}"} if token else {}
    connector = aiohttp.TCPConnector(limit=0, ssl=connection.ssl_context())
    made = aiohttp.ClientSession(connector=connector, headers=headers, middlewares=(watching,))
    return Session(server=connection.server, aiohttp_session=made)
