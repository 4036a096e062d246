"""Image references: where an image comes from, and whether it is pinned.

Source: distribution/reference, grammar of ``reference``. Only references that are written in full are
accepted: a first segment without dot or port would be a folder of docker.io to the container runtime, and
tells no registry.
"""

import re
from collections.abc import Iterable
from typing import Final

from sovereign.api.schema import IMAGE_DIGEST, IMAGE_PATH, IMAGE_TAG, REGISTRY_HOST

REFERENCE: Final = f"^{REGISTRY_HOST}(?:{IMAGE_PATH})+(?:{IMAGE_TAG})?(?:{IMAGE_DIGEST})?$"
"""A well-formed reference, in RE2 as in Python: nothing in it can step out of its path."""
PINNED: Final = f"{IMAGE_DIGEST}$"
"""What the reference of an image by digest ends with."""

_REFERENCE: Final = re.compile(REFERENCE.removesuffix("$"))
_PINNED: Final = re.compile(PINNED.removesuffix("$"))


def within(image: str, registries: Iterable[str]) -> bool:
    """Whether ``image`` is well-formed and lies in one of ``registries``, compared by whole segments."""
    if _REFERENCE.fullmatch(image) is None:
        return False
    return any(image.startswith(f"{registry}/") for registry in registries)


def well_formed(image: str) -> bool:
    """Whether ``image`` is a reference that names its path in full."""
    return _REFERENCE.fullmatch(image) is not None


def pinned(image: str) -> bool:
    """Whether ``image`` names its content by digest."""
    return well_formed(image) and _PINNED.search(image[-72:]) is not None
