"""Acting as another service account of the operator's own namespace, which has the few rights that the operator has not."""

import asyncio
import dataclasses
import time
from typing import Any, Final

import orjson

from sovereign.cluster.client import ApiError, Client, Manifest

LIFETIME: Final = 3600
"""Seconds that a token is asked for; the API server may give another time."""
RENEWED: Final = 0.8
"""How much of a token's time is used."""


class Account:
    """Use as an asynchronous context manager. Nothing is asked of the API server before the first request."""

    def __init__(self, operator: Client, namespace: str, name: str, agent: str) -> None:
        self.namespace = namespace
        self.name = name
        self._operator = operator
        connection = dataclasses.replace(
            operator.connection, certificate_path=None, private_key_path=None, token_path=None, static_token=None
        )
        self._client = Client(connection, agent)
        self._connection = connection
        self._until = 0.0
        self._renewing = asyncio.Lock()

    async def __aenter__(self) -> "Account":
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.__aexit__()

    async def request(
        self,
        method: str,
        path: str,
        body: Manifest | list[Manifest] | None,
        *,
        content_type: str,
        params: dict[str, str],
    ) -> Manifest:
        """One request as the account.

        Raises:
            ApiError: the API server answered with an error, to this or when it was asked for a token.
            OSError, aiohttp.ClientError, TimeoutError: it did not answer.
        """
        await self._renew()
        content = None if body is None else orjson.dumps(body)
        try:
            return await self._client.request(method, path, params=params, body=content, content_type=content_type)
        except ApiError as error:
            if error.status == 401:
                self._until = 0.0
            raise

    async def _renew(self) -> None:
        """Have a token that holds for a while."""
        async with self._renewing:
            if time.monotonic() < self._until:
                return
            path = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{self.name}/token"
            answer = await self._operator.create(path, _request())
            self._connection.static_token = answer["status"]["token"]
            self._until = time.monotonic() + RENEWED * answer["spec"].get("expirationSeconds", LIFETIME)


def _request() -> dict[str, Any]:
    return {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": LIFETIME},
    }
