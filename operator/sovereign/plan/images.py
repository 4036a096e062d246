"""Image references: where an image comes from, and whether it is pinned.

Source: distribution/reference, grammar of ``reference``, and what it makes of short names. Only references that are
written in full are accepted: a first segment without dot or port would be a folder of docker.io to the container
runtime, and tells no registry.
"""

import re
from collections.abc import Iterable
from typing import Final

from sovereign.api.schema import IMAGE_DIGEST, IMAGE_PATH, IMAGE_TAG, REGISTRY_HOST
from sovereign.plan.cel import Cel, all_of, code, integer

REFERENCE: Final = f"^{REGISTRY_HOST}(?:{IMAGE_PATH})+(?:{IMAGE_TAG})?(?:{IMAGE_DIGEST})?$"
"""A well-formed reference, in RE2 as in Python: nothing in it can step out of its path."""
ALIAS: Final = "^(?:index[.]docker[.]io/|docker[.]io/[^/]+$)"
"""What container runtimes rewrite: another name of docker.io, and its folder ``library`` left out."""
PINNED: Final = f"{IMAGE_DIGEST}$"
"""What the reference of an image by digest ends with."""
LONGEST: Final = 255
"""Characters before the digest; container runtimes take no longer path."""

_REFERENCE: Final = re.compile(REFERENCE.removesuffix("$"))
_ALIAS: Final = re.compile(ALIAS)
_PINNED: Final = re.compile(PINNED.removesuffix("$"))
_SHORT_ENOUGH: Final = code("%s.split('@')[0].size() <= %s")


def within(image: str, registries: Iterable[str]) -> bool:
    """Whether ``image`` is well-formed and lies in one of ``registries``, compared by whole segments."""
    return well_formed(image) and any(image.startswith(f"{registry}/") for registry in registries)


def well_formed(image: str) -> bool:
    """Whether ``image`` is a reference that names registry and path in full."""
    if _REFERENCE.fullmatch(image) is None or _ALIAS.match(image) is not None:
        return False
    return len(image.partition("@")[0]) <= LONGEST


def in_full(image: Cel) -> Cel:
    """`well_formed`, as the API server computes it."""
    short_enough = _SHORT_ENOUGH.filled(image, integer(LONGEST))
    return all_of([image.matches(REFERENCE), short_enough, ~image.matches(ALIAS)])


def pinned(image: str) -> bool:
    """Whether ``image`` names its content by digest."""
    return well_formed(image) and _PINNED.search(image[-72:]) is not None
