"""Whether containers run the images that their pod names: row 15's detection, as far as a kubelet's word goes."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

Manifest = Mapping[str, Any]
_STATUSES: Final = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
_SCHEME: Final = "://"
_SHOWN: Final = 19
"""Characters of a digest that tell it from others: ``sha256:`` and twelve digits."""


def mismatches(named: Mapping[str, str], status: Manifest) -> tuple[str, ...]:
    """The running containers whose image has another digest than the pod names, in words; usually none.

    A runtime tells the digest by which an image was pulled, or only its own id, or the digest under another name of the same image. So
    this speaks only where both have a digest and the same repository.

    Args:
        named: the images of the pod's containers, by the container's name.
        status: the pod's status.
    """
    return tuple(_differing(named, status)) if named else ()


def _differing(named: Mapping[str, str], status: Manifest) -> Iterator[str]:
    for field in _STATUSES:
        for container in status.get(field) or ():
            wanted, found = named.get(container["name"], ""), container.get("imageID") or ""
            if found.endswith(wanted) or "running" not in (container.get("state") or {}):
                continue
            repository, _, digest = wanted.partition("@")
            other_repository, _, other = found.rpartition(_SCHEME)[2].partition("@")
            if digest and other and digest != other and _bare(repository) == other_repository:
                what = f"runs {repository}@{other[:_SHOWN]}..., and names @{digest[:_SHOWN]}..."
                yield f"container {container['name']} {what}; find out who put it there"


def _bare(repository: str) -> str:
    """A repository without a tag: the last segment's, because a host may have a port."""
    path, slash, last = repository.rpartition("/")
    return f"{path}{slash}{last.partition(':')[0]}"
