"""Static pods: what a kubelet runs from files on its node, past the API server and all its rules.

The admission objects refuse their mirror pods in governed namespaces, so such a pod shows nowhere but in the Events that its kubelet
writes about it. There its UID gives it away: a kubelet makes it as a hash of the file, 32 hex digits (applyDefaults in
pkg/kubelet/config/common.go), where the API server gives an RFC 4122 UUID to every pod that it stores.

Events are written by whoever may write Events, so nothing of one is trusted: names must be names, text is cut and cleaned.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, Protocol

import msgspec

EVENT_FIELDS: Final = "involvedObject.kind=Pod,source=kubelet"
"""Field selector of the Events that kubelets write about pods."""
STARTED: Final = "Started"
"""The kubelet's reason for a container that runs."""
_HASH: Final = re.compile(r"[0-9a-f]{32}")
_NAME: Final = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")
_REASON_SHOWN: Final = 40
_MESSAGE_SHOWN: Final = 160


class Sighting(msgspec.Struct, frozen=True):
    """A kubelet's Event about a static pod."""

    namespace: str
    name: str
    version: int
    pod: str
    node: str
    reason: str
    message: str


class StaticPod(msgspec.Struct, frozen=True):
    """A static pod, and the kubelet's last word about it."""

    namespace: str
    name: str
    node: str
    started: bool
    says: str

    @property
    def message(self) -> str:
        """What is told about it, and what to do."""
        what = "runs" if self.started else "has been given"
        return (
            f"the kubelet of node {self.node} {what} static pod {self.namespace}/{self.name} from a file, past the rules of the API "
            f"server; remove its manifest from the staticPodPath of that node ({self.says})"
        )


class Mirrored(Protocol):
    """What is looked at of a pod in the API."""

    @property
    def namespace(self) -> str:
        """Namespace."""

    @property
    def name(self) -> str:
        """Name."""

    @property
    def node(self) -> str:
        """Name of the node it is bound to, or nothing."""

    @property
    def mirror(self) -> bool:
        """Whether it stands for a static pod."""


def sighting(event: Mapping[str, Any]) -> Sighting | None:
    """The row of an Event; None when it is not about a static pod. Total: any Event that the API server stores will do."""
    about = event.get("involvedObject") or {}
    if not _HASH.fullmatch(about.get("uid", "")):
        return None
    metadata, pod = event["metadata"], about.get("name", "")
    node = (event.get("source") or {}).get("host") or event.get("reportingInstance") or ""
    if not (_NAME.fullmatch(pod) and _NAME.fullmatch(node)):
        return None
    return Sighting(
        namespace=metadata["namespace"],
        name=metadata["name"],
        version=int(metadata["resourceVersion"]),
        pod=pod,
        node=node,
        reason=_plain(event.get("reason") or "", _REASON_SHOWN),
        message=_plain(event.get("message") or "", _MESSAGE_SHOWN),
    )


def _plain(text: str, longest: int) -> str:
    """``text`` in one line, without control and format characters, cut to ``longest`` characters."""
    line = "".join(char if char.isprintable() else " " for char in text[: 4 * longest])
    line = " ".join(line.split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


class StaticPods:
    """The static pods that are known: from Events as long as the API server keeps them, and from mirror pods."""

    def __init__(self) -> None:
        self._events: dict[tuple[str, str], dict[str, Sighting]] = {}
        """By namespace and pod, and by the Event's name."""
        self._mirrors: dict[tuple[str, str], str] = {}
        """Nodes by namespace and pod."""
        self.known = False
        """Whether the Events have been read: before that, no static pod means nothing."""

    def event(self, old: Sighting | None, new: Sighting | None) -> bool:
        """Take in an Event; whether a static pod appeared, started or is not heard of any more."""
        before = self._state(old), self._state(new)
        if old is not None:
            words = self._events.get((old.namespace, old.pod), {})
            words.pop(old.name, None)
            if not words:
                self._events.pop((old.namespace, old.pod), None)
        if new is not None:
            self._events.setdefault((new.namespace, new.pod), {})[new.name] = new
        return before != (self._state(old), self._state(new))

    def _state(self, row: Sighting | None) -> str:
        words = self._events.get((row.namespace, row.pod)) if row else None
        if not words:
            return ""
        return STARTED if any(word.reason == STARTED for word in words.values()) else "seen"

    def pod(self, old: Mirrored | None, new: Mirrored | None) -> bool:
        """Take in a pod of the API; whether a mirror pod appeared or went."""
        was, now = old is not None and old.mirror, new is not None and new.mirror
        if old is not None and was and not now:
            self._mirrors.pop((old.namespace, old.name), None)
        if new is not None and now:
            self._mirrors[(new.namespace, new.name)] = new.node
        return was != now

    def of(self, namespaces: Collection[str]) -> list[StaticPod]:
        """The static pods of these namespaces, by name."""
        places = sorted(place for place in self._events.keys() | self._mirrors.keys() if place[0] in namespaces)
        return [
            _static_pod(*place, self._events.get(place, {}).values(), self._mirrors.get(place, "")) for place in places
        ]


def _static_pod(namespace: str, name: str, words: Iterable[Sighting], mirrored_on: str) -> StaticPod:
    # That it started is worth more than what came later.
    word = max(words, key=lambda word: (word.reason == STARTED, word.version), default=None)
    if word is None:
        return StaticPod(namespace, name, mirrored_on, started=False, says="its mirror pod is in the API")
    says = f"the kubelet says {word.reason}: {word.message}".removesuffix(": ")
    return StaticPod(namespace, name, word.node, started=word.reason == STARTED, says=says)
