"""How the JSON of a collection becomes rows: what is known already is not read, and of the rest only what a row needs.

A watch sends each object whole, and most events say nothing new: the operator's own writes come back, and kubelets report that they
live. So the version of an object is read first.
"""

from collections.abc import Callable, Iterable
from functools import partial
from sys import intern
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

import msgspec
import orjson
from aiohttp import ClientPayloadError

from sovereign.cluster.client import Manifest, status_error

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Name = tuple[str, str]
Line = bytes | memoryview


class Seen(NamedTuple, Generic[R_co]):
    """An object as it came."""

    name: Name
    """Namespace and name; both empty in a bookmark."""
    version: int
    row: Callable[[], R_co | None]
    """Reads the rest; None for what is not kept."""


class Page(NamedTuple, Generic[R_co]):
    """A part of a list."""

    version: str
    token: str
    """To be sent for the next part; nothing at the end."""
    items: Iterable[Seen[R_co]]
    """To be gone through once: what is read for one is not kept for the next."""


class Form(Protocol[R_co]):
    """Reads pages of a list, and lines of a watch."""

    def page(self, content: bytes) -> Page[R_co]:
        """The part of the list in ``content``.

        Raises:
            aiohttp.ClientPayloadError: it is none.
        """

    def event(self, line: Line) -> tuple[str, Seen[R_co]]:
        """Type and object of a watch event.

        Raises:
            ApiError: it is an ERROR event.
            aiohttp.ClientPayloadError: it is none.
        """


class Metadata(msgspec.Struct):
    """What of an object's metadata tells whether it is known."""

    name: str = ""
    namespace: str = ""
    version: int = msgspec.field(name="resourceVersion", default=0)

    @property
    def place(self) -> Name:
        """Namespace and name, of which rows have the same copies."""
        return intern(self.namespace), intern(self.name)


class Head(msgspec.Struct):
    """An object of which the metadata is read only."""

    metadata: Metadata


class Shape(Protocol):
    """A struct with those fields of an object that are read."""

    @property
    def metadata(self) -> Metadata:
        """At least this."""


H = TypeVar("H", bound=Shape)


class _Event(msgspec.Struct, Generic[H]):
    type: str
    object: H


class _Listed(msgspec.Struct):
    version: str = msgspec.field(name="resourceVersion")
    token: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct, Generic[H]):
    metadata: _Listed
    items: list[H]


class Typed(Generic[H, R]):
    """Objects of which the fields of a struct are read and all others passed over, without a dictionary being made."""

    def __init__(self, shape: type[H], row: Callable[[H], R | None]) -> None:
        # Versions are numbers in strings.
        self._lists = msgspec.json.Decoder(_List[shape], strict=False)  # type: ignore[valid-type]
        self._events = msgspec.json.Decoder(_Event[shape], strict=False)  # type: ignore[valid-type]
        self._row: Final = row

    def page(self, content: bytes) -> Page[R]:
        """The part of the list in ``content``."""
        try:
            found = self._lists.decode(content)
        except msgspec.DecodeError as error:
            raise ClientPayloadError(f"not a list as expected: {error}") from error
        return Page(found.metadata.version, found.metadata.token, [self._seen(item) for item in found.items])

    def event(self, line: Line) -> tuple[str, Seen[R]]:
        """Type and object of a watch event."""
        event = _decoded(self._events, line)
        return event.type, self._seen(event.object)

    def _seen(self, item: H) -> Seen[R]:
        return Seen(item.metadata.place, item.metadata.version, partial(self._row, item))


class _Raws(msgspec.Struct):
    metadata: _Listed
    items: list[msgspec.Raw]


class Whole(Generic[R]):
    """Objects that are read into dictionaries, one after the other, once it is known that they are news.

    As dictionaries they take far more room than as JSON: all of a page at once would be most of what the operator ever needs.
    """

    _lists: Final = msgspec.json.Decoder(_Raws)
    _listed: Final = msgspec.json.Decoder(Head, strict=False)
    _heads: Final = msgspec.json.Decoder(_Event[Head], strict=False)

    def __init__(self, row: Callable[[Manifest], R | None]) -> None:
        self._row: Final = row

    def page(self, content: bytes) -> Page[R]:
        """The part of the list in ``content``."""
        try:
            found = self._lists.decode(content)
        except msgspec.DecodeError as error:
            raise ClientPayloadError(f"not a list: {error}") from error
        return Page(found.metadata.version, found.metadata.token, map(self._item, found.items))

    def _item(self, item: msgspec.Raw) -> Seen[R]:
        try:
            metadata = self._listed.decode(item).metadata
        except msgspec.DecodeError as error:
            raise ClientPayloadError(f"not an object: {error}") from error
        return Seen(metadata.place, metadata.version, lambda: self._row(orjson.loads(memoryview(item))))

    def event(self, line: Line) -> tuple[str, Seen[R]]:
        """Type and object of a watch event."""
        event = _decoded(self._heads, line)
        metadata = event.object.metadata
        return event.type, Seen(metadata.place, metadata.version, partial(self._read, line))

    def _read(self, line: Line) -> R | None:
        return self._row(orjson.loads(line)["object"])


def _decoded(decoder: msgspec.json.Decoder[Any], line: Line) -> Any:
    try:
        event = decoder.decode(line)
        if event.type != "ERROR":
            return event
    except msgspec.DecodeError as error:
        # An ERROR event has a Status where an object is expected.
        if not _is_error(line):
            raise ClientPayloadError(f"not an event as expected: {error}") from error
    raise status_error(orjson.loads(line)["object"])


def _is_error(line: Line) -> bool:
    try:
        event: object = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return isinstance(event, dict) and event.get("type") == "ERROR"
