"""Asking for an image by name."""

from testbed.errors import TestbedError
from testbed.images.oci import Image
from testbed.images.recipes import RECIPES


def names() -> tuple[str, ...]:
    """The images there are."""
    return tuple(RECIPES)


def build(name: str, **arguments: str) -> Image:
    """The image called `name`, made unless it is in the cache.

    `arguments` are build arguments of images/Containerfile: ``build("operator", version="0.2.0")`` sets ``VERSION``.

    Raises:
        TestbedError: no such image, or it cannot be made here; the text says what to do.
    """
    if name not in RECIPES:
        raise TestbedError(f"no image {name!r} here; there are {', '.join(RECIPES)}")
    return RECIPES[name].build({key.upper(): value for key, value in arguments.items()})
