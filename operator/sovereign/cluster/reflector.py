"""A cache of one collection, kept current by list and watch.

Paginated list, then watch with bookmarks, resumed from the last resourceVersion. A version that is too old (410) leads to another
list, and what is gone by then is reported as deleted: a deletion in a gap is never lost.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

import aiohttp

from sovereign.cluster.client import ApiError, Client, Manifest
from sovereign.cluster.forms import Form, Name, Seen, Whole
from sovereign.cluster.resources import Resource

logger = logging.getLogger(__name__)
MAX_BACKOFF: Final = 30.0
SHORT: Final = 1.0
"""Seconds: a watch that ends sooner was refused in effect; one that lasted longer is resumed at once, events or not."""
SOON: Final = 5.0
"""Seconds: a version that is too old sooner than that after a list is no gap, and listing at once would not help."""


class Row(Protocol):
    """What every cached row has."""

    @property
    def namespace(self) -> str:
        """Namespace, or nothing."""

    @property
    def name(self) -> str:
        """Name."""

    @property
    def version(self) -> int:
        """resourceVersion."""


R = TypeVar("R", bound=Row)


class Reflector(Generic[R]):
    """The rows of a collection by (namespace, name).

    ``changed(old, new)`` is called for each difference: ``old`` is None for a new object, ``new`` is None for one that is gone.
    The row of an object is None for what is not kept, or not kept any more. ``inherit(old, new)`` may carry over what is known of an object
    to its next row. Events that come within ``pace`` seconds of one before are taken in together.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        form: Form[R] | Callable[[Manifest], R | None],
        changed: Callable[[R | None, R | None], None],
        *,
        selector: str = "",
        fields: str = "",
        lasts: tuple[int, int] = (300, 600),
        inherit: Callable[[R, R], None] | None = None,
        pace: float = 0.0,
    ) -> None:
        self._client = client
        self.resource = resource
        self._form: Form[R] = Whole(form) if callable(form) else form
        self._changed = changed
        self._inherit = inherit
        selectors = {"labelSelector": selector, "fieldSelector": fields}
        self._params = {name: value for name, value in selectors.items() if value}
        self._pace = pace
        self._lasts = lasts
        """Seconds after which a watch is begun anew: at least and at most."""
        self.rows: dict[Name, R] = {}
        self._current = 0
        """The version up to which everything was seen."""
        self.synced = asyncio.Event()

    async def run(self) -> None:
        """List and watch until cancelled."""
        failures = 0
        while True:
            started = _now()
            try:
                version = await self._list()
                failures = 0
                self.synced.set()
                await self._watch(version)
            except (ApiError, aiohttp.ClientError, OSError, TimeoutError) as error:
                expired = isinstance(error, ApiError) and error.expired
                lasted = _now() - started
                failures = 0 if expired and lasted > SOON else failures + 1
                if not expired:
                    logger.warning("Cannot list %s, trying again: %s", self.resource.plural, error)
            await asyncio.sleep(_backoff(failures))

    def put(self, row: R) -> None:
        """Take in an object that was read or written elsewhere, unless a newer one is known.

        What is as old as what was seen last, and is not there, was deleted before the answer about it came.
        """
        name = (row.namespace, row.name)
        if row.version > self._current or name in self.rows:
            self._store(name, row)

    def _take_in(self, seen: Seen[R]) -> bool:
        """Keep what was seen, if it is to be kept; whether it is."""
        known = self.rows.get(seen.name)
        if known is not None and known.version >= seen.version:
            return True
        row = seen.row()
        if row is not None:
            self._store(seen.name, row)
        return row is not None

    def _store(self, name: Name, row: R) -> None:
        """Keep ``row``, unless it is as old as what is known already (our own write comes back as an event)."""
        old = self.rows.get(name)
        if old is not None and old.version >= row.version:
            return
        if old is not None and self._inherit is not None:
            self._inherit(old, row)
        self.rows[name] = row
        self._changed(old, row)

    def _remove(self, name: Name) -> None:
        old = self.rows.pop(name, None)
        if old is not None:
            self._changed(old, None)

    async def _list(self) -> str:
        """Read the whole collection; returns its resourceVersion."""
        seen: set[Name] = set()
        version = ""
        async for page in self._client.pages_of(self.resource.path(), self._params, self._form.page):
            seen.update(item.name for item in page.items if self._take_in(item))
            version = page.version
        self._current = int(version)
        for name in [name for name, row in self.rows.items() if name not in seen and row.version <= self._current]:
            self._remove(name)
        return version

    async def _watch(self, version: str) -> None:
        """Follow changes from ``version``; reconnects until the version is too old, which raises ApiError 410."""
        failures = 0
        while True:
            params = self._params | {
                "resourceVersion": version,
                "allowWatchBookmarks": "true",
                "timeoutSeconds": str(random.randint(*self._lasts)),  # noqa: S311 - spreads reconnections
            }
            began = _now()
            try:
                async for line in self._client.lines(self.resource.path(), params, self._pace):
                    kind, seen = self._form.event(line)
                    self._take(kind, seen)
                    self._current = seen.version
                    version = str(seen.version)
            except ApiError as error:
                if error.expired:
                    raise
                logger.warning("Watch of %s refused, trying again: %s", self.resource.plural, error)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                logger.info("Watch of %s broke off, resuming: %s", self.resource.plural, error)
            failures = failures + 1 if _now() - began < SHORT else 0
            await asyncio.sleep(_backoff(failures))

    def _take(self, kind: str, seen: Seen[R]) -> None:
        match kind:
            case "ADDED" | "MODIFIED":
                if not self._take_in(seen):
                    self._remove(seen.name)
            case "DELETED":
                row = self.rows.get(seen.name)
                if row is not None and row.version <= seen.version:  # else it was made anew already
                    self._remove(seen.name)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _backoff(failures: int) -> float:
    """Seconds to wait after ``failures`` failures in a row, with jitter; nothing after none."""
    if failures == 0:
        return 0.0
    return min(0.5 * float(2 ** min(failures, 10)), MAX_BACKOFF) * random.uniform(0.5, 1.0)  # noqa: S311
